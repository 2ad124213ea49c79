/** The Wasm matrix products of every format against double-precision products with the dequantised weights. */
import { describe, expect, test } from "vitest";
import { RANGE_COUNTERS, SCRATCH_BYTES, SIXTEEN_BITS, STREAMED } from "../../kernels/abi.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import {
  BUILD_NAMES,
  type Build,
  FIRST_ADDRESS,
  inTurns,
  KernelMemory,
  linearKernels,
  type Problem,
  problem,
  randomWeights,
  uniform,
} from "./linear-kernels.js";

const ALL = Object.keys(DTYPES) as DType[];
const FLOATS: readonly DType[] = ["f32", "f16", "bf16"];
const QUANTISED_MAX = 16383;

const memory = new KernelMemory(48);

type Biased = Problem & { readonly bias?: Float32Array };

function biased(p: Problem): Biased {
  return { ...p, bias: Float32Array.from({ length: p.rows }, uniform(p.rows)) };
}

/** The forms with 16 bits, or floats, by what happens to the weight. */
const FORMS = [
  ["streamed", STREAMED],
  ["in panels", SIXTEEN_BITS],
] as const;

/** Products [T, rows], computed as the `wasm` backend does; threads take turns. */
function multiply(build: Build, p: Biased, form: number, threads = 1): Float32Array {
  const { dtype, tokens, columns, rows } = p;
  memory.clear();
  const kernels = linearKernels(build, memory.memory);
  const args = memory.take(128);
  const xStride = columns + 3;
  const outStride = rows + 5;
  const x = memory.take(tokens * xStride * 4);
  const quantised = memory.take(tokens * (columns * 2.375 + 64));
  const weights = memory.take(p.weights.length, FLOATS.includes(dtype) ? 0 : 2);
  const bias = memory.take(rows * 4);
  const out = memory.take(tokens * outStride * 4);
  const scratch = memory.take(threads * SCRATCH_BYTES);
  for (let t = 0; t < tokens; t++) {
    memory.floats(x + t * xStride * 4, columns).set(p.x.subarray(t * columns, (t + 1) * columns));
  }
  memory.bytes.set(p.weights, weights);
  if (p.bias) memory.floats(bias, rows).set(p.bias);
  const outFloats = memory.floats(out, tokens * outStride).fill(Number.NaN);
  const words = memory.words(args, 32);
  if (!FLOATS.includes(dtype)) {
    words.set([tokens, columns, x, xStride, quantised]);
    inTurns(kernels.quantise, memory, args, scratch, threads);
  }
  const biasAt = p.bias ? bias : 0;
  words.set([DTYPES[dtype].ggml, tokens, columns, rows, x, xStride, quantised, weights, biasAt, 0, out, outStride]);
  words.set([scratch, form], 12);
  inTurns(kernels.linear, memory, args, scratch, threads);
  const result = new Float32Array(tokens * rows);
  for (let t = 0; t < tokens; t++) {
    result.set(outFloats.subarray(t * outStride, t * outStride + rows), t * rows);
    expect(outFloats.subarray(t * outStride + rows, (t + 1) * outStride).every(Number.isNaN)).toBe(true);
  }
  return result;
}

/** Largest error in units of what is allowed, and the root mean square error relative to that of the products. */
function errors(p: Biased, got: Float32Array): { worst: number; relative: number } {
  const { dtype, tokens, columns, rows } = p;
  const weights = new Float32Array(columns);
  const quantised = !FLOATS.includes(dtype);
  let worst = 0;
  let squares = 0;
  let total = 0;
  for (let r = 0; r < rows; r++) {
    dequantiseRow(dtype, p.weights, r * rowBytes(dtype, columns), columns, weights);
    for (let t = 0; t < tokens; t++) {
      const { sum, allowed, squared } = product(weights, p.x.subarray(t * columns, (t + 1) * columns), quantised);
      const error = Math.abs(got[t * rows + r] - sum - (p.bias?.[r] ?? 0));
      worst = Math.max(worst, error / (allowed + 1e-6));
      if (Number.isNaN(error)) worst = Number.POSITIVE_INFINITY;
      squares += error * error;
      total += squared;
    }
  }
  return { worst, relative: Math.sqrt(squares / total) };
}

/** The product; the error that rounding may cause (half a step of each activation, and f32 sums); its squared size. */
function product(w: Float32Array, x: Float32Array, quantised: boolean) {
  let sum = 0;
  let allowed = 0;
  let squared = 0;
  for (let start = 0; start < x.length; start += 32) {
    const end = Math.min(start + 32, x.length);
    let largest = 0;
    for (let k = start; k < end; k++) largest = Math.max(largest, Math.abs(x[k]));
    const step = quantised ? largest / QUANTISED_MAX : 0;
    for (let k = start; k < end; k++) {
      sum += w[k] * x[k];
      allowed += Math.abs(w[k]) * (0.5001 * step + 2e-6 * largest);
      squared += (w[k] * x[k]) ** 2;
    }
  }
  return { sum, allowed, squared };
}

