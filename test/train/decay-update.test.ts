/** Decays of state spaces learn in the logarithm of their size, where AdamW's step is the usual one. */
import { describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { isDecay, updateDecay } from "../../src/train/decay-update.js";
import type { TrainedWeight } from "../../src/train/trained-weights.js";
import { Random } from "../../src/util/random.js";
import { directionalError } from "../support/finite-differences.js";
import { prepareModel, randomSamples, readGradients } from "../support/prepared-model.js";
import { TRAINING_MODELS } from "../support/training-models.js";

const FACTOR = 1 / 16;

describe.each(["mamba", "mamba2"])("%s", (name) => {
  const model = TRAINING_MODELS.find((each) => each.name === name) ?? TRAINING_MODELS[0];

  async function prepared() {
    const backend = await createBackend("reference", { threads: 1 });
    const { weights, pass } = prepareModel(backend, model);
    const batch = randomSamples(2);
    await pass.learn(batch, FACTOR);
    const decays = weights.learning.filter(isDecay);
    return { weights, pass, batch, decays };
  }

  it("has two decays, and nothing else is one", async () => {
    const { decays } = await prepared();
    expect(decays.map(({ use }) => use.name)).toEqual(["blk.0.ssm_a", "blk.1.ssm_a"]);
    expect(decays.map((each) => each.decays)).toEqual([false, false]);
  });

  it("the gradient of log(-a) is the gradient of a times a, by differences of the loss in log space", async () => {
    const { weights, pass, batch, decays } = await prepared();
    const all = await readGradients({ weights, pass });
    const parameters = decays.map(({ values }) => values.map((a) => Math.log(-a)));
    // What the optimizer takes for the gradient: its first moment without a memory.
    const gradients: Float32Array[] = [];
    for (const of of decays) {
      const before = of.values.slice();
      await updateDecay(of, { ...PLAIN, beta1: 0, correction1: 1 });
      gradients.push((await of.first.read()).slice());
      of.values.set(before);
      const gradient = all[weights.learning.indexOf(of)];
      gradients.at(-1)?.forEach((value, i) => {
        expect(value).toBe(Math.fround(gradient[i] * before[i]));
      });
    }
    const loss = async (moved: readonly Float32Array[]) => {
      decays.forEach(({ values }, i) => {
        values.set(moved[i].map((log) => -Math.exp(log)));
      });
      const losses = await pass.evaluate(batch);
      return losses.reduce(
        (sum, row, s) => sum + row.reduce((part, value, i) => part + value * batch[s].weights[i] * FACTOR, 0),
        0,
      );
    };
    // Decays move the loss little, so its rounding shows unless steps are long: 2e-6 of the loss over a small gradient.
    expect(await directionalError({ parameters, loss, gradients, seed: 3, step: 2 ** -3 })).toBeLessThan(2e-3);
  });
});

const PLAIN = {
  rate: 0.01,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  correction1: 1 - 0.9 ** 3,
  correction2: 1 - 0.99 ** 3,
  gradientScale: 1,
};

describe("the step", () => {
  async function weight(values: readonly number[], gradients: readonly number[]): Promise<TrainedWeight> {
    const backend = await createBackend("reference", { threads: 1 });
    const [random, count] = [new Random(2), values.length];
    const kept = (of: ArrayLike<number>) => {
      const tensor = backend.kept(1, count);
      tensor.write(Float32Array.from(of));
      return tensor;
    };
    const { weight: made } = backend.allocWeight({ name: "a", dtype: "f32", rows: 1, cols: count });
    const ref = { tensor: "blk.0.ssm_a", rows: 1, cols: count, exact: true };
    return {
      use: { name: "blk.0.ssm_a", ref, layer: 0 },
      weight: made,
      values: Float32Array.from(values),
      gradient: kept(gradients),
      first: kept(values.map(() => random.double() - 0.5)),
      second: kept(values.map(() => random.double())),
      decays: false,
    };
  }

  it("is AdamW's, of the logarithm, with the gradient scaled", async () => {
    const of = await weight([-1, -0.01, -16, -3], [0.5, -2, 0.03, 0]);
    const [g, m, v] = await Promise.all([of.gradient, of.first, of.second].map(async (x) => (await x.read()).slice()));
    const before = of.values.slice();
    await updateDecay(of, { ...PLAIN, gradientScale: 0.25 });
    const [m2, v2] = [await of.first.read(), await of.second.read()];
    before.forEach((a, i) => {
      const gradient = 0.25 * g[i] * a;
      const first = 0.9 * m[i] + 0.1 * gradient;
      const second = 0.99 * v[i] + 0.01 * gradient ** 2;
      expect(Math.abs(m2[i] - first)).toBeLessThanOrEqual(2 ** -24 * Math.abs(first));
      expect(Math.abs(v2[i] - second)).toBeLessThanOrEqual(2 ** -24 * second);
      const log = Math.log(-a) - (0.01 * (first / PLAIN.correction1)) / (Math.sqrt(second / PLAIN.correction2) + 1e-8);
      // Moments are rounded to f32 before the step is taken of them.
      expect(Math.abs(of.values[i] / -Math.exp(log) - 1)).toBeLessThan(3 * 2 ** -24);
    });
  });

  it("never reaches or crosses zero, however large", async () => {
    const of = await weight([-1, -16], [-1e6, 1e6]);
    for (let step = 0; step < 20; step++) await updateDecay(of, { ...PLAIN, rate: 1 });
    for (const value of of.values) {
      expect(value).toBeLessThan(0);
      expect(Number.isFinite(value)).toBe(true);
    }
  });
});
