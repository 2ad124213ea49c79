/**
 * Derivatives of the operations that work on rows, against their formulas in double precision, and these against
 * differences.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Backend, RopeLayout } from "../../src/tensor/backend.js";
import type { KeptTensor } from "../../src/tensor/tensor.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { difference, numbers, tensorOf, weightOf } from "./devices.js";
import {
  differences,
  dot,
  double,
  errorOf,
  Keeps,
  numbersOf,
  type Sum,
  Sums,
  sameBits,
  TRAINING_BACKENDS,
  trainingOf,
} from "./training-checks.js";

const SHAPES = [
  [1, 1],
  [1, 7],
  [5, 33],
  [67, 130],
] as const;

const EPSILON = Math.fround(1e-5);
/** Groups of `width` columns of x, with gains in turn; `layer`: less their means. */
interface Norm {
  readonly layer: boolean;
  readonly width: number;
  readonly x: Float64Array;
  readonly gain: Float64Array;
  readonly dy: Float64Array;
}

function statistics({ layer, width, x }: Norm, start: number) {
  const group = x.subarray(start, start + width);
  const mean = layer ? group.reduce((sum, value) => sum + value, 0) / width : 0;
  const variance = group.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
  return { mean, factor: 1 / Math.sqrt(variance + EPSILON) };
}

function normed(norm: Norm): Float64Array {
  return norm.x.map((value, i) => {
    const { mean, factor } = statistics(norm, i - (i % norm.width));
    return (value - mean) * factor * norm.gain[i % norm.gain.length];
  });
}

/**
 * With z the normed numbers before the gain g: r (g dy - mean(g dy) - z mean(g dy z)), the first mean for layers alone.
 */
function normDerivatives(norm: Norm): { readonly dx: Sum; readonly gain: Sum; readonly bias: Sum } {
  const { layer, width, x, gain, dy } = norm;
  const [dx, gains, biases] = [new Sums(x.length), new Sums(gain.length), new Sums(gain.length)];
  for (let start = 0; start < x.length; start += width) {
    const { mean, factor } = statistics(norm, start);
    const places = Array.from({ length: width }, (_, i) => start + i);
    const z = (i: number) => (x[i] - mean) * factor;
    const g = (i: number) => gain[i % gain.length] * dy[i];
    const level = layer ? places.reduce((sum, i) => sum + g(i), 0) / width : 0;
    const pull = places.reduce((sum, i) => sum + g(i) * z(i), 0) / width;
    const size = places.reduce((sum, i) => sum + Math.abs(g(i)) * (1 + Math.abs(z(i))), 0) / width;
    for (const i of places) {
      dx.add(i, factor * (g(i) - level - z(i) * pull), factor * (Math.abs(g(i)) + (1 + Math.abs(z(i))) * size));
      gains.add(i % gain.length, dy[i] * z(i));
      biases.add(i % gain.length, dy[i]);
    }
  }
  return { dx, gain: gains, bias: biases };
}

/** Pairs of a head's elements that rotate together. */
const pairsOf = (layout: RopeLayout, dims: number): [number, number][] =>
  Array.from({ length: dims / 2 }, (_, i) => (layout === "halves" ? [i, i + dims / 2] : [2 * i, 2 * i + 1]));

/** `turn`: 1 as the angles say, -1 the transposed. */
function rotated(
  x: Float64Array,
  [cols, width, dims]: readonly number[],
  layout: RopeLayout,
  angles: Float32Array,
  turn: number,
): Float64Array {
  const out = x.slice();
  for (let start = 0; start < x.length; start += width) {
    pairsOf(layout, dims).forEach(([a, b], i) => {
      const at = Math.floor(start / cols) * dims + 2 * i;
      const [cos, sin] = [angles[at], turn * angles[at + 1]];
      out[start + a] = x[start + a] * cos - x[start + b] * sin;
      out[start + b] = x[start + a] * sin + x[start + b] * cos;
    });
  }
  return out;
}

