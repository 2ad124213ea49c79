/** Rows of a table: their gradients are added to the table's rows. */
import type { StepInput, Tensor, Weight } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function embed(tape: Tape, table: Weight, ids: StepInput): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.embed(table, ids), (dy) => {
    const gradient = tape.parameter(table);
    if (gradient) training.scatterRows(dy, ids, gradient);
  });
}
