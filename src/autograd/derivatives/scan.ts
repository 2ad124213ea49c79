/** The selective scan, over samples that begin with a state of zeros. */
import type { ScanCall } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function scan(tape: Tape, call: ScanCall): Tensor {
  const { ops, training } = tape;
  const { x, dt, a, b, c, skip, before } = call;
  return tape.record(ops.scan(call), (dy) => {
    const [aGradient, skipGradient] = [tape.parameter(a), tape.parameter(skip)];
    const d = training.scanInputs({ x, dt, a, b, c, skip, states: before.cols, dy, aGradient, skipGradient });
    tape.give(x, () => d.x);
    tape.give(dt, () => d.dt);
    tape.give(b, () => d.b);
    tape.give(c, () => d.c);
  });
}
