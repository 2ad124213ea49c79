/** A training model with weights far enough from zero that every part matters, and samples for it. */
import type { Backend } from "../../src/tensor/backend.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import type { Sample } from "../../src/train/data/sample.js";
import { defineModel } from "../../src/train/model-definition.js";
import { ModelPass } from "../../src/train/pass.js";
import { parsePattern } from "../../src/train/patterns/pattern.js";
import { TrainedWeights } from "../../src/train/trained-weights.js";
import { Random } from "../../src/util/random.js";
import type { TrainingModel } from "./training-models.js";

export const VOCABULARY = 23;
export const LENGTH = 11;

export interface PreparedModel {
  readonly weights: TrainedWeights;
  readonly pass: ModelPass;
}

export function trainingOf({ name, training }: Backend): TrainingOps {
  if (!training) throw new Error(`The ${name} backend does not train.`);
  return training;
}

export function prepareModel(
  backend: Backend,
  { name, model, attention = "full" }: TrainingModel,
  activationCheckpointing = false,
  pattern = parsePattern(attention),
): PreparedModel {
  const training = trainingOf(backend);
  const { spec } = defineModel(name, model, VOCABULARY);
  const weights = new TrainedWeights(backend, training, spec, model.sinks === "zero" ? /attn_sinks/ : undefined);
  weights.initialise(spec, 7);
  const random = new Random(3);
  for (const { values, use } of weights.list) {
    if (/ssm_a/.test(use.name)) continue;
    for (let i = 0; i < values.length; i++) values[i] += (random.double() - 0.5) * (use.ref.rows === 1 ? 0.5 : 0.3);
  }
  const pass = new ModelPass(backend, training, spec, weights, { pattern, activationCheckpointing });
  return { weights, pass };
}

/** Every third prediction is not asked for, and the others weigh 1 to 2. */
export function randomSamples(count: number, seed = 11): Sample[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => ({
    ids: Int32Array.from({ length: LENGTH + 1 }, () => random.below(VOCABULARY)),
    weights: Float32Array.from({ length: LENGTH }, (_, i) => (i % 3 === 0 ? 0 : 1 + random.double())),
  }));
}

export function readGradients({ weights }: PreparedModel): Promise<Float32Array[]> {
  return Promise.all(weights.learning.map(({ gradient }) => gradient.read()));
}
