/** To be written. */
import type { OptimizerTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function optimizerTraining(): OptimizerTraining {
  return {
    clear: later,
    sumsOfSquares: later,
    adamW: later,
  };
}
