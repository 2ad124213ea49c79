/** y = x W^T + b: dx = dy W, dW = dy^T x, db = the sums of dy's columns. */
import type { Tensor, Weight } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function linear(tape: Tape, x: Tensor, weight: Weight, bias: Weight | undefined): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.linear(x, weight, bias), (dy) => {
    const gradient = tape.parameter(weight);
    if (gradient) training.linearWeight(dy, x, gradient);
    const biasGradient = tape.parameter(bias);
    if (biasGradient) training.sumRows(dy, biasGradient);
    tape.give(x, () => training.linearInput(dy, weight));
  });
}
