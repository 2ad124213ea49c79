/** Training: configurations, runs in their folders, and the trainer's parts. */
export { type ModelConfig, parseConfig, type StageConfig, type TrainingConfig } from "./config.js";
export type { Sample, SampleSource } from "./data/sample.js";
export { exportGguf, exportHuggingFace, GGUF_QUANTS, type GgufQuant, saveFile, saveFolder } from "./export/index.js";
export { type FolderModel, folderModel } from "./folder-model.js";
export type { EvaluationLine, LogLine, StepLine, TaskResult } from "./log.js";
export { defineModel, type ModelDefinition } from "./model-definition.js";
export { ModelPass } from "./pass.js";
export { parsePattern, patternHelp } from "./patterns/pattern.js";
export { type PrepareProgress, prepareRun } from "./prepare.js";
export { type RunHooks, TrainingRun } from "./run.js";
export { RunFolder } from "./run-folder.js";
export { TrainedWeights } from "./trained-weights.js";
export {
  type DrawnSample,
  type StageSources,
  type StepReport,
  stageSteps,
  Trainer,
  type TrainerParts,
  type TrainerState,
} from "./trainer.js";
