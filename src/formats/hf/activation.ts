/**
 * Activations by their names in `transformers` (ACT2FN of src/transformers/activations.py) as Sluice's, which the key
 * `<architecture>.hidden_act` holds (a key of our own: in GGUF the architecture decides). Their "gelu" is the exact form.
 */
import type { ConfigFields } from "./config-fields.js";

const ACTIVATIONS: Readonly<Record<string, string>> = {
  gelu: "geluErf",
  gelu_python: "geluErf",
  gelu_new: "gelu",
  gelu_fast: "gelu",
  gelu_pytorch_tanh: "gelu",
  silu: "silu",
  swish: "silu",
  relu: "relu",
};

/** @throws UnsupportedError for other functions */
export function activationOf(config: ConfigFields, field: string, fallback: string): string {
  return activationNamed(config, field, config.text(field, fallback));
}

/** The function `name` that `field` asks for. */
export function activationNamed(config: ConfigFields, field: string, name: string): string {
  if (Object.hasOwn(ACTIVATIONS, name)) return ACTIVATIONS[name];
  throw config.unsupported(field, `one of ${Object.keys(ACTIVATIONS).join(", ")}`);
}
