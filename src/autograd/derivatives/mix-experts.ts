/** The weighted sum of what a row's experts made: gradients of what they made, and of the weights. */
import type { Routing } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";
import { RecordedRouting } from "./route.js";

export function mixExperts(tape: Tape, y: Tensor, by: Routing): Tensor {
  const { ops, training } = tape;
  const { inner: routing, weights } = RecordedRouting.of(by);
  return tape.record(ops.mixExperts(y, routing), (dy) => {
    const d = training.mixExpertsInputs(y, routing, dy);
    tape.give(y, () => d.y);
    tape.give(weights, () => d.weights);
  });
}
