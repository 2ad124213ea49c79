/** The training tier of the reference backend: the definition of every derivative. */
import type { TrainingOps } from "../../../tensor/training.js";
import { attentionTraining } from "./attention.js";
import { expertTraining } from "./experts.js";
import { linearTraining } from "./linear.js";
import { optimizerTraining } from "./optimizer.js";
import { rowTraining } from "./rows.js";
import { stateSpaceTraining } from "./state-space.js";

export function referenceTraining(): TrainingOps {
  return {
    ...linearTraining(),
    ...rowTraining(),
    ...attentionTraining(),
    ...stateSpaceTraining(),
    ...expertTraining(),
    ...optimizerTraining(),
  };
}
