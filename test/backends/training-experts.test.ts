/**
 * Derivatives of mixtures of experts on every backend: the router's against differences in double precision, products and
 * weighted sums against sums in double precision, row by row.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Backend, ExpertWeighting } from "../../src/tensor/backend.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { difference, expertsOf, joined, numbers, tensorOf } from "./devices.js";
import {
  differences,
  dot,
  double,
  errorOf,
  Keeps,
  numbersOf,
  Sums,
  sameBits,
  TRAINING_BACKENDS,
  trainingOf,
} from "./training-checks.js";

interface Router {
  readonly count: number;
  readonly used: number;
  readonly logits: Float32Array;
}

/** By row, the experts with the largest logits. */
function choices({ count, used, logits }: Router): number[][] {
  return Array.from({ length: logits.length / count }, (_, t) => {
    const row = logits.subarray(t * count, (t + 1) * count);
    return Array.from(row.keys())
      .sort((a, b) => row[b] - row[a] || a - b)
      .slice(0, used);
  });
}

function softmax(logits: readonly number[]): number[] {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
}

/** [T, k], for a choice that stays whatever the logits are. */
function weightsOf(router: Router, logits: Float64Array, weighting: ExpertWeighting): Float64Array {
  const { count } = router;
  const rows = choices(router).map((chosen, t) => {
    const row = Array.from(logits.subarray(t * count, (t + 1) * count));
    if (weighting === "chosen") return softmax(chosen.map((expert) => row[expert]));
    const all = softmax(row);
    return chosen.map((expert) => all[expert]);
  });
  return Float64Array.from(rows.flat());
}

/** E sum of f_e P_e. */
function imbalance(router: Router, logits: Float64Array): number {
  const { count } = router;
  const chosen = choices(router);
  const entries = chosen.flat();
  const all = chosen.map((_, t) => softmax(Array.from(logits.subarray(t * count, (t + 1) * count))));
  let sum = 0;
  for (let expert = 0; expert < count; expert++) {
    const share = entries.filter((entry) => entry === expert).length / entries.length;
    sum += share * (all.reduce((total, p) => total + p[expert], 0) / all.length);
  }
  return count * sum;
}

