/** The training tier of the Wasm backend: everything that is trained lies in one memory. */
import type { TrainingOps } from "../../../tensor/training.js";
import type { Machine } from "../machine.js";
import { attentionTraining } from "./attention.js";
import { expertTraining } from "./experts.js";
import { linearTraining } from "./linear.js";
import { optimizerTraining } from "./optimizer.js";
import { rowTraining } from "./rows.js";
import { stateSpaceTraining } from "./state-space.js";

export function wasmTraining(machine: Machine): TrainingOps {
  return {
    ...linearTraining(machine),
    ...rowTraining(machine),
    ...attentionTraining(machine),
    ...stateSpaceTraining(machine),
    ...expertTraining(machine),
    ...optimizerTraining(machine),
  };
}
