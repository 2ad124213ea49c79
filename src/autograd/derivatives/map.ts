/** A function of single elements: dx = f'(x) dy. */
import type { ElementFunction } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function map(tape: Tape, x: Tensor, f: ElementFunction, parameter: number | undefined): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.map(x, f, parameter), (dy) => {
    tape.give(x, () => training.mapInput(x, f, parameter, dy));
  });
}
