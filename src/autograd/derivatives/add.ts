/** a + b: both have the gradient of the sum. */
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function add(tape: Tape, a: Tensor, b: Tensor): Tensor {
  return tape.record(tape.ops.add(a, b), (dy) => {
    tape.share(a, dy);
    tape.share(b, dy);
  });
}
