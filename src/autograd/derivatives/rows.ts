/** Rows taken apart (sharing their memory, and their gradient's) and put together (copied). */
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function rows(tape: Tape, x: Tensor, start: number, count: number): Tensor {
  return tape.view(tape.ops.rows(x, start, count), x, start);
}

export function concat(tape: Tape, parts: readonly Tensor[]): Tensor {
  const { ops } = tape;
  return tape.record(ops.concat(parts), (dy) => {
    let start = 0;
    for (const part of parts) {
      tape.share(part, ops.rows(dy, start, part.rows));
      start += part.rows;
    }
  });
}
