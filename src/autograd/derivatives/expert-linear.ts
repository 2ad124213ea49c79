/** Matrices of experts: each has linear's derivatives over its rows; a row's gradient is the sum of what its experts say. */
import type { Routing } from "../../tensor/backend.js";
import type { Tensor, Weight } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";
import { RecordedRouting } from "./route.js";

export function expertLinear(
  tape: Tape,
  x: Tensor,
  experts: readonly Weight[],
  by: Routing,
  biases: readonly Weight[] | undefined,
): Tensor {
  const { ops, training } = tape;
  const { inner: routing } = RecordedRouting.of(by);
  return tape.record(ops.expertLinear(x, experts, routing, biases), (dy) => {
    const gradients = experts.map((weight) => tape.parameter(weight));
    const biasGradients = biases?.map((bias) => tape.parameter(bias));
    const dx = training.expertLinearInput({ x, experts, routing, dy, gradients, biasGradients });
    tape.give(x, () => dx);
  });
}
