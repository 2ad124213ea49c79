/**
 * Gradients of whole models: every architecture that can be trained, by differences of its own loss on the reference
 * backend; and the same numbers when layers keep nothing but their inputs.
 */
import { describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { directionalErrors } from "../support/finite-differences.js";
import { PinnedRoutes } from "../support/pinned-routes.js";
import { prepareModel, randomSamples, readGradients } from "../support/prepared-model.js";
import { TRAINING_MODELS } from "../support/training-models.js";

const FACTOR = 1 / 16;
/** Of a parameter's size. Truncation grows with its fourth power, rounding with its inverse; either way errors stay below. */
const STEP = 2 ** -6;
const TOLERANCE = 2e-3;

describe.each(TRAINING_MODELS)("$name", (model) => {
  it("has the gradients that differences of its loss give", async () => {
    const backend = new PinnedRoutes();
    const { weights, pass } = prepareModel(backend, model);
    const batch = randomSamples(2);
    await pass.learn(batch, FACTOR);
    const gradients = await readGradients({ weights, pass });
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
    const kept = prepareModel(backend, model);
    const anew = prepareModel(backend, model, true);
    const batch = randomSamples(3);
    const [a, b] = [await kept.pass.learn(batch, FACTOR), await anew.pass.learn(batch, FACTOR)];
    expect(b).toEqual(a);
    expect(await readGradients(anew)).toEqual(await readGradients(kept));
  });
});
