/** To be written. */
import type { OptimizerTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import type { Machine } from "../machine.js";

const later = (): never => {
  throw new InternalError("not written yet");
};

export function optimizerTraining(_machine: Machine): OptimizerTraining {
  return {
    clear: later,
    sumsOfSquares: later,
    adamW: later,
  };
}
