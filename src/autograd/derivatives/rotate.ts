/** RoPE: a rotation's derivative is the rotation back. */
import type { Angles } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function rotate(tape: Tape, x: Tensor, headWidth: number, angles: Angles): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.rotate(x, headWidth, angles), (dy) => {
    tape.give(x, () => training.rotateBack(dy, headWidth, angles));
  });
}
