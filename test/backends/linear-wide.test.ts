/** The products of integers by the wide module: the bits of the same products in 128, whatever the shape. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BYTES_NIBBLES, EIGHTS, NIBBLES_WIDE, SCRATCH_BYTES, SIXTEEN_BITS, SIXTEEN_WIDE } from "../../kernels/abi.js";
import { formFor } from "../../src/backends/wasm/byte-form.js";
import { integerBytes } from "../../src/backends/wasm/ops/activations.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import { inTurns, KernelMemory, linearKernels, type Problem, problem } from "./linear-kernels.js";

const memory = new KernelMemory(24);
const QUANTISED = (Object.keys(DTYPES) as DType[]).filter((dtype) => DTYPES[dtype].blockSize > 1);
const OF_NIBBLES = { form: NIBBLES_WIDE, largest: 63, sixteen: SIXTEEN_WIDE };
const BY_EIGHTS: readonly DType[] = ["q4_0", "q4_k", "q5_k", "q6_k"];

interface Setting {
  readonly threads?: number;
  readonly eights?: boolean;
}

/** Products [T, rows]. What lies behind activations and results must stay untouched; threads take turns. */
function multiply(form: number, p: Problem, { threads = 1, eights = false }: Setting = {}): Float32Array {
  const { dtype, tokens, columns, rows } = p;
  memory.clear();
  const kernels = linearKernels("relaxed", memory.memory);
  const args = memory.take(128);
  const x = memory.take(p.x.length * 4);
  const size = integerBytes(form, tokens, columns);
  const quantised = memory.take(size + 64);
  const weights = memory.take(p.weights.length, 2);
  const out = memory.take(tokens * rows * 4 + 64);
  const scratch = memory.take(threads * SCRATCH_BYTES);
  memory.floats(x, p.x.length).set(p.x);
  memory.bytes.set(p.weights, weights);
  memory.bytes.fill(0xee, quantised, quantised + size + 64);
  memory.bytes.fill(0xee, out, out + tokens * rows * 4 + 64);
  const words = memory.words(args, 32);
  if (eights) {
    words.set([weights, rows, columns, scratch, DTYPES[dtype].ggml, 1]);
    inTurns(kernels.packEights, memory, args, scratch, 1);
  }
  words.set([tokens, columns, x, columns, quantised]);
  const { quantise, quantiseBytes, quantisePairs } = kernels;
  const convert = form === SIXTEEN_BITS ? quantise : form === SIXTEEN_WIDE ? quantisePairs : quantiseBytes;
  inTurns(convert, memory, args, scratch, threads);
  const type = DTYPES[dtype].ggml + (eights ? EIGHTS : 0);
  words.set([type, tokens, columns, rows, x, columns, quantised, weights, 0, 0, out, rows, scratch, form]);
  inTurns(kernels.linear, memory, args, scratch, threads);
  for (const end of [quantised + size, out + tokens * rows * 4]) {
    expect(memory.bytes.subarray(end, end + 64).every((byte) => byte === 0xee)).toBe(true);
  }
  return memory.floats(out, tokens * rows).slice();
}

/** Largest error against products in doubles, in units of what 16 bits and f32 sums may cost. */
function worst({ dtype, tokens, columns, rows, x, weights }: Problem, got: Float32Array): number {
  const row = new Float32Array(columns);
  let most = 0;
  for (let r = 0; r < rows; r++) {
    dequantiseRow(dtype, weights, r * rowBytes(dtype, columns), columns, row);
    for (let t = 0; t < tokens; t++) {
      let [sum, size] = [0, 0];
      for (let k = 0; k < columns; k++) {
        sum += row[k] * x[t * columns + k];
        size += Math.abs(row[k] * x[t * columns + k]);
      }
      const error = Math.abs(got[t * rows + r] - sum) / (6e-5 * size + 1e-6);
      most = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(most, error);
    }
  }
  return most;
}

const formatsOf = (form: number): readonly DType[] =>
  form === SIXTEEN_WIDE ? QUANTISED : QUANTISED.filter((dtype) => formFor(OF_NIBBLES, dtype, "many") === form);

describe.skipIf(!relaxedSimd).each([
  { name: "nibbles", wide: NIBBLES_WIDE, narrow: BYTES_NIBBLES },
  { name: "16 bits", wide: SIXTEEN_WIDE, narrow: SIXTEEN_BITS },
])("wide products, $name", ({ wide, narrow }) => {
  const formats = formatsOf(wide);

  test.each(formats)("%s: the bits of 128-bit products", (dtype) => {
    const { blockSize } = DTYPES[dtype];
    const shape = fc.record({
      tokens: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 250, max: 300 })),
      blocks: fc.integer({ min: 1, max: blockSize === 32 ? 20 : 3 }),
      rows: fc.integer({ min: 1, max: 40 }),
      threads: fc.integer({ min: 1, max: 3 }),
    });
    const check = ({ tokens, blocks, rows, threads }: Record<"tokens" | "blocks" | "rows" | "threads", number>) => {
      const p = problem(dtype, tokens, blocks * blockSize, rows);
      expect(multiply(wide, p, { threads })).toEqual(multiply(narrow, p));
    };
    fc.assert(fc.property(shape, check), {
      numRuns: 20,
      // More than a tile of tokens, more than a panel of columns, a row more than two panels of rows.
      examples: [[{ tokens: 261, blocks: blockSize === 32 ? 17 : 2, rows: 33, threads: 2 }]],
    });
  });

  test.each(formats)("%s: a token's bits do not depend on the others", (dtype) => {
    const columns = DTYPES[dtype].blockSize * 2;
    const p = problem(dtype, 270, columns, 19);
    const all = multiply(wide, p);
    for (const [first, count] of [
      [0, 8],
      [5, 13],
      [263, 7],
    ]) {
      const some = { ...p, tokens: count, x: p.x.slice(first * columns, (first + count) * columns) };
      expect(multiply(wide, some)).toEqual(all.subarray(first * p.rows, (first + count) * p.rows));
    }
  });

  test.each(BY_EIGHTS)("%s by eights gives the same bits as in the file's layout", (dtype) => {
    for (const [tokens, blocks, rows] of [
      [5, 1, 8],
      [9, 9, 24],
      [21, 3, 40],
    ]) {
      const p = problem(dtype, tokens, blocks * DTYPES[dtype].blockSize, rows);
      expect(multiply(wide, p, { eights: true })).toEqual(multiply(wide, p));
    }
    // In bundles of four, two and one groups of eight rows.
    for (const rows of [64, 48, 24]) {
      const p = problem(dtype, 9, 2048 + DTYPES[dtype].blockSize, rows);
      expect(multiply(wide, p, { eights: true })).toEqual(multiply(wide, p));
    }
  });
});

describe.skipIf(!relaxedSimd)("wide products in 16 bits", () => {
  test.each(QUANTISED)("%s against doubles", (dtype) => {
    const p = problem(dtype, 11, DTYPES[dtype].blockSize * 3, 21);
    expect(worst(p, multiply(SIXTEEN_WIDE, p))).toBeLessThan(1);
  });
});
