/** The matrix products in 8 bits: every form that this engine computes exactly, on every format that it takes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EIGHTS, SCRATCH_BYTES, SIXTEEN_BITS } from "../../kernels/abi.js";
import { formFor } from "../../src/backends/wasm/byte-form.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import {
  byteForms,
  formatsOf,
  HALVES,
  inTurns,
  KernelMemory,
  linearKernels,
  type Problem,
  problem,
  randomWeights,
} from "./linear-kernels.js";

const memory = new KernelMemory(48);
const FORMS = relaxedSimd ? byteForms() : [];

const span = (start: number, count: number): readonly number[] => Array.from({ length: count }, (_, i) => start + i);

/** Where blocks keep factors of their scales in integers. */
const FACTORS: Partial<Record<DType, readonly number[]>> = {
  q2_k: span(0, 16),
  q3_k: span(96, 12),
  q4_k: span(4, 12),
  q5_k: span(4, 12),
  q6_k: span(192, 16),
  mxfp4: [0],
};

/** Products [T, rows], the weight by eights if asked, with memory around them that must stay untouched; threads take turns. */
function multiply(
  form: number,
  p: Problem & { readonly eights?: boolean },
  threads = 1,
  bias?: Float32Array,
): Float32Array {
  const { dtype, tokens, columns, rows } = p;
  memory.clear();
  const kernels = linearKernels("relaxed", memory.memory);
  const args = memory.take(128);
  const xStride = columns + 3;
  const outStride = rows + 5;
  const x = memory.take(tokens * xStride * 4);
  const groups = Math.ceil(tokens / 8) * 15 * columns;
  const quantised = memory.take(groups + 64);
  const weights = memory.take(p.weights.length, 2);
  const out = memory.take(tokens * outStride * 4);
  const biasAt = memory.take(rows * 4);
  const scratch = memory.take(threads * SCRATCH_BYTES);
  for (let t = 0; t < tokens; t++) {
    memory.floats(x + t * xStride * 4, columns).set(p.x.subarray(t * columns, (t + 1) * columns));
  }
  memory.bytes.set(p.weights, weights);
  memory.bytes.fill(0xee, quantised, quantised + groups + 64);
  if (bias) memory.floats(biasAt, rows).set(bias);
  const outFloats = memory.floats(out, tokens * outStride).fill(Number.NaN);
  const words = memory.words(args, 32);
  if (p.eights) {
    words.set([weights, rows, columns, scratch, DTYPES[dtype].ggml, 1]);
    inTurns(kernels.packEights, memory, args, scratch, threads);
  }
  words.set([tokens, columns, x, xStride, quantised]);
  inTurns(kernels.quantiseBytes, memory, args, scratch, threads);
  expect(memory.bytes.subarray(quantised + groups, quantised + groups + 64).every((byte) => byte === 0xee)).toBe(true);
  const type = DTYPES[dtype].ggml + (p.eights ? EIGHTS : 0);
  words.set([type, tokens, columns, rows, x, xStride, quantised, weights, bias ? biasAt : 0, 0, out]);
  words.set([outStride, scratch, form], 11);
  inTurns(kernels.linear, memory, args, scratch, threads);
  const result = new Float32Array(tokens * rows);
  for (let t = 0; t < tokens; t++) {
    result.set(outFloats.subarray(t * outStride, t * outStride + rows), t * rows);
    expect(outFloats.subarray(t * outStride + rows, (t + 1) * outStride).every(Number.isNaN)).toBe(true);
  }
  return result;
}

/** x rounded as the kernel rounds it: blocks of 32, |q| <= 127, to nearest even. */
function rounded(x: Float32Array): Float32Array {
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += 32) {
    const block = x.subarray(start, start + 32);
    const largest = block.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const inverse = Math.fround(127 / largest);
    const step = Math.fround(largest / 127);
    for (let k = 0; k < 32; k++) {
      const q = Math.fround(Math.fround(block[k] * inverse) + 12582912) - 12582912;
      out[start + k] = q * step;
    }
  }
  return out;
}

