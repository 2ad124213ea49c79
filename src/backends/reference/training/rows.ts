/** To be written. */
import type { RowTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function rowTraining(): RowTraining {
  return {
    zeros: later,
    copy: later,
    accumulate: later,
    scatterRows: later,
    ungather: later,
    rmsNormInput: later,
    layerNormInput: later,
    mapInput: later,
    gatedInputs: later,
    rotateBack: later,
  };
}
