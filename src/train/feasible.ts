/**
 * Whether a configuration can be carried out: what would otherwise come to light hours later, where a stage begins, is
 * found before anything is written.
 */
import type { ModelSpec } from "../nn/spec.js";
import { weightUses } from "../nn/weights.js";
import { ArgumentError, FormatError } from "../util/errors.js";
import type { StageConfig, TrainingConfig } from "./config.js";
import { keysRead, stageDefinition } from "./model-definition.js";
import { parsePattern } from "./patterns/pattern.js";
import { evaluationSources, type Material, stageParts } from "./sources.js";

/** Any number of tokens gives a model of the same kind. */
const SOME_VOCABULARY = 1024;

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

/** Draws one sample of each source at the length of each stage. @throws ArgumentError for what does not fit */
export async function checkSamples(material: Material): Promise<void> {
  for (const [index, stage] of material.config.stages.entries()) {
    const { contextLength: length } = stage;
    for (const { source } of stageParts(material, stage, index)) {
      await ofStageAsync(stage, () => source.sample(0, length));
    }
    for (const { samples } of evaluationSources(material, stage)) {
      await ofStageAsync(stage, async () => samples(length));
    }
  }
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
