/** RMSNorm and LayerNorm, with the gradients of gain and bias. */
import type { Tensor, Weight } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function rmsNorm(tape: Tape, x: Tensor, gain: Weight, epsilon: number): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.rmsNorm(x, gain, epsilon), (dy) => {
    const dx = training.rmsNormInput({ x, gain, epsilon, dy, gradient: tape.parameter(gain) });
    tape.give(x, () => dx);
  });
}

export function layerNorm(tape: Tape, x: Tensor, gain: Weight, bias: Weight | undefined, epsilon: number): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.layerNorm(x, gain, bias, epsilon), (dy) => {
    const [gradient, biasGradient] = [tape.parameter(gain), tape.parameter(bias)];
    const dx = training.layerNormInput({ x, gain, epsilon, dy, gradient, biasGradient });
    tape.give(x, () => dx);
  });
}