/** Columns that the format allows: one block, odd numbers of blocks, more than a panel. */
function widths(dtype: DType): readonly number[] {
  const { blockSize } = DTYPES[dtype];
  if (blockSize === 1) return [1, 7, 172, 259];
  return blockSize === 32 ? [32, 96, 288] : [256, 768];
}

const CASES = BUILD_NAMES.flatMap((build) =>
  ALL.flatMap((dtype) => FORMS.map(([name, form]) => [build, dtype, name, form] as const)),
);

describe.each(CASES)("linear, %s, %s %s", (build, dtype, _, form) => {
  test.each([1, 2, 3, 4, 5, 7, 8, 18])("%i tokens, every shape", (tokens) => {
    for (const columns of widths(dtype)) {
      for (const rows of [1, 3, 8, 21]) {
        const plain = problem(dtype, tokens, columns, rows);
        const p = rows === 8 ? plain : biased(plain);
        const { worst, relative } = errors(p, multiply(build, p, form));
        expect(worst, `${columns} columns, ${rows} rows`).toBeLessThan(1);
        expect(relative).toBeLessThan(1e-4);
      }
    }
  });

  test("a token alone, tiles of tokens, and any number of threads, give the same bits", () => {
    const columns = widths(dtype)[1];
    for (const [tokens, rows] of [
      [1, 70],
      [101, 19],
    ]) {
      const p = biased(problem(dtype, tokens, columns, rows));
      const single = multiply(build, p, form);
      expect(errors(p, single).worst).toBeLessThan(1);
      const last = p.x.subarray((tokens - 1) * columns);
      const alone = multiply(build, { ...p, tokens: 1, x: last }, form);
      expect(alone).toEqual(single.subarray((tokens - 1) * rows));
      for (const threads of [2, 3]) expect(multiply(build, p, form, threads)).toEqual(single);
    }
  });
});

describe.each(BUILD_NAMES)("linear, %s", (build) => {
  test("every exponent of mxfp4, also those that make subnormal scales", () => {
    memory.clear();
    const stored = randomWeights("mxfp4", 1, 256 * 32, 11);
    for (let exponent = 0; exponent < 256; exponent++) stored[exponent * 17] = exponent;
    const expected = new Float32Array(256 * 32);
    dequantiseRow("mxfp4", stored, 0, expected.length, expected);
    const [at, out] = [memory.take(stored.length, 1), memory.take(expected.length * 4)];
    memory.bytes.set(stored, at);
    linearKernels(build, memory.memory).unpackRow(DTYPES.mxfp4.ggml, at, expected.length, out);
    // As numbers: a zero's sign does not matter.
    expect(memory.floats(out, expected.length).map((x) => x + 0)).toEqual(expected.map((x) => x + 0));
  });

  test("the largest integers of q6_k do not overflow", () => {
    const columns = 512;
    const weights = new Uint8Array(rowBytes("q6_k", columns));
    for (let block = 0; block < weights.length; block += 210) {
      weights.fill(0x80, block + 192, block + 208); // scales -128, and integers -32
      weights[block + 209] = 0x3c; // d = 1
    }
    for (const tokens of [1, 4, 5]) {
      const x = new Float32Array(tokens * columns).fill(1);
      const p = { dtype: "q6_k", tokens, columns, rows: 1, x, weights } as const;
      for (const [, form] of FORMS) {
        for (const y of multiply(build, p, form)) expect(y / (4096 * columns)).toBeCloseTo(1, 6);
      }
    }
  });

  test.each(FLOATS)("biases in %s", (biasType) => {
    const p = problem("f32", 2, 8, 5);
    const plain = multiply(build, p, STREAMED);
    const stored = randomWeights(biasType, 1, 5, 3);
    const bias = new Float32Array(5);
    dequantiseRow(biasType, stored, 0, 5, bias);
    const at = memory.take(32);
    memory.bytes.set(stored, at);
    const kernels = linearKernels(build, memory.memory);
    const words = memory.words(FIRST_ADDRESS, 32);
    words[8] = at;
    words[9] = DTYPES[biasType].ggml;
    words.fill(0, RANGE_COUNTERS / 4);
    kernels.linear(FIRST_ADDRESS, 0, 1);
    const out = memory.floats(words[10], 2 * words[11]);
    for (let t = 0; t < 2; t++) {
      for (let r = 0; r < 5; r++) expect(out[t * words[11] + r]).toBeCloseTo(plain[t * 5 + r] + bias[r], 5);
    }
  });

  test.each(ALL)("unpackRow of %s gives the weights", (dtype) => {
    memory.clear();
    const kernels = linearKernels(build, memory.memory);
    for (const columns of widths(dtype)) {
      const stored = randomWeights(dtype, 1, columns, columns);
      const expected = new Float32Array(columns);
      dequantiseRow(dtype, stored, 0, columns, expected);
      const at = memory.take(stored.length, 1);
      const out = memory.take(columns * 4 + 4);
      memory.bytes.set(stored, at);
      const floats = memory.floats(out, columns + 1).fill(Number.NaN);
      kernels.unpackRow(DTYPES[dtype].ggml, at, columns, out);
      for (let k = 0; k < columns; k++) expect(Math.abs(floats[k] - expected[k])).toBeLessThan(3e-6);
      expect(floats[columns]).toBeNaN();
    }
  });
});
