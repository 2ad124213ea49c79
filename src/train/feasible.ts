/**
 * Whether a configuration can be carried out: what would otherwise come to light hours later, where a stage begins or the
 * model is written, is found before anything is trained.
 */
import type { ModelSpec } from "../nn/spec.js";
import { weightUses } from "../nn/weights.js";
import { ggufTokenizerKeys, type SpecialTokenNames } from "../tokenizer/train/tokenizer-json.js";
import { ArgumentError, FormatError, InternalError } from "../util/errors.js";
import { type StageConfig, type TrainingConfig, tensorPattern } from "./config.js";
import type { SampleSource } from "./data/sample.js";
import { exportGguf } from "./export/gguf-export.js";
import { keysRead, stageDefinition } from "./model-definition.js";
import { modelToExport } from "./model-files.js";
import { parsePattern } from "./patterns/pattern.js";
import { evaluationSources, type Material, stageParts } from "./sources.js";

/** Any number of tokens gives a model of the same kind. */
const SOME_VOCABULARY = 1024;

const DRAWS = 64;

/** Keys that files of some architectures have though nothing there reads them, such as the heads of a Mamba. */
const IDLE = new Set([
  "attention.head_count",
  "attention.head_count_kv",
  "feed_forward_length",
  "rope.dimension_count",
  "rope.freq_base",
]);

/** Models and patterns of all stages. @throws ArgumentError, UnsupportedError */
export function checkModel(config: TrainingConfig): void {
  const read = new Set<string>();
  const shapes = config.stages.map((stage, index) =>
    ofStage(stage, () => {
      parsePattern(stage.attention);
      const definition = stageDefinition(config, SOME_VOCABULARY, index);
      for (const key of keysRead(definition)) read.add(key);
      checkPositions(definition.spec, stage);
      checkExtras(config, definition.spec);
      return weightShapes(definition.spec);
    }),
  );
  checkKeys(config, read);
  shapes.forEach((shape, index) => {
    const other = [...shape].find(([name, size]) => shapes[0].get(name) !== size)?.[0];
    if (other === undefined && shape.size === shapes[0].size) return;
    const which = other === undefined ? "has fewer tensors" : `changes the shape of "${other}"`;
    throw new ArgumentError(
      `Stage "${config.stages[index].name}" ${which}: all stages train the same weights. ` +
        "Change only keys of positions and windows from stage to stage; of learned positions, set context_length in model.keys.",
    );
  });
}

/** Draws samples of each source at the length of each stage. @throws ArgumentError for what does not fit */
export async function checkSamples(material: Material): Promise<void> {
  for (const [index, stage] of material.config.stages.entries()) {
    const { contextLength: length } = stage;
    for (const { source } of stageParts(material, stage, index)) {
      await ofStageAsync(stage, () => draw(source, length, DRAWS));
    }
    for (const { source, samples } of evaluationSources(material, stage)) {
      await ofStageAsync(stage, () => draw(source, length, Math.min(DRAWS, samples(length))));
    }
  }
}

/** Needles differ in length: one sample that fits says little. */
async function draw(source: SampleSource, length: number, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await source.sample(n, length);
}

/** Learned positions end with their table. */
function checkPositions({ positions }: ModelSpec, { contextLength }: StageConfig): void {
  if (positions?.kind !== "learned" || contextLength <= positions.positions) return;
  throw new ArgumentError(
    `The model has learned embeddings for ${positions.positions} positions, and samples have ${contextLength} tokens. ` +
      "Set context_length in model.keys to the longest stage.",
  );
}

/** Sinks and optional tensors that are asked for must come to be. */
function checkExtras({ model }: TrainingConfig, spec: ModelSpec): void {
  const names = weightUses(spec).map(({ ref }) => ref.tensor);
  if (model.sinks !== "none" && !names.some((name) => /attn_sinks/.test(name))) {
    throw new ArgumentError(
      `model.sinks: ${model.architecture} has no logits of sinks; the architecture "sluice" has, or use sinkToken.`,
    );
  }
  const pattern = tensorPattern(model);
  if (!pattern || names.some((name) => pattern.test(name))) return;
  throw new ArgumentError(
    `model.tensors: no tensor of this ${model.architecture} has a name that "${model.tensors}" finds.`,
  );
}

export interface TokenizerToExport {
  readonly vocabulary: number;
  /** What tokenizer.json holds. */
  readonly json: object;
  readonly names: SpecialTokenNames;
}

/**
 * Whether the model that comes out can be written; without a tokenizer, that of the model alone.
 * @throws ArgumentError, FormatError or UnsupportedError for a model or a tokenizer that GGUF cannot hold
 */
export async function checkExport(config: TrainingConfig, tokenizer?: TokenizerToExport): Promise<void> {
  const definition = stageDefinition(config, tokenizer?.vocabulary ?? SOME_VOCABULARY, config.stages.length - 1);
  const unread = async () => {
    throw new InternalError("An export reads no numbers before its chunks are asked for.");
  };
  const model = modelToExport(definition, tokenizer?.json ?? {}, unread);
  const tokenizerKeys = tokenizer && ggufTokenizerKeys(tokenizer.json, tokenizer.names);
  await exportGguf({ model, tokenizerKeys, quant: "f16" });
}

function checkKeys({ model, stages }: TrainingConfig, read: ReadonlySet<string>): void {
  const given = [model.keys, ...stages.map(({ keys }) => keys)].flatMap(Object.keys);
  const unread = [...new Set(given)].filter((key) => !read.has(key) && !IDLE.has(key));
  if (unread.length === 0) return;
  throw new ArgumentError(
    `The model's keys ${unread.map((key) => `"${key}"`).join(", ")} mean nothing to a ${model.architecture} like this one. ` +
      "Correct or remove them; docs/training.md says where keys are listed.",
  );
}

/** "rows x cols" by name. */
function weightShapes(spec: ModelSpec): Map<string, string> {
  return new Map(weightUses(spec).map(({ name, ref }) => [name, `${ref.rows} x ${ref.cols}`]));
}

function ofStage<R>(stage: StageConfig, work: () => R): R {
  try {
    return work();
  } catch (error) {
    throw inStage(stage, error);
  }
}

async function ofStageAsync<R>(stage: StageConfig, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    throw inStage(stage, error);
  }
}

/** Names the stage where the error is the configuration's. */
function inStage({ name }: StageConfig, error: unknown): unknown {
  const theirs = error instanceof ArgumentError || error instanceof FormatError;
  return theirs ? new ArgumentError(`Stage "${name}": ${error.message}`, error.details) : error;
}
