/**
 * Gradients of whole models: every architecture that can be trained, by differences of its own loss on the reference
 * backend; and the same numbers when layers keep nothing but their inputs.
 */
import { describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import type { Backend } from "../../src/tensor/backend.js";
import { defineModel } from "../../src/train/model-definition.js";
import { ModelPass } from "../../src/train/pass.js";
import { parsePattern } from "../../src/train/patterns/pattern.js";
import { TrainedWeights } from "../../src/train/trained-weights.js";
import { Random } from "../../src/util/random.js";
import { directionalErrors } from "../support/finite-differences.js";
import { PinnedRoutes } from "../support/pinned-routes.js";
import { TRAINING_MODELS, type TrainingModel } from "../support/training-models.js";

const VOCABULARY = 23;
const LENGTH = 11;
const FACTOR = 1 / 16;
/** Of a parameter's size. Truncation grows with its fourth power, rounding with its inverse; either way errors stay below. */
const STEP = 2 ** -6;
const TOLERANCE = 2e-3;

interface Prepared {
  readonly weights: TrainedWeights;
  readonly pass: ModelPass;
}

function prepare(
  backend: Backend,
  { name, model, attention = "full" }: TrainingModel,
  checkpointing: boolean,
): Prepared {
  const { training } = backend;
  if (!training) throw new Error("no training");
  const { spec } = defineModel(name, model, VOCABULARY);
  const weights = new TrainedWeights(backend, training, spec, model.sinks === "zero" ? /attn_sinks/ : undefined);
  weights.initialise(spec, 7);
  // Further from zero than a fresh model is, so that every part matters.
  const random = new Random(3);
  for (const { values, use } of weights.list) {
    if (/ssm_a/.test(use.name)) continue;
    for (let i = 0; i < values.length; i++) values[i] += (random.double() - 0.5) * (use.ref.rows === 1 ? 0.5 : 0.3);
  }
  const pattern = parsePattern(attention);
  const pass = new ModelPass(backend, training, spec, weights, { pattern, activationCheckpointing: checkpointing });
  return { weights, pass };
}

function samples(count: number) {
  const random = new Random(11);
  return Array.from({ length: count }, () => ({
    ids: Int32Array.from({ length: LENGTH + 1 }, () => random.below(VOCABULARY)),
    weights: Float32Array.from({ length: LENGTH }, (_, i) => (i % 3 === 0 ? 0 : 1 + random.double())),
  }));
}

const read = (gradients: TrainedWeights) => Promise.all(gradients.learning.map(({ gradient }) => gradient.read()));

describe.each(TRAINING_MODELS)("$name", (model) => {
  it("has the gradients that differences of its loss give", async () => {
    const backend = new PinnedRoutes();
    const { weights, pass } = prepare(backend, model, false);
    const batch = samples(2);
    await pass.learn(batch, FACTOR);
    const gradients = await read(weights);
    const parameters = weights.learning.map(({ values }) => values.slice());
    const loss = async (moved: readonly Float32Array[]) => {
      weights.learning.forEach(({ values }, i) => {
        values.set(moved[i]);
      });
      const losses = await pass.evaluate(batch);
      return losses.reduce(
        (sum, row, s) => sum + row.reduce((part, value, i) => part + value * batch[s].weights[i] * FACTOR, 0),
        0,
      );
    };
    const errors = await directionalErrors({ parameters, loss, gradients, seed: 5, directions: 1, step: STEP });
    const sizes = gradients.map((gradient) => Math.hypot(...gradient));
    const largest = Math.max(...sizes);
    // Rounding of the loss is the same however small a weight's gradient is (that of keys' biases is 0 without rotation).
    const wrong = errors.flatMap((error, i) => {
      const relative = (error * sizes[i]) / Math.max(sizes[i], largest / 100);
      return relative < TOLERANCE ? [] : [[weights.learning[i].use.name, relative, sizes[i]]];
    });
    expect(wrong).toEqual([]);
  });

  it("has the same gradients when layers are computed anew", async () => {
    const backend = await createBackend("reference", { threads: 1 });
    const kept = prepare(backend, model, false);
    const anew = prepare(backend, model, true);
    const batch = samples(3);
    const [a, b] = [await kept.pass.learn(batch, FACTOR), await anew.pass.learn(batch, FACTOR)];
    expect(b).toEqual(a);
    expect(await read(anew.weights)).toEqual(await read(kept.weights));
  });
});
