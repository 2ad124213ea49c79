/** To be written. */
import type { AttentionTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import type { Machine } from "../machine.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function attentionTraining(_machine: Machine): AttentionTraining {
  return {
    attendRows: later,
    attendRowsBack: later,
  };
}
