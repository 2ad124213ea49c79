/** To be written. */
import type { StateSpaceTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import type { Machine } from "../machine.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function stateSpaceTraining(_machine: Machine): StateSpaceTraining {
  return {
    convolutionInput: later,
    scanInputs: later,
  };
}
