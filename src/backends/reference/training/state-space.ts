/** To be written. */
import type { StateSpaceTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function stateSpaceTraining(): StateSpaceTraining {
  return {
    convolutionInput: later,
    scanInputs: later,
  };
}