describe("the formulas of the derivatives are those of differences", () => {
  const random = new Random(5);
  test.each([false, true])("norms, of layers: %s", (layer) => {
    const [rows, groups, width] = [4, layer ? 1 : 3, 5];
    const norm: Norm = {
      ...{ layer, width, x: double(numbers(random, rows * groups * width, 2)) },
      ...{ gain: double(numbers(random, groups * width)), dy: double(numbers(random, rows * groups * width)) },
    };
    const loss = () => dot(norm.dy, normed(norm));
    const { dx, gain } = normDerivatives(norm);
    expect(difference(differences(norm.x, loss), dx.values)).toBeLessThan(1e-8);
    expect(difference(differences(norm.gain, loss), gain.values)).toBeLessThan(1e-8);
  });

  test.each(["halves", "interleaved"] as const)("rotations, %s", (layout) => {
    const shape = [12, 6, 4];
    const [x, dy] = [double(numbers(random, 24)), double(numbers(random, 24))];
    const angles = numbers(random, 8, 2);
    const found = differences(x, () => dot(dy, rotated(x, shape, layout, angles, 1)));
    expect(difference(found, rotated(dy, shape, layout, angles, -1))).toBeLessThan(1e-8);
  });
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
    random = new Random(11);
    ops.beginStep();
  });
  afterEach(() => keeps.dispose());
  afterAll(() => ops.dispose());

  /** What was there, and the sums added to it. */
  async function expectAdded(gradient: KeptTensor, before: Float32Array, sum: Sum): Promise<void> {
    const values = sum.values.map((value, i) => value + before[i]);
    const sizes = sum.sizes.map((size, i) => size + Math.abs(before[i]));
    const found = await gradient.read();
    // Rounding of 64 terms in a row and 64 sums of such: at most 1e-5 of the sizes, at random some 1e-7.
    expect(errorOf(found, { values, sizes })).toBeLessThan(2e-6);
    sameBits(label, expect.getState().currentTestName?.replace(label, "") ?? "", found);
  }

  test.each(SHAPES)("zeros, copy and accumulate [%i, %i]", async (rows, cols) => {
    const [a, b] = [numbers(random, (rows + 2) * cols), numbers(random, (rows + 2) * cols)];
    const whole = tensorOf(ops, rows + 2, cols, a);
    const middle = ops.rows(whole, 1, rows);
    const before = training.copy(middle);
    training.accumulate(middle, ops.rows(tensorOf(ops, rows + 2, cols, b), 1, rows));
    expect(await numbersOf(ops, training.zeros(rows, cols))).toEqual(new Float32Array(rows * cols));
    expect(await numbersOf(ops, before)).toEqual(a.slice(cols, (rows + 1) * cols));
    // The rows before and behind are left alone.
    const inside = (i: number) => i >= cols && i < (rows + 1) * cols;
    expect(await numbersOf(ops, whole)).toEqual(a.map((value, i) => (inside(i) ? value + b[i] : value)));
  });

  test("what a product made of rows is made anew when something is added to them", async () => {
    const [rows, cols] = [3, 64];
    const [a, b] = [numbers(random, rows * cols), numbers(random, rows * cols)];
    const weight = weightOf(ops, "q4_0", 32, cols, numbers(random, 32 * cols));
    const x = tensorOf(ops, rows, cols, a);
    ops.linear(x, weight);
    training.accumulate(x, tensorOf(ops, rows, cols, b));
    const y = await numbersOf(ops, ops.linear(x, weight));
    const sum = tensorOf(
      ops,
      rows,
      cols,
      a.map((value, i) => value + b[i]),
    );
    expect(y).toEqual(await numbersOf(ops, ops.linear(sum, weight)));
  });

  test.each([
    [1, 1, 1],
    [40, 7, 5],
    [50, 33, 3],
    [300, 130, 40],
  ])("rows scattered: %i of %i columns over %i", async (count, cols, rows) => {
    const ids = Int32Array.from({ length: count }, () => Math.floor(random.double() * rows));
    const dy = numbers(random, count * cols);
    const before = numbers(random, rows * cols);
    const gradient = keeps.of(rows, cols, before);
    const sums = new Sums(rows * cols);
    dy.forEach((value, i) => {
      sums.add(ids[Math.floor(i / cols)] * cols + (i % cols), value);
    });
    const indices = ops.input(ids);
    const rowsOfDy = tensorOf(ops, count, cols, dy);
    training.scatterRows(rowsOfDy, indices, gradient);
    const ungathered = training.ungather(rowsOfDy, indices, rows + 1);
    expect(errorOf((await numbersOf(ops, ungathered)).subarray(0, rows * cols), sums)).toBeLessThan(2e-6);
    expect((await numbersOf(ops, ungathered)).subarray(rows * cols)).toEqual(new Float32Array(cols));
    await expectAdded(gradient, before, sums);
  });

  test.each([
    [1, 1, 1, 1],
    [3, 7, 1, 1],
    [67, 130, 1, 1],
    [9, 20, 4, 1],
    [45, 18, 3, 3],
    [1100, 6, 6, 2],
    [0, 8, 1, 1],
  ])("rmsNorm of %i rows of groups of %i, %i a row, %i gains", async (rows, width, groups, gains) => {
    const cols = width * groups;
    const [x, dy, gain] = [
      numbers(random, rows * cols, 3),
      numbers(random, rows * cols),
      numbers(random, gains * width),
    ];
    const before = numbers(random, gains * width);
    const gradient = keeps.of(gains, width, before);
    const call = {
      ...{ x: tensorOf(ops, rows, cols, x), gain: weightOf(ops, "f32", gains, width, gain), epsilon: EPSILON },
      dy: tensorOf(ops, rows, cols, dy),
    };
    const dx = await numbersOf(ops, training.rmsNormInput({ ...call, gradient }));
    const expected = normDerivatives({ layer: false, width, x: double(x), gain: double(gain), dy: double(dy) });
    expect(errorOf(dx, expected.dx)).toBeLessThan(1e-6);
    expect(await numbersOf(ops, training.rmsNormInput(call))).toEqual(dx);
    await expectAdded(gradient, before, expected.gain);
  });

  test.each([
    [1, 1, 0],
    [3, 7, 3],
    [67, 130, 0],
    [40, 96, 1000],
    [1100, 6, 3],
  ])("layerNorm of [%i, %i] about %i", async (rows, cols, mean) => {
    const x = numbers(random, rows * cols).map((value) => value + mean);
    const [dy, gain] = [numbers(random, rows * cols), numbers(random, cols)];
    const before = numbers(random, cols);
    const [gradient, biasGradient] = [keeps.of(1, cols, before), keeps.of(1, cols, before)];
    const call = {
      ...{ x: tensorOf(ops, rows, cols, x), gain: weightOf(ops, "f32", 1, cols, gain), epsilon: EPSILON },
      dy: tensorOf(ops, rows, cols, dy),
    };
    const dx = await numbersOf(ops, training.layerNormInput({ ...call, gradient, biasGradient }));
    const expected = normDerivatives({ layer: true, width: cols, x: double(x), gain: double(gain), dy: double(dy) });
    expect(errorOf(dx, expected.dx)).toBeLessThan(1e-6);
    expect(await numbersOf(ops, training.layerNormInput(call))).toEqual(dx);
    await expectAdded(gradient, before, expected.gain);
    expect(
      errorOf(await biasGradient.read(), {
        values: expected.bias.values.map((value, i) => value + before[i]),
        sizes: expected.bias.sizes.map((size) => size + 1),
      }),
    ).toBeLessThan(2e-6);
  });

  test.each([
    ["halves", 5, 3, 16, 16],
    ["halves", 3, 2, 20, 10],
    ["interleaved", 5, 3, 16, 16],
    ["interleaved", 3, 2, 22, 6],
    ["interleaved", 1, 1, 2, 2],
  ] as const)("rotate %s, %i rows, %i heads of %i, %i dims", async (layout, rows, heads, width, dims) => {
    const cols = heads * width;
    // Not of length 1: the magnitude of a scaling stays.
    const [dy, angles] = [numbers(random, rows * cols), numbers(random, rows * dims, 2)];
    const values = ops.input(angles);
    const dx = training.rotateBack(tensorOf(ops, rows, cols, dy), width, { layout, dims, values });
    const expected = rotated(double(dy), [cols, width, dims], layout, angles, -1);
    expect(difference(await numbersOf(ops, dx), expected)).toBeLessThan(5e-7);
    // The angles themselves stay as they are.
    const forward = ops.rotate(tensorOf(ops, rows, cols, dy), width, { layout, dims, values });
    const there = rotated(double(dy), [cols, width, dims], layout, angles, 1);
    expect(difference(await ops.read(forward), there)).toBeLessThan(5e-7);
  });
});
