/** Every operation that works on rows, on every backend, against its formula in double precision. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, FEW_ROWS, type RopeLayout } from "../../src/tensor/backend.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import { stored } from "../support/stored.js";
import { DEVICES, difference, numbers, tensorOf, turns, weightOf } from "./devices.js";

const SHAPES = [
  [1, 1],
  [1, 7],
  [3, 64],
  [2, 172],
  [5, 33],
  [1, 4096],
  [67, 130],
] as const;

/** Pairs of a head's elements that rotate together. */
function pairsOf(layout: RopeLayout, dims: number): [number, number][] {
  return Array.from({ length: dims / 2 }, (_, i) => (layout === "halves" ? [i, i + dims / 2] : [2 * i, 2 * i + 1]));
}

function rotated(x: Float32Array, width: number, layout: RopeLayout, dims: number, angles: Float32Array, cols: number) {
  const out = Float64Array.from(x);
  for (let start = 0; start < x.length; start += width) {
    const row = Math.floor(start / cols);
    pairsOf(layout, dims).forEach(([a, b], i) => {
      const cos = angles[row * dims + 2 * i];
      const sin = angles[row * dims + 2 * i + 1];
      out[start + a] = x[start + a] * cos - x[start + b] * sin;
      out[start + b] = x[start + a] * sin + x[start + b] * cos;
    });
  }
  return out;
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  const random = new Random(7);
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  test.each(SHAPES)("rmsNorm of rows [%i, %i]", async (rows, cols) => {
    ops.beginStep();
    const x = numbers(random, rows * cols, 30);
    const gain = numbers(random, cols);
    const y = ops.rmsNorm(tensorOf(ops, rows, cols, x), weightOf(ops, "f32", 1, cols, gain), 1e-5);
    const expected = Array.from(x, (value, i) => {
      const row = x.subarray(i - (i % cols), i - (i % cols) + cols);
      return (value * gain[i % cols]) / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / cols + 1e-5);
    });
    expect(difference(await ops.read(y), expected)).toBeLessThan(1e-6);
  });

  test.each([
    ["f32", 3, 5, 8],
    ["bf16", 2, 3, 20],
    ["f16", 1, 4, 7],
  ] as const)("rmsNorm of heads, gain in %s [%i rows, %i heads of %i]", async (dtype, rows, heads, width) => {
    ops.beginStep();
    const x = numbers(random, rows * heads * width, 1e-3);
    // Halves and quarters are the same numbers in every type.
    const gain = Float32Array.from({ length: width }, (_, i) => (i % 9) / 4 - 1);
    const y = ops.rmsNorm(tensorOf(ops, rows, heads * width, x), weightOf(ops, dtype, 1, width, gain), 1e-6);
    const expected = Array.from(x, (value, i) => {
      const head = x.subarray(i - (i % width), i - (i % width) + width);
      return (value * gain[i % width]) / Math.sqrt(head.reduce((sum, v) => sum + v * v, 0) / width + 1e-6);
    });
    expect(difference(await ops.read(y), expected)).toBeLessThan(1e-6);
  });

  test("rmsNorm with a gain for each of three groups", async () => {
    ops.beginStep();
    const [rows, groups, width] = [5, 3, 18];
    const x = numbers(random, rows * groups * width, 4);
    const gain = numbers(random, groups * width);
    const y = ops.rmsNorm(tensorOf(ops, rows, groups * width, x), weightOf(ops, "f32", groups, width, gain), 1e-5);
    const expected = Array.from(x, (value, i) => {
      const group = x.subarray(i - (i % width), i - (i % width) + width);
      return (value * gain[i % gain.length]) / Math.sqrt(group.reduce((sum, v) => sum + v * v, 0) / width + 1e-5);
    });
    expect(difference(await ops.read(y), expected)).toBeLessThan(1e-6);
  });

  test.each(
    SHAPES.flatMap(([rows, cols]) =>
      [
        [0, false],
        [3, true],
        [1000, true],
        [1e6, true],
      ].map(([mean, biased]) => [rows, cols, Number(mean), Boolean(biased)] as const),
    ),
  )("layerNorm of [%i, %i] about %i, with a bias: %s", async (rows, cols, mean, biased) => {
    ops.beginStep();
    const x = numbers(random, rows * cols).map((value) => value + mean);
    const gain = numbers(random, cols);
    const bias = biased ? numbers(random, cols) : undefined;
    const gains = weightOf(ops, "f32", 1, cols, gain);
    const biases = bias && weightOf(ops, "f32", 1, cols, bias);
    const y = ops.layerNorm(tensorOf(ops, rows, cols, x), gains, biases, 1e-5);
    const expected = Array.from(x, (value, i) => {
      const row = Array.from(x.subarray(i - (i % cols), i - (i % cols) + cols));
      const middle = row.reduce((sum, v) => sum + v, 0) / cols;
      const variance = row.reduce((sum, v) => sum + (v - middle) ** 2, 0) / cols;
      return ((value - middle) / Math.sqrt(variance + 1e-5)) * gain[i % cols] + (bias?.[i % cols] ?? 0);
    });
    expect(difference(await ops.read(y), expected)).toBeLessThan(1e-6);
  });

  test("layerNorm of a constant row is its bias", async () => {
    ops.beginStep();
    const x = tensorOf(ops, 1, 100, new Float32Array(100).fill(0.1));
    const ones = weightOf(ops, "f32", 1, 100, new Float32Array(100).fill(1));
    const y = await ops.read(ops.layerNorm(x, ones, ones, 1e-12));
    for (const value of y) expect(Math.abs(value - 1)).toBeLessThan(0.01);
  });

  test("kept tensors start as zeros, outlive steps, and give their memory back", async () => {
    const before = ops.memoryBytes;
    const kept = ops.kept(7, 5);
    expect([kept.rows, kept.cols]).toEqual([7, 5]);
    expect(await kept.read()).toEqual(new Float32Array(35));
    const values = numbers(random, 35);
    kept.write(values);
    ops.beginStep();
    const other = ops.kept(7, 5);
    expect(await kept.read()).toEqual(values);
    if (ops.name === "wasm") expect(ops.memoryBytes).toBe(before + 2 * 192);
    kept.dispose();
    other.dispose();
    expect(ops.memoryBytes).toBe(before);
    // The memory may hold old numbers now.
    const again = ops.kept(7, 5);
    expect(await again.read()).toEqual(new Float32Array(35));
    again.dispose();
  });

  test.each(SHAPES)("add [%i, %i]", async (rows, cols) => {
    ops.beginStep();
    const a = numbers(random, rows * cols);
    const b = numbers(random, rows * cols);
    const sum = await ops.read(ops.add(tensorOf(ops, rows, cols, a), tensorOf(ops, rows, cols, b)));
    expect(Array.from(sum)).toEqual(Array.from(a, (value, i) => Math.fround(value + b[i])));
  });

  test.each(
    (["interleaved", "halves"] as const).flatMap((layout) =>
      [
        [1, 1, 8, 8],
        [4, 3, 8, 6],
        [9, 2, 64, 64],
        [2, 5, 80, 20],
        [33, 1, 6, 2],
        [3, 2, 128, 96],
      ].map(([rows, heads, width, dims]) => [layout, rows, heads, width, dims] as const),
    ),
  )("rotate %s: %i rows, %i heads of %i, %i dims", async (layout, rows, heads, width, dims) => {
    ops.beginStep();
    const cols = heads * width;
    const x = numbers(random, rows * cols);
    const angles = turns(random, rows, dims);
    const y = ops.rotate(tensorOf(ops, rows, cols, x), width, { layout, dims, values: ops.input(angles) });
    expect(difference(await ops.read(y), rotated(x, width, layout, dims, angles, cols))).toBeLessThan(3e-7);
  });

  test.each(SHAPES)("gather and rows of [%i, %i]", async (rows, cols) => {
    ops.beginStep();
    const x = numbers(random, rows * cols);
    const source = tensorOf(ops, rows, cols, x);
    const indices = Int32Array.from({ length: 2 * rows + 1 }, () => random.below(rows));
    const gathered = await ops.read(ops.gather(source, ops.input(indices)));
    const expected = Array.from(indices).flatMap((row) => Array.from(x.subarray(row * cols, (row + 1) * cols)));
    expect(Array.from(gathered)).toEqual(expected);
    const tail = await ops.read(ops.rows(source, 1, rows - 1));
    expect(Array.from(tail)).toEqual(Array.from(x.subarray(cols)));
  });

  test.each([
    ["f32", 7],
    ["f16", 9],
    ["bf16", 64],
    ["q8_0", 96],
    ["q4_0", 32],
    ["q4_k", 512],
    ["q6_k", 256],
    ["iq4_nl", 64],
    ["mxfp4", 96],
  ] as const)("embed from %s, %i columns", async (dtype, cols) => {
    ops.beginStep();
    const values = numbers(random, 11 * cols);
    const y = ops.embed(weightOf(ops, dtype, 11, cols, values), ops.input(Int32Array.from([10, 0, 3, 3, 7])));
    const expected = [10, 0, 3, 3, 7].flatMap((id) =>
      Array.from(stored(dtype, values.subarray(id * cols, (id + 1) * cols))),
    );
    expect(difference(await ops.read(y), expected)).toBeLessThan(1e-6);
  });

  test.each([
    ["f32", 1, 172, 5],
    ["f32", 9, 7, 30],
    ["f16", 3, 64, 17],
    ["q8_0", 1, 64, 33],
    ["q8_0", 12, 96, 20],
    ["q4_k", 5, 256, 9],
  ] as const)(
    "linear in %s: two products of one input, with bias [%i, %i] to %i",
    async (dtype, rows, cols, outputs) => {
      ops.beginStep();
      const x = numbers(random, rows * cols);
      const input = tensorOf(ops, rows, cols, x);
      const bias = numbers(random, outputs);
      for (const offsets of [undefined, bias]) {
        const values = numbers(random, outputs * cols);
        const weight = weightOf(ops, dtype, outputs, cols, values);
        const y = ops.linear(input, weight, offsets && weightOf(ops, "f32", 1, outputs, offsets));
        const found = await ops.read(y);
        for (let o = 0; o < outputs; o++) {
          const w = stored(dtype, values.subarray(o * cols, (o + 1) * cols));
          for (let t = 0; t < rows; t++) {
            const row = x.subarray(t * cols, (t + 1) * cols);
            const expected = w.reduce((sum, v, i) => sum + v * row[i], offsets?.[o] ?? 0);
            expect(Math.abs(found[t * outputs + o] - expected)).toBeLessThan(1e-5 + halfStep(dtype, w, row, rows));
          }
        }
      }
    },
  );
});

/** The most that a product may be off: quantised weights meet activations of 16 bits, where there are many of 8. */
function halfStep(dtype: DType, weights: Float32Array, x: Float32Array, rows: number): number {
  if (DTYPES[dtype].blockSize === 1) return 0;
  const step = x.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / (rows < FEW_ROWS ? 16383 : 127);
  return (step / 2) * weights.reduce((sum, w) => sum + Math.abs(w), 0);
}
