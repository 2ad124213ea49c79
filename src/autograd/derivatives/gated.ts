/** activation(gate) * up. */
import type { Gating } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tape } from "../tape.js";

export function gated(tape: Tape, gate: Tensor, up: Tensor, gating: Gating): Tensor {
  const { ops, training } = tape;
  return tape.record(ops.gated(gate, up, gating), (dy) => {
    const both = training.gatedInputs(gate, up, gating, dy);
    tape.give(gate, () => both.gate);
    tape.give(up, () => both.up);
  });
}
