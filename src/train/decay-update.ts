/**
 * The step of a state space's decays, which stay negative: as in Mamba (2312.00752) log(-a) is what learns, so its gradient is
 * da a, and there is no weight decay. They are few, so the step is computed here and not in a kernel.
 */
import type { KeptTensor } from "../tensor/tensor.js";
import type { AdamWCall } from "../tensor/training.js";

/** Of a weight that learns, what its decay needs. */
interface DecayWeight {
  readonly use: { readonly name: string };
  readonly values: Float32Array;
  readonly gradient: KeptTensor;
  readonly first: KeptTensor;
  readonly second: KeptTensor;
}

export function isDecay({ use }: Pick<DecayWeight, "use">): boolean {
  return /ssm_a(\[\d+\])?$/.test(use.name);
}

type Settings = Omit<AdamWCall, "weight" | "gradient" | "first" | "second" | "decay">;

export async function updateDecay(of: DecayWeight, settings: Settings): Promise<void> {
  const { values } = of;
  const [gradient, first, second] = await Promise.all([of.gradient.read(), of.first.read(), of.second.read()]);
  const { rate, beta1, beta2, epsilon, correction1, correction2, gradientScale } = settings;
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i] * values[i] * gradientScale;
    first[i] = beta1 * first[i] + (1 - beta1) * g;
    second[i] = beta2 * second[i] + (1 - beta2) * g * g;
    const move = (rate * (first[i] / correction1)) / (Math.sqrt(second[i] / correction2) + epsilon);
    values[i] = -Math.exp(Math.log(-values[i]) - move);
  }
  of.first.write(first);
  of.second.write(second);
}