test("experts that share the work evenly have a balance of 1, one that has all of it up to E", () => {
  const even = Float32Array.of(1, 0, 0, 1);
  expect(imbalance({ count: 2, used: 1, logits: even }, double(even))).toBeCloseTo(1, 12);
  const skewed = Float32Array.of(50, 0, 50, 0);
  expect(imbalance({ count: 2, used: 1, logits: skewed }, double(skewed))).toBeCloseTo(2, 12);
});

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
    random = new Random(31);
    ops.beginStep();
  });
  afterEach(() => keeps.dispose());
  afterAll(() => ops.dispose());

  const asTensor = (cols: number, values: Float32Array) => tensorOf(ops, values.length / cols, cols, values);
  const routed = ({ count, used, logits }: Router, weighting: ExpertWeighting = "chosen") =>
    ops.route(asTensor(count, logits), used, weighting);

  test.each(
    (["chosen", "all"] as const).flatMap((weighting) =>
      [
        [1, 1, 1, 0],
        [1, 8, 2, 0],
        [6, 5, 5, 0],
        [9, 4, 1, 0],
        [9, 4, 2, 0.75],
        [5, 16, 4, 2],
        [0, 4, 2, 1],
      ].map(([rows, count, used, balance]) => [weighting, rows, count, used, balance] as const),
    ),
  )(
    "route with weights over %s: %i rows, %i experts, %i used, balance %d",
    async (weighting, rows, count, used, balance) => {
      const router = { count, used, logits: numbers(random, rows * count, 2) };
      const outer = numbers(random, rows * used);
      const logits = double(router.logits);
      const expected = differences(logits, () => {
        return dot(outer, weightsOf(router, logits, weighting)) + balance * (rows && imbalance(router, logits));
      });
      const call = { logits: asTensor(count, router.logits), routing: routed(router, weighting), weighting };
      const dy = asTensor(used, outer);
      expect(
        difference(await numbersOf(ops, training.routingWeights(call.routing)), weightsOf(router, logits, weighting)),
      ).toBeLessThan(1e-6);
      const found = await numbersOf(ops, training.routeInput({ ...call, dy, balance }));
      // Weights below 1 and slopes of about 1, rounded to f32; differences are good to 1e-9.
      expect(difference(found, expected)).toBeLessThan(5e-7);
      if (balance === 0) expect(await numbersOf(ops, training.routeInput({ ...call, dy }))).toEqual(found);
    },
  );

  test("large logits do not overflow", async () => {
    const router = { count: 3, used: 2, logits: Float32Array.of(1000, -1000, 1000) };
    const call = { logits: asTensor(3, router.logits), dy: asTensor(2, Float32Array.of(1, 3)) };
    for (const weighting of ["chosen", "all"] as const) {
      const routing = routed(router, weighting);
      const found = await numbersOf(ops, training.routeInput({ ...call, routing, weighting }));
      expect(difference(found, [-0.5, 0, 0.5])).toBeLessThan(1e-6);
    }
  });

  test.each([
    ["row", 1, 4, 2, 8, 5, true],
    ["entry", 1, 4, 2, 8, 5, true],
    ["row", 7, 3, 1, 33, 12, false],
    ["entry", 7, 3, 3, 12, 33, true],
    ["row", 90, 6, 2, 40, 52, true],
    ["entry", 90, 6, 2, 52, 40, false],
    ["row", 0, 4, 2, 8, 8, true],
  ] as const)(
    "expertLinear of an x for each %s: %i rows, %i experts, %i used, %i to %i, biases %s",
    async (per, rows, count, used, cols, width, biased) => {
      // The last expert is never chosen unless all are.
      const logits = numbers(random, rows * count).map((logit, i) => (i % count === count - 1 ? logit - 9 : logit));
      const router = { count, used, logits };
      const x = numbers(random, rows * (per === "row" ? 1 : used) * cols);
      const dy = numbers(random, rows * used * width);
      const matrices = Array.from({ length: count }, () => numbers(random, width * cols));
      const dx = new Sums(x.length);
      const before = numbers(random, width * cols);
      const begun = (values: Float32Array) => {
        const sums = new Sums(values.length);
        values.forEach((value, i) => {
          sums.add(i, value);
        });
        return sums;
      };
      const ofWeights = matrices.map(() => begun(before));
      const ofBiases = matrices.map(() => begun(before.slice(0, width)));
      choices(router)
        .flat()
        .forEach((expert, entry) => {
          const from = (per === "row" ? Math.floor(entry / used) : entry) * cols;
          for (let o = 0; o < width; o++) {
            const slope = dy[entry * width + o];
            ofBiases[expert].add(o, slope);
            for (let i = 0; i < cols; i++) {
              dx.add(from + i, slope * matrices[expert][o * cols + i]);
              ofWeights[expert].add(o * cols + i, slope * x[from + i]);
            }
          }
        });
      const experts = expertsOf(ops, "f32", { rows: width, cols }, matrices);
      const gradient = keeps.of(count * width, cols, joined(matrices.map(() => before)));
      const biasBefore = joined(matrices.map(() => before.slice(0, width)));
      const biasGradient = biased ? keeps.of(count, width, biasBefore) : undefined;
      const call = { x: asTensor(cols, x), experts, routing: routed(router), dy: asTensor(width, dy) };
      const found = await numbersOf(ops, training.expertLinearInput({ ...call, gradient, biasGradient }));
      const name = `${per} ${rows} ${count} ${used} ${cols} ${width}`;
      sameBits(label, `dx ${name}`, found);
      // Sums of at most 180 terms: at random some units of 2^-24 of their sizes.
      expect(errorOf(found, dx)).toBeLessThan(2e-6);
      const [foundWeights, foundBiases] = [await gradient.read(), await biasGradient?.read()];
      for (let expert = 0; expert < count; expert++) {
        const ofWeight = foundWeights.slice(expert * width * cols, (expert + 1) * width * cols);
        sameBits(label, `dW ${name} ${expert}`, ofWeight);
        expect(errorOf(ofWeight, ofWeights[expert])).toBeLessThan(2e-6);
        const ofBias = foundBiases?.slice(expert * width, (expert + 1) * width);
        if (ofBias) expect(errorOf(ofBias, ofBiases[expert])).toBeLessThan(2e-6);
        if (used < count && expert === count - 1) expect(ofWeight).toEqual(before);
      }
      // Frozen experts: the same dx.
      expect(await numbersOf(ops, training.expertLinearInput(call))).toEqual(found);
    },
  );

  test.each([
    [1, 4, 2, 33],
    [7, 8, 3, 64],
    [90, 6, 2, 130],
    [3, 2, 1, 1],
    [5, 4, 4, 7],
    [0, 4, 2, 8],
  ])("mixExperts of %i rows, %i experts, %i used, %i columns", async (rows, count, used, cols) => {
    const router = { count, used, logits: numbers(random, rows * count, 3) };
    const y = numbers(random, rows * used * cols);
    const outer = numbers(random, rows * cols);
    const weights = weightsOf(router, double(router.logits), "all");
    const [ofY, ofWeights] = [new Sums(y.length), new Sums(rows * used)];
    y.forEach((value, i) => {
      const entry = Math.floor(i / cols);
      const slope = outer[Math.floor(entry / used) * cols + (i % cols)];
      ofY.add(i, weights[entry] * slope);
      ofWeights.add(entry, value * slope);
    });
    const d = training.mixExpertsInputs(asTensor(cols, y), routed(router, "all"), asTensor(cols, outer));
    expect(errorOf(await numbersOf(ops, d.y), ofY)).toBeLessThan(1e-6);
    expect(errorOf(await numbersOf(ops, d.weights), ofWeights)).toBeLessThan(2e-6);
    sameBits(label, `mix ${rows} ${used} ${cols}`, await numbersOf(ops, d.y));
    sameBits(label, `mix weights ${rows} ${used} ${cols}`, await numbersOf(ops, d.weights));
  });
});
