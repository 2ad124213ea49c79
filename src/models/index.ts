/** The registry of architectures, by `general.architecture`: adding one is adding its file and a line here. */
import { UnsupportedError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import { llamaLike } from "./llama.js";

export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: llamaLike({ rope: "interleaved", headNorms: false, window: false }),
  mistral: llamaLike({ rope: "interleaved", headNorms: false, window: true }),
  qwen2: llamaLike({ rope: "halves", headNorms: false, window: false }),
  qwen3: llamaLike({ rope: "halves", headNorms: true, window: false }),
};

/** @throws UnsupportedError that lists what is supported */
export function architectureOf(name: string): Architecture {
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (architecture) return architecture;
  const known = Object.keys(ARCHITECTURES).join(", ");
  throw new UnsupportedError(`The architecture "${name}" is not supported yet; supported are ${known}.`, {
    architecture: name,
  });
}
