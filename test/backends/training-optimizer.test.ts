/** The optimizer's operations against their definitions in double precision. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import type { AdamWCall, TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { difference, numbers, tensorOf, weightOf } from "./devices.js";
import { Keeps, numbersOf, sameBits, TRAINING_BACKENDS, trainingOf } from "./training-checks.js";

type Rates = Omit<AdamWCall, "weight" | "gradient" | "first" | "second">;

const RATES: Omit<Rates, "correction1" | "correction2"> = {
  ...{ rate: 3e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.1, gradientScale: 0.7 },
};
const ratesAt = (step: number): Rates => ({
  ...{ ...RATES, correction1: 1 - RATES.beta1 ** step, correction2: 1 - RATES.beta2 ** step },
});

/** The definition, for arrays that change. */
function adamW(w: Float64Array, gradient: Float32Array, m: Float64Array, v: Float64Array, rates: Rates): void {
  const { rate, beta1, beta2, epsilon, decay, gradientScale } = rates;
  for (let i = 0; i < w.length; i++) {
    const g = gradient[i] * gradientScale;
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    const size = Math.sqrt(v[i] / rates.correction2) + epsilon;
    w[i] -= rate * (m[i] / rates.correction1 / size + decay * w[i]);
  }
}

describe.each(TRAINING_BACKENDS)("$label", ({ label, create }) => {
  let ops: Backend;
  let training: TrainingOps;
  let keeps: Keeps;
  let random: Random;
  beforeAll(async () => {
    ops = await create();
    training = trainingOf(ops);
    keeps = new Keeps(ops);
  });
  beforeEach(() => {
    random = new Random(29);
    ops.beginStep();
  });
  afterEach(() => keeps.dispose());
  afterAll(() => ops.dispose());

  test("clear", async () => {
    const kept = keeps.of(7, 33, numbers(random, 7 * 33));
    training.clear(kept);
    expect(await kept.read()).toEqual(new Float32Array(7 * 33));
  });

  test("sums of squares lose nothing", async () => {
    // The last one has 20000 small numbers behind a large one: added to it one by one in f32, they would be lost.
    const tail = Float32Array.from({ length: 20001 }, (_, i) => (i === 0 ? 1000 : 0.1));
    const all = [numbers(random, 1), numbers(random, 4096), numbers(random, 12289, 30), new Float32Array(5), tail];
    const sums = training.sumsOfSquares(all.map((values) => keeps.of(1, values.length, values)));
    expect([sums.rows, sums.cols]).toEqual([1, all.length]);
    const found = await numbersOf(ops, sums);
    const expected = all.map((values) => values.reduce((sum, value) => sum + value * value, 0));
    expected.forEach((sum, i) => {
      expect(Math.abs(found[i] - sum)).toBeLessThanOrEqual(6e-8 * sum);
    });
    sameBits(label, "sums of squares", found);
    expect(await numbersOf(ops, training.sumsOfSquares([]))).toEqual(new Float32Array(0));
  });

  test.each([
    [1, 1],
    [5, 33],
    [67, 130],
  ])("five steps of AdamW for [%i, %i]", async (rows, cols) => {
    const count = rows * cols;
    const start = numbers(random, count);
    const [w, m, v] = [Float64Array.from(start), new Float64Array(count), new Float64Array(count)];
    const slot = ops.allocWeight({ name: "trained", dtype: "f32", rows, cols });
    const weight = slot.weight;
    slot.write(0, new Uint8Array(start.buffer));
    const [gradient, first, second] = [keeps.of(rows, cols), keeps.of(rows, cols), keeps.of(rows, cols)];
    for (let step = 1; step <= 5; step++) {
      // Sizes from 1e-6 to 1: the step does not depend on them.
      const slopes = numbers(random, count).map((value, i) => value * 10 ** -(i % 7));
      ops.beginStep();
      gradient.write(slopes);
      training.adamW({ weight, gradient, first, second, ...ratesAt(step) });
      adamW(w, slopes, m, v, ratesAt(step));
    }
    const ids = ops.input(Int32Array.from({ length: rows }, (_, row) => row));
    const found = await numbersOf(ops, ops.embed(weight, ids));
    // Five roundings of the weight, and of a step that is a thousandth of it.
    expect(difference(found, w)).toBeLessThan(3e-7);
    const moves = w.map((value, i) => value - start[i]);
    expect(
      difference(
        found.map((value, i) => (value - start[i]) / RATES.rate),
        moves.map((x) => x / RATES.rate),
      ),
    ).toBeLessThan(2e-4);
    expect(
      difference(
        (await first.read()).map((x, i) => x * 10 ** (i % 7)),
        m.map((x, i) => x * 10 ** (i % 7)),
      ),
    ).toBeLessThan(1e-6);
    const scaled = (x: number, i: number) => x * 100 ** (i % 7);
    expect(difference((await second.read()).map(scaled), v.map(scaled))).toBeLessThan(1e-6);
    sameBits(label, `AdamW ${rows} ${cols}`, found);
  });

  /** Kernels read weights without saying so: commands that wait must see the numbers of their place in the order. */
  test("what is computed before a step sees the old weight, after it the new one", async () => {
    const [rows, channels, width] = [6, 40, 4];
    const x = tensorOf(ops, rows, channels, numbers(random, rows * channels));
    const gain = weightOf(ops, "f32", 1, channels, new Float32Array(channels).fill(1));
    const kernel = weightOf(ops, "f32", channels, width, new Float32Array(channels * width).fill(0.5));
    const moments = (r: number, c: number) => ({
      ...{ gradient: keeps.of(r, c, new Float32Array(r * c).fill(1)), first: keeps.of(r, c), second: keeps.of(r, c) },
    });
    const [before, after] = [keeps.of(width - 1, channels), keeps.of(width - 1, channels)];
    const results = () => [ops.rmsNorm(x, gain, 1e-5), ops.convolution({ x, kernel, before, after })];
    const old = results();
    // Gradients of 1 in a first step: every number goes down by the rate.
    const rates = { ...RATES, rate: 0.25, decay: 0, correction1: 0.1, correction2: 1e-3, gradientScale: 1 };
    training.adamW({ weight: gain, ...moments(1, channels), ...rates });
    training.adamW({ weight: kernel, ...moments(channels, width), ...rates });
    const changed = results();
    const gainNow = weightOf(ops, "f32", 1, channels, new Float32Array(channels).fill(0.75));
    const kernelNow = weightOf(ops, "f32", channels, width, new Float32Array(channels * width).fill(0.25));
    const wanted = [ops.rmsNorm(x, gainNow, 1e-5), ops.convolution({ x, kernel: kernelNow, before, after })];
    const gainOld = weightOf(ops, "f32", 1, channels, new Float32Array(channels).fill(1));
    const kernelOld = weightOf(ops, "f32", channels, width, new Float32Array(channels * width).fill(0.5));
    const was = [ops.rmsNorm(x, gainOld, 1e-5), ops.convolution({ x, kernel: kernelOld, before, after })];
    for (const i of [0, 1]) {
      expect(difference(await numbersOf(ops, changed[i]), await numbersOf(ops, wanted[i]))).toBeLessThan(1e-6);
      expect(await numbersOf(ops, old[i])).toEqual(await numbersOf(ops, was[i]));
    }
  });
});
