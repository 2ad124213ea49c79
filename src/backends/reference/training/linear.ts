/** To be written. */
import type { LinearTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function linearTraining(): LinearTraining {
  return {
    linearInput: later,
    linearWeight: later,
    sumRows: later,
    crossEntropy: later,
  };
}
