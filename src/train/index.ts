/**
 * Training: configurations, runs in their folders, and the trainer's parts.
 * @module sluice/train
 */
export type { HeadSet, HeadSets, Retention, Visibility } from "../context/head-sets.js";
export { type ModelConfig, parseConfig, type StageConfig, type TrainingConfig } from "./config.js";
export type { PackedTokens, PackedTokensHeader } from "./data/packed-tokens.js";
export type { Sample, SampleSource } from "./data/sample.js";
export type { TokenSequence } from "./data/token-sequence.js";
export {
  type ExportedFile,
  exportGguf,
  exportHuggingFace,
  GGUF_QUANTS,
  type GgufExport,
  type GgufExportRequest,
  type GgufQuant,
  type HfExport,
  type HfExportRequest,
  type HfType,
  saveFile,
  saveFolder,
  type TrainedModel,
  type TrainedTensor,
} from "./export/index.js";
export { type FolderModel, folderModel } from "./folder-model.js";
export type { EvaluationLine, LogLine, StepLine, TaskResult } from "./log.js";
export { defineModel, type ModelDefinition } from "./model-definition.js";
export { type Losses, ModelPass, type PassOptions, type Predictions } from "./pass.js";
export { parsePattern, patternHelp } from "./patterns/pattern.js";
export type { AttentionPattern } from "./patterns/pattern-definition.js";
export { type PrepareOptions, type PrepareProgress, prepareRun } from "./prepare.js";
export { type RunHooks, TrainingRun } from "./run.js";
export { RunFolder } from "./run-folder.js";
export type { SamplePrompt } from "./sample-prompt.js";
export { type StepSettings, type TrainedWeight, TrainedWeights } from "./trained-weights.js";
export {
  type DrawnSample,
  type StageSources,
  type StepReport,
  stageSteps,
  Trainer,
  type TrainerParts,
  type TrainerState,
} from "./trainer.js";
