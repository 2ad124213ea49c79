/** Matrices of experts: each has linear's derivatives over its rows; a row's gradient is the sum of what its experts say. */
import type { Routing } from "../../tensor/backend.js";
import type { ExpertWeights, Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";
import { RecordedRouting } from "./route.js";

export function expertLinear(tape: Tape, x: Tensor, experts: ExpertWeights, by: Routing): Tensor {
  const { ops, training } = tape;
  const { inner: routing } = RecordedRouting.of(by);
  return tape.record(ops.expertLinear(x, experts, routing), (dy) => {
    const gradient = tape.parameter(experts.matrix);
    const biasGradient = tape.parameter(experts.bias);
    const dx = training.expertLinearInput({ x, experts, routing, dy, gradient, biasGradient });
    tape.give(x, () => dx);
  });
}