/**
 * Largest error against double products with the rounded activations, in units of what f32 sums may cost; and the root
 * mean square error against the activations themselves, relative to that which rounding each to 8 bits must cause.
 */
function errors(p: Problem, got: Float32Array): { worst: number; rounding: number } {
  const { dtype, tokens, columns, rows } = p;
  const weights = new Float32Array(columns);
  const q = rounded(p.x);
  let worst = 0;
  let squares = 0;
  let expected = 0;
  for (let r = 0; r < rows; r++) {
    dequantiseRow(dtype, p.weights, r * rowBytes(dtype, columns), columns, weights);
    for (let t = 0; t < tokens; t++) {
      let [sum, exact, size] = [0, 0, 0];
      for (let k = 0; k < columns; k++) {
        const at = t * columns + k;
        sum += weights[k] * q[at];
        exact += weights[k] * p.x[at];
        size += Math.abs(weights[k] * q[at]);
        expected += (weights[k] * (q[at] - p.x[at])) ** 2;
      }
      const error = Math.abs(got[t * rows + r] - sum) / (3e-6 * size + 1e-6);
      if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
      squares += (got[t * rows + r] - exact) ** 2;
    }
  }
  return { worst, rounding: Math.sqrt(squares / expected) };
}

const widths = (dtype: DType): readonly number[] => (DTYPES[dtype].blockSize === 32 ? [32, 96, 288] : [256, 768]);

describe.each(FORMS)("8-bit products, %s", (_name, form) => {
  const formats = formatsOf(form);

  test.each(formats)("%s, every shape", (dtype) => {
    for (const tokens of [1, 3, 4, 5, 8, 9, 21]) {
      for (const columns of widths(dtype)) {
        for (const rows of [1, 8, 15, 16, 37]) {
          const p = problem(dtype, tokens, columns, rows);
          const { worst } = errors(p, multiply(form.form, p));
          expect(worst, `${tokens} tokens, ${columns} columns, ${rows} rows`).toBeLessThan(1);
        }
      }
    }
  });

  test.each(formats)("%s: tiles of tokens, and any number of threads, give the same bits", (dtype) => {
    const p = problem(dtype, 261, widths(dtype)[1], 19);
    const single = multiply(form.form, p);
    const { worst, rounding } = errors(p, single);
    expect(worst).toBeLessThan(1);
    // Errors of single products add up as independent ones do: nothing is lost beyond the rounding of activations.
    expect(rounding).toBeGreaterThan(0.8);
    expect(rounding).toBeLessThan(1.2);
    for (const threads of [2, 3]) expect(multiply(form.form, p, threads)).toEqual(single);
  });

  test.each(["q4_0", "q4_k", "q5_k", "q6_k"] as const)(
    "%s by eights gives the same bits as in the file's layout",
    (dtype) => {
      const { blockSize } = DTYPES[dtype];
      for (const [tokens, blocks, rows] of [
        [5, 1, 8],
        [9, 9, 24],
        [21, 17, 40],
      ]) {
        const p = problem(dtype, tokens, blocks * blockSize, rows);
        const plain = multiply(form.form, p);
        expect(multiply(form.form, { ...p, eights: true })).toEqual(plain);
        expect(multiply(form.form, { ...p, eights: true }, 2)).toEqual(plain);
      }
    },
  );

  test("all forms give the same bits, with a bias too", () => {
    for (const dtype of formats) {
      const p = problem(dtype, 12, widths(dtype)[0], 18);
      const bias = Float32Array.from({ length: 18 }, (_, r) => r - 9);
      const one = multiply(form.form, p, 1, bias);
      for (const [, other] of FORMS) {
        if (formFor(other, dtype, "many") !== SIXTEEN_BITS) expect(multiply(other.form, p, 1, bias)).toEqual(one);
      }
    }
  });

  test.each(formats)("%s: the largest integers of either sign do not overflow", (dtype) => {
    const columns = 512;
    const plain = randomWeights(dtype, 1, columns, 5);
    const { blockBytes } = DTYPES[dtype];
    // 0x77: the largest of formats whose nibbles have a sign.
    for (const bits of [0xff, 0x77, 0x00]) {
      const weights = new Uint8Array(rowBytes(dtype, columns)).fill(bits);
      // All bits of the integers, but scales that are numbers, and factors of them that are not zero.
      for (let block = 0; block < weights.length; block += blockBytes) {
        const kept = [...(HALVES[dtype] ?? []).flatMap((at) => [at, at + 1]), ...(FACTORS[dtype] ?? [])];
        for (const at of kept) weights[block + at] = plain[block + at];
      }
      for (const sign of [1, -1]) {
        const x = new Float32Array(9 * columns).fill(sign);
        const p = { dtype, tokens: 9, columns, rows: 1, x, weights };
        expect(errors(p, multiply(form.form, p)).worst).toBeLessThan(1);
      }
    }
  });
});

