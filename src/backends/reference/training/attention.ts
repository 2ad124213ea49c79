/** To be written. */
import type { AttentionTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function attentionTraining(): AttentionTraining {
  return {
    attendRows: later,
    attendRowsBack: later,
  };
}
