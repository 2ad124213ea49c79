/** Copies of rows: a row's gradient is the sum of those of its copies. */
import type { StepInput, Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function gather(tape: Tape, x: Tensor, indices: StepInput): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.gather(x, indices), (dy) => {
    tape.give(x, () => training.ungather(dy, indices, x.rows));
  });
}
