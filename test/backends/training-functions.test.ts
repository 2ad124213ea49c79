/** Derivatives of functions and gates, against their formulas in double precision, and these against differences. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clampedSwiglu, FUNCTIONS as REFERENCE } from "../../src/backends/reference/functions.js";
import type { Backend, ElementFunction, Gating } from "../../src/tensor/backend.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { erfc } from "../support/erfc.js";
import { difference, numbers, tensorOf } from "./devices.js";
import { differences, double, TRAINING_BACKENDS, trainingOf } from "./training-checks.js";

const SHAPES = [
  [1, 1],
  [1, 7],
  [5, 33],
  [67, 130],
] as const;

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const ROOT = Math.sqrt(2 / Math.PI);

/** The normal distribution function. */
const normal = (x: number) => (x < 0 ? erfc(-x / Math.SQRT2) / 2 : 1 - erfc(x / Math.SQRT2) / 2);

/** Differences need all digits: the reference's error function has a step at 4. */
const FUNCTIONS = { ...REFERENCE, geluErf: (x: number) => x * normal(x) };

/** f'(x), with p. */
const SLOPES: Readonly<Record<ElementFunction, (x: number, p: number) => number>> = {
  silu: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
  gelu: (x) => {
    const t = Math.tanh(ROOT * (x + 0.044715 * x ** 3));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * 0.044715 * x * x);
  },
  geluErf: (x) => normal(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  relu: (x) => (x > 0 ? 1 : 0),
  scale: (_, p) => p,
  clamp: (x, p) => (Math.abs(x) <= p ? 1 : 0),
  softcap: (x, p) => 1 - Math.tanh(x / p) ** 2,
};

/** Of the gate and of the values. */
function gateSlopes(gating: Gating, gate: number, up: number): [number, number] {
  if (gating !== "clampedSwiglu") return [SLOPES[gating](gate, 0) * up, FUNCTIONS[gating](gate, 0)];
  const g = Math.min(gate, 7);
  const s = sigmoid(1.702 * g);
  const values = Math.min(Math.max(up, -7), 7) + 1;
  return [gate <= 7 ? s * (1 + 1.702 * g * sigmoid(-1.702 * g)) * values : 0, Math.abs(up) <= 7 ? g * s : 0];
}

const gated = (gating: Gating, gate: number, up: number): number =>
  gating === "clampedSwiglu" ? clampedSwiglu(gate, up) : FUNCTIONS[gating](gate, 0) * up;

const names = Object.keys(SLOPES) as ElementFunction[];
const gatings: readonly Gating[] = ["silu", "gelu", "geluErf", "relu", "clampedSwiglu"];

describe("the formulas of the derivatives are those of differences", () => {
  const random = new Random(5);
  test.each(names)("%s", (f) => {
    const x = double(numbers(random, 200, 6));
    const slopes = x.map((value) => SLOPES[f](value, 2.5));
    const found = x.map((_, i) => differences(x.subarray(i, i + 1), () => FUNCTIONS[f](x[i], 2.5))[0]);
    expect(difference(found, slopes)).toBeLessThan(1e-8);
  });

  test.each(gatings)("gated %s", (gating) => {
    const [gate, up] = [double(numbers(random, 200, 10)), double(numbers(random, 200, 10))];
    for (const [i, inputs] of [gate, up].entries()) {
      const found = inputs.map(
        (_, j) => differences(inputs.subarray(j, j + 1), () => gated(gating, gate[j], up[j]))[0],
      );
      expect(
        difference(
          found,
          gate.map((value, j) => gateSlopes(gating, value, up[j])[i]),
        ),
      ).toBeLessThan(1e-7);
    }
  });
});

describe.each(TRAINING_BACKENDS)("$label", ({ create }) => {
  let ops: Backend;
  let training: TrainingOps;
  let random: Random;
  beforeAll(async () => {
    ops = await create();
    training = trainingOf(ops);
  });
  beforeEach(() => {
    random = new Random(11);
    ops.beginStep();
  });
  afterAll(() => ops.dispose());

  test.each(names.flatMap((f) => SHAPES.map((shape) => [f, ...shape] as const)))(
    "map %s [%i, %i]",
    async (f, rows, cols) => {
      const [x, dy] = [numbers(random, rows * cols, 12), numbers(random, rows * cols)];
      const dx = training.mapInput(tensorOf(ops, rows, cols, x), f, 2.5, tensorOf(ops, rows, cols, dy));
      const expected = Array.from(x, (value, i) => SLOPES[f](value, 2.5) * dy[i]);
      expect(difference(await ops.read(dx), expected)).toBeLessThan(5e-7);
    },
  );

  test.each(gatings.flatMap((gating) => SHAPES.map((shape) => [gating, ...shape] as const)))(
    "gated %s [%i, %i]",
    async (gating, rows, cols) => {
      const [gate, up] = [numbers(random, rows * cols, 12), numbers(random, rows * cols, 9)];
      const dy = numbers(random, rows * cols);
      const [g, u, d] = [gate, up, dy].map((values) => tensorOf(ops, rows, cols, values));
      const found = training.gatedInputs(g, u, gating, d);
      const slopes = Array.from(gate, (value, i) => gateSlopes(gating, value, up[i]).map((slope) => slope * dy[i]));
      expect(
        difference(
          await ops.read(found.gate),
          slopes.map(([slope]) => slope),
        ),
      ).toBeLessThan(1e-6);
      expect(
        difference(
          await ops.read(found.up),
          slopes.map(([, slope]) => slope),
        ),
      ).toBeLessThan(1e-6);
    },
  );

  test.each(["silu", "gelu", "geluErf", "softcap"] as const)("%s far from zero", async (f) => {
    const x = Float32Array.from([-1e30, -1e4, -200, -89, -88, -20, -1e-20, 0, 1e-20, 20, 87, 88, 200, 1e4, 1e30]);
    const dx = training.mapInput(
      tensorOf(ops, 1, 15, x),
      f,
      2.5,
      tensorOf(
        ops,
        1,
        15,
        x.map(() => 1),
      ),
    );
    const limits = f === "softcap" ? [0, 1, 0] : [0, 0.5, 1];
    const expected = Array.from(x, (value) => limits[Math.abs(value) < 1 ? 1 : value < 0 ? 0 : 2]);
    expect(difference(await ops.read(dx), expected)).toBeLessThan(1e-6);
  });
});
