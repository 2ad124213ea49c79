/** To be written. */
import type { RowTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import type { Machine } from "../machine.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function rowTraining(_machine: Machine): RowTraining {
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