describe.skipIf(!relaxedSimd)("quantiseBytes", () => {
  test("integers, scales and sums agree, whatever the threads; the last group is filled with zeros", () => {
    const value = fc.oneof(fc.float({ min: -8, max: 8, noNaN: true }), fc.constantFrom(0, 1e-38, -3e4, 1e20));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 17 }),
        fc.integer({ min: 1, max: 3 }),
        fc.infiniteStream(value),
        fc.integer({ min: 1, max: 3 }),
        (rows, blocks, values, threads) => {
          const columns = blocks * 32;
          const x = Float32Array.from({ length: rows * columns }, () => values.next().value);
          memory.clear();
          const args = memory.take(128);
          const from = memory.take(x.length * 4);
          const groups = Math.ceil(rows / 8);
          const to = memory.take(groups * 15 * columns);
          memory.bytes.fill(0xee, to, to + groups * 15 * columns);
          memory.floats(from, x.length).set(x);
          memory.words(args, 5).set([rows, columns, from, columns, to]);
          const { quantiseBytes } = linearKernels("relaxed", memory.memory);
          for (let thread = 0; thread < threads; thread++) quantiseBytes(args, thread, threads);
          for (let row = 0; row < groups * 8; row++) {
            const at = to + (row >> 3) * 15 * columns;
            const token = row & 7;
            const q = new Int8Array(memory.memory.buffer, at, 8 * columns);
            const floats = memory.floats(at, (15 * columns) / 4);
            const pairs = new Int16Array(memory.memory.buffer, at, (15 * columns) / 2);
            const column = (bytes: number, index: number) => (bytes * columns) / 4 + index * 8 + token;
            for (let half = 0; half < 2 * blocks; half++) {
              const scale = floats[column(8, half >> 1)];
              const sums = [0, 0];
              for (let k = 16 * half; k < 16 * half + 16; k++) {
                const integer = q[(k >> 2) * 32 + token * 4 + (k & 3)];
                const original = row < rows ? x[row * columns + k] : 0;
                expect(Math.abs(integer)).toBeLessThanOrEqual(127);
                expect(Math.abs(original - integer * scale)).toBeLessThanOrEqual(0.501 * scale + 1e-30);
                sums[(k >> 1) & 1] += integer;
              }
              const less = (bytes: number, index: number) =>
                [0, 1].map((pair) => pairs[2 * column(bytes, index) + pair] + 0);
              expect(less(10, half)).toEqual(sums.map((sum) => 0 - sum));
              expect(floats[column(13, half)]).toBe(Math.fround((sums[0] + sums[1]) * scale));
              if (half % 2 === 1) {
                const before = less(10, half - 1);
                const whole = [sums[0] - before[0], sums[1] - before[1]];
                expect(less(9, half >> 1)).toEqual(whole.map((sum) => 0 - sum));
                expect(floats[column(12, half >> 1)]).toBe(Math.fround((whole[0] + whole[1]) * scale));
              }
            }
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
