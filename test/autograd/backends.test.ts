/** Gradients of whole models on the kernels: those of the reference backend, which models.test.ts checks. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { prepareModel, randomSamples, readGradients } from "../support/prepared-model.js";
import { TRAINING_MODELS, type TrainingModel } from "../support/training-models.js";

const FACTOR = 1 / 16;
/**
 * Of a weight's gradient as a whole. It has gone through some fifty roundings of 2^-24 forward and back, which add up as
 * their root, 2^-21; norms and softmaxes pass errors on enlarged by up to ten or so.
 */
const TOLERANCE = 2 ** -17;

let reference: Backend;
let one: Backend;
let two: Backend;
beforeAll(async () => {
  reference = await createBackend("reference", { threads: 1 });
  [one, two] = await Promise.all(
    [1, 2].map((threads) => createWasmBackend({ threads, parallelNs: 0, maxMemoryBytes: 2 ** 28 })),
  );
});
afterAll(() => Promise.all([reference, one, two].map((backend) => backend.dispose())));

async function learnt(backend: Backend, model: TrainingModel, checkpointing = false) {
  const prepared = prepareModel(backend, model, checkpointing);
  const losses = await prepared.pass.learn(randomSamples(2), FACTOR);
  const gradients = await readGradients(prepared);
  const names = prepared.weights.learning.map(({ use }) => use.name);
  prepared.pass.dispose();
  prepared.weights.dispose();
  return { losses, gradients, names };
}

describe.each(TRAINING_MODELS)("$name", (model) => {
  it("has the reference's gradients but for rounding, and the same bits on two threads and with layers computed anew", async () => {
    const exact = await learnt(reference, model);
    const found = await learnt(one, model);
    expect(await learnt(two, model)).toEqual(found);
    expect(await learnt(two, model, true)).toEqual(found);
    const sizes = exact.gradients.map((gradient) => Math.hypot(...gradient));
    const largest = Math.max(...sizes);
    const wrong = exact.gradients.flatMap((gradient, i) => {
      const error = Math.hypot(...gradient.map((value, j) => found.gradients[i][j] - value));
      // Biases of keys have a gradient of 0 where nothing is rotated: there is rounding alone.
      const relative = error / Math.max(sizes[i], largest / 100);
      return relative < TOLERANCE ? [] : [[exact.names[i], relative, sizes[i]]];
    });
    expect(wrong).toEqual([]);
    const losses = exact.losses.flatMap((row) => [...row]);
    found.losses
      .flatMap((row) => [...row])
      .forEach((loss, i) => {
        expect(Math.abs(loss - losses[i])).toBeLessThanOrEqual(TOLERANCE * losses[i]);
      });
  });
});
