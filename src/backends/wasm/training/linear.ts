/** To be written. */
import type { LinearTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import type { Machine } from "../machine.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function linearTraining(_machine: Machine): LinearTraining {
  return {
    linearInput: later,
    linearWeight: later,
    sumRows: later,
    crossEntropy: later,
  };
}
