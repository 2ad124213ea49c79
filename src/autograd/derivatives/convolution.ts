/** The convolution of state-space layers, over samples that begin with nothing before them. */
import type { ConvolutionCall } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function convolution(tape: Tape, call: ConvolutionCall): Tensor {
  const { ops, training } = tape;
  const { x, kernel, bias } = call;
  return tape.record(ops.convolution(call), (dy) => {
    const [kernelGradient, biasGradient] = [tape.parameter(kernel), tape.parameter(bias)];
    const dx = training.convolutionInput({ x, kernel, bias, dy, kernelGradient, biasGradient });
    tape.give(x, () => dx);
  });
}
