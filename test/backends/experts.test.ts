/** Mixture of experts on every backend: who is chosen, what they compute, and the weighted sum, in double precision. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, type ExpertWeighting, FEW_ROWS } from "../../src/tensor/backend.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import { stored } from "../support/stored.js";
import { DEVICES, difference, expertsOf, numbers, tensorOf } from "./devices.js";

/** The experts of a row, largest logit first, and their weights. */
function chosen(logits: Float32Array, used: number, weighting: ExpertWeighting) {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const experts = order.slice(0, used);
  const sum = (of: readonly number[]) => of.reduce((total, e) => total + Math.exp(logits[e]), 0);
  const total = sum(weighting === "chosen" ? experts : order);
  return { experts, weights: experts.map((e) => Math.exp(logits[e]) / total) };
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  const random = new Random(29);
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  /** With one logit for each of these rows, the experts [T, k] that the backend chose, told by 1x1 matrices of their numbers. */
  async function choices(logits: Float32Array, rows: number, used: number, weighting: ExpertWeighting) {
    const count = logits.length / rows;
    const routing = ops.route(tensorOf(ops, rows, count, logits), used, weighting);
    expect([routing.rows, routing.used]).toEqual([rows, used]);
    const numbered = Array.from({ length: count }, (_, expert) => Float32Array.of(expert));
    const names = expertsOf(ops, "f32", { rows: 1, cols: 1 }, numbered);
    const ones = tensorOf(ops, rows, 1, new Float32Array(rows).fill(1));
    const experts = (await ops.read(ops.expertLinear(ones, names, routing))).slice();
    const each = tensorOf(
      ops,
      rows * used,
      used,
      Float32Array.from({ length: rows * used * used }, (_, i) => (i % used === Math.floor(i / used) % used ? 1 : 0)),
    );
    const weights = (await ops.read(ops.mixExperts(each, routing))).slice();
    return { experts, weights };
  }

  test.each(
    (["chosen", "all"] as const).flatMap((weighting) =>
      [
        [1, 8, 2],
        [1, 1, 1],
        [5, 5, 5],
        [40, 128, 8],
        [3, 32, 4],
      ].map(([rows, count, used]) => [weighting, rows, count, used] as const),
    ),
  )("the weights are a softmax over %s: %i rows, %i experts, %i used", async (weighting, rows, count, used) => {
    ops.beginStep();
    const logits = numbers(random, rows * count, 5);
    const { experts, weights } = await choices(logits, rows, used, weighting);
    for (let t = 0; t < rows; t++) {
      const expected = chosen(logits.subarray(t * count, (t + 1) * count), used, weighting);
      expect(Array.from(experts.subarray(t * used, (t + 1) * used))).toEqual(expected.experts);
      expect(difference(weights.subarray(t * used, (t + 1) * used), expected.weights)).toBeLessThan(1e-6);
    }
  });

  test("of equal logits the first is chosen; large ones do not overflow", async () => {
    ops.beginStep();
    const logits = Float32Array.from([1, 3, 3, 2, 3, 1000, -1000, 1000, 999, 0]);
    const { experts, weights } = await choices(logits, 2, 3, "chosen");
    expect(Array.from(experts)).toEqual([1, 2, 4, 0, 2, 3]);
    const e = Math.exp(-1);
    const expected = [1 / 3, 1 / 3, 1 / 3, 1 / (2 + e), 1 / (2 + e), e / (2 + e)];
    expect(difference(weights, expected)).toBeLessThan(1e-6);
  });

  /** What it chose is tested above; here the logits decide who computes. */
  async function computed(dtype: DType, shape: readonly number[], biased: boolean, logits: Float32Array) {
    const [rows, count, used, cols, width] = shape;
    ops.beginStep();
    const values = Array.from({ length: count }, () => numbers(random, width * cols));
    const offsets = values.map(() => numbers(random, width));
    const experts = expertsOf(ops, dtype, { rows: width, cols }, values, biased ? offsets : undefined);
    ops.weightsLoaded();
    const routing = ops.route(tensorOf(ops, rows, count, logits), used, "chosen");
    const perEntry = [false, true];
    for (const entries of perEntry) {
      const x = numbers(random, rows * (entries ? used : 1) * cols);
      const input = tensorOf(ops, rows * (entries ? used : 1), cols, x);
      // Twice, as gate and up read one input.
      const found = [0, 1].map(() => ops.expertLinear(input, experts, routing));
      const [first, second] = [(await ops.read(found[0])).slice(), (await ops.read(found[1])).slice()];
      expect(second).toEqual(first);
      expect(first.length).toBe(rows * used * width);
      const choice = Array.from({ length: rows }, (_, t) =>
        chosen(logits.subarray(t * count, (t + 1) * count), used, "all"),
      );
      for (let at = 0; at < rows * used; at++) {
        const expert = choice[Math.floor(at / used)].experts[at % used];
        const start = (entries ? at : Math.floor(at / used)) * cols;
        const row = x.subarray(start, start + cols);
        for (let o = 0; o < width; o++) {
          const w = stored(dtype, values[expert].subarray(o * cols, (o + 1) * cols));
          const expected = w.reduce((sum, v, i) => sum + v * row[i], biased ? offsets[expert][o] : 0);
          const allowed = 1e-5 + halfStep(dtype, w, row, rows);
          expect(Math.abs(first[at * width + o] - expected)).toBeLessThan(allowed);
        }
      }
    }
  }

  test.each([
    ["f32", 1, 8, 2, 20, 7],
    ["f32", 30, 4, 2, 33, 5],
    ["f16", 5, 3, 2, 64, 9],
    ["q8_0", 1, 8, 4, 64, 33],
    ["q8_0", 2, 8, 2, 64, 12],
    ["q8_0", 70, 5, 2, 96, 20],
    ["q4_0", 1, 6, 3, 64, 16],
    ["q4_0", 24, 4, 2, 64, 16],
    // Rows of all experts that come in eights, those of one that do not.
    ["q4_0", 9, 4, 2, 64, 6],
    ["q4_k", 2, 4, 2, 256, 10],
    ["q4_k", 1, 4, 2, 256, 8],
    ["q4_k", 9, 4, 3, 256, 9],
    ["q6_k", 12, 2, 1, 256, 6],
    ["mxfp4", 1, 8, 4, 96, 12],
    ["mxfp4", 30, 4, 2, 96, 12],
    ["q8_0", 3, 16, 8, 32, 8],
    ["q8_0", 0, 4, 2, 32, 8],
  ] as const)(
    "products in %s: %i rows, %i experts, %i used, %i to %i",
    async (dtype, rows, count, used, cols, width) => {
      const logits = numbers(random, rows * count, 3);
      for (const biased of [false, true]) await computed(dtype, [rows, count, used, cols, width], biased, logits);
    },
  );

  test("all rows may go to one expert", async () => {
    const logits = Float32Array.from({ length: 20 * 4 }, (_, i) => (i % 4 === 2 ? 9 : 0));
    await computed("q8_0", [20, 4, 1, 64, 9], true, logits);
  });

  test.each([
    [1, 4, 2, 33],
    [7, 8, 3, 64],
    [50, 6, 2, 130],
    [1, 8, 8, 5],
    [3, 2, 1, 1],
    [0, 4, 2, 8],
  ])("mixExperts of %i rows, %i experts, %i used, %i columns", async (rows, count, used, cols) => {
    ops.beginStep();
    const logits = numbers(random, rows * count, 3);
    const y = numbers(random, rows * used * cols);
    const routing = ops.route(tensorOf(ops, rows, count, logits), used, "all");
    const found = await ops.read(ops.mixExperts(tensorOf(ops, rows * used, cols, y), routing));
    const expected = Array.from({ length: rows * cols }, (_, i) => {
      const t = Math.floor(i / cols);
      const { weights } = chosen(logits.subarray(t * count, (t + 1) * count), used, "all");
      return weights.reduce((sum, weight, j) => sum + weight * y[(t * used + j) * cols + (i % cols)], 0);
    });
    expect(difference(found, expected)).toBeLessThan(1e-6);
  });
});

/** The most that a product may be off: quantised weights meet activations of 16 bits, where there are many of 8. */
function halfStep(dtype: DType, weights: Float32Array, x: Float32Array, rows: number): number {
  if (DTYPES[dtype].blockSize === 1) return 0;
  const step = x.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / (rows < FEW_ROWS ? 16383 : 127);
  return (step / 2) * weights.reduce((sum, w) => sum + Math.abs(w), 0);
}
