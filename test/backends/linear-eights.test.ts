/** Weights laid out by eights: the same weights, and the same products as from the file's layout. */
import { describe, expect, test } from "vitest";
import { EIGHTS, PLANES, PLANES_WIDE, PLANES_WORDS, SCRATCH_BYTES, SIXTEEN_BITS } from "../../kernels/abi.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, rowBytes } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import {
  inTurns,
  type Kernel,
  KernelMemory,
  linearKernels,
  type Problem,
  problem,
  randomWeights,
} from "./linear-kernels.js";

const memory = new KernelMemory(32);

/** Products [T, rows], in one of LINEAR's forms; by eights or in the file's layout. Threads take turns. */
function multiply(p: Problem, form: number, eights: boolean, threads = 1): Float32Array {
  const { dtype, tokens, columns, rows, x, weights } = p;
  memory.clear();
  const kernels = linearKernels("relaxed", memory.memory);
  const args = memory.take(128);
  const words = memory.words(args, 32);
  const xAt = memory.take(x.length * 4);
  const converted = memory.take(tokens * (columns * 3 + 64));
  const weightAt = memory.take(weights.length, 4);
  const out = memory.take(tokens * rows * 4);
  const scratch = memory.take(threads * SCRATCH_BYTES);
  memory.floats(xAt, x.length).set(x);
  memory.bytes.set(weights, weightAt);
  const all = (kernel: Kernel) => inTurns(kernel, memory, args, scratch, threads);
  const { ggml } = DTYPES[dtype];
  if (eights) {
    words.set([weightAt, rows, columns, scratch, ggml, 1]);
    all(kernels.packEights);
  }
  words.set([tokens, columns, xAt, columns, converted]);
  all(form !== SIXTEEN_BITS ? kernels.splitPlanes : kernels.quantise);
  const type = ggml + (eights ? EIGHTS : 0);
  words.set([type, tokens, columns, rows, xAt, columns, converted, weightAt, 0, 0, out, rows, scratch, form]);
  memory.floats(out, tokens * rows).fill(Number.NaN);
  all(kernels.linear);
  return memory.floats(out, tokens * rows).slice();
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Forms of few tokens: 32-bit sums only where the engine computes them exactly with weights of 7 bits. */
const inWords = relaxedSimd && linearKernels("relaxed", memory.memory).probeBytes(127) === 100 + 508 * 127;
const FORMS = inWords ? [PLANES, PLANES_WIDE, PLANES_WORDS] : [PLANES, PLANES_WIDE];
const DTYPES_BY_EIGHTS = ["q4_0", "q4_k", "q5_k", "q6_k"] as const;

/** In double precision, from the weights as they are stored and activations rounded to 15 bits as the kernels do. */
function exactly({ dtype, tokens, columns, rows, x, weights }: Problem): Float64Array {
  const rounded = Float64Array.from(x);
  for (let block = 0; block < x.length; block += 32) {
    const part = rounded.subarray(block, block + 32);
    const most = largest(x.subarray(block, block + 32));
    const [step, inverse] = [Math.fround(most / 16383), Math.fround(16383 / most)];
    // Added to 1.5 * 2^23, a float has no bits below one.
    part.forEach((value, i) => {
      part[i] = (Math.fround(Math.fround(value * inverse) + 12582912) - 12582912) * step;
    });
  }
  const row = new Float32Array(columns);
  const out = new Float64Array(tokens * rows);
  for (let r = 0; r < rows; r++) {
    dequantiseRow(dtype, weights, r * rowBytes(dtype, columns), columns, row);
    for (let t = 0; t < tokens; t++) {
      for (let k = 0; k < columns; k++) out[t * rows + r] += row[k] * rounded[t * columns + k];
    }
  }
  return out;
}

describe.skipIf(!relaxedSimd).each(DTYPES_BY_EIGHTS)("%s by eights", (dtype) => {
  const { blockSize } = DTYPES[dtype];
  const columnCounts = [blockSize, 3 * blockSize, 2048 + blockSize];

  test.each([1, 2, 3, 7])("%i tokens: the products, and the same bits in every form", (tokens) => {
    for (const columns of columnCounts) {
      // Of more than 2,048 columns bundles have one, two or four groups of eight rows.
      for (const rows of columns > 2048 ? [24, 48, 64] : [8, 24, 200]) {
        const p = problem(dtype, tokens, columns, rows);
        const exact = exactly(p);
        const [first, ...others] = FORMS.map((form) => multiply(p, form, true));
        const allowed = 2e-6 * largest(first);
        expect(allowed).toBeGreaterThan(0);
        for (const [i, value] of first.entries()) expect(Math.abs(value - exact[i])).toBeLessThan(allowed);
        for (const other of others) expect(other).toEqual(first);
      }
    }
  });

  test("more tokens than a tile holds, each with the bits that it has alone", () => {
    const p = problem(dtype, 67, 3 * blockSize, 40);
    const alone = Array.from({ length: p.tokens }, (_, t) =>
      multiply({ ...p, tokens: 1, x: p.x.slice(t * p.columns, (t + 1) * p.columns) }, PLANES, true),
    );
    for (const form of FORMS) {
      const together = multiply(p, form, true);
      for (const [t, one] of alone.entries()) expect(together.subarray(t * p.rows, (t + 1) * p.rows)).toEqual(one);
    }
  });

  test.each([1, 8, 13, 120])("%i tokens: the same bits as from the file's layout where it is unpacked", (tokens) => {
    for (const [columns, rows] of [
      [blockSize, 40],
      [9 * blockSize, 40],
      [2048 + blockSize, 32],
      [4096 + blockSize, 16],
    ]) {
      const p = problem(dtype, tokens, columns, rows);
      expect(multiply(p, SIXTEEN_BITS, true)).toEqual(multiply(p, SIXTEEN_BITS, false));
    }
  });

  test.each(FORMS)("any number of threads gives the same bits, form %i", (form) => {
    for (const p of [problem(dtype, 2, 3 * blockSize, 568), problem(dtype, 2, 2048 + blockSize, 96)]) {
      const single = multiply(p, form, true);
      for (const threads of [2, 3, 15]) expect(multiply(p, form, true, threads)).toEqual(single);
    }
  });

  test("rows too long for bundles in a thread's scratch memory", () => {
    const p = problem(dtype, 1, 16384 + blockSize, 32);
    for (const form of FORMS) expect(multiply(p, form, true)).toEqual(multiply(p, PLANES, true));
    expect(multiply(p, SIXTEEN_BITS, true)).toEqual(multiply(p, SIXTEEN_BITS, false));
  });
});

/** A block whose weights are all the largest, or all the least, of their format, times one or less. */
function extremeBlock(dtype: (typeof DTYPES_BY_EIGHTS)[number], most: boolean): Uint8Array {
  const block = new Uint8Array(DTYPES[dtype].blockBytes).fill(most ? 0xff : 0);
  const one = [0, 0x3c];
  if (dtype === "q6_k") {
    block.fill(most ? 0x7f : 0x80, 192, 208);
    block.set(one, 208);
  } else {
    block.set(one, 0);
    if (dtype !== "q4_0") block.set(one, 2);
    if (dtype !== "q4_0") block.fill(0xff, 4, 16);
  }
  return block;
}

describe.skipIf(!relaxedSimd)("by eights", () => {
  test.each(DTYPES_BY_EIGHTS)("the largest integers of %s do not overflow", (dtype) => {
    const [rows, columns] = [24, 2 * DTYPES[dtype].blockSize];
    for (const most of [true, false]) {
      const block = extremeBlock(dtype, most);
      const weights = new Uint8Array(rows * rowBytes(dtype, columns));
      for (let at = 0; at < weights.length; at += block.length) weights.set(block, at);
      // Largest positive, largest negative, and what its planes make of numbers just below a half step.
      for (const value of [1, -1, 63 / 16383, -64 / 16383]) {
        const x = Float32Array.from({ length: columns }, (_, k) => (k % 32 === 31 && Math.abs(value) < 1 ? 1 : value));
        const p = { dtype, tokens: 1, columns, rows, x, weights };
        const exact = exactly(p);
        for (const form of FORMS) {
          for (const [i, found] of multiply(p, form, true).entries()) {
            expect(Math.abs(found / exact[i] - 1)).toBeLessThan(2e-6);
          }
        }
      }
    }
  });

  test.each(DTYPES_BY_EIGHTS)("a backend embeds from %s, also rows that are no multiple of eight", async (dtype) => {
    for (const [rows, columns] of [
      [24, 3 * DTYPES[dtype].blockSize],
      [21, 3 * DTYPES[dtype].blockSize],
      [32, 2048 + DTYPES[dtype].blockSize],
    ]) {
      const bytes = rowBytes(dtype, columns);
      const expected = new Float32Array(columns);
      const weights = randomWeights(dtype, rows, columns, rows);
      const backend = await createWasmBackend({ threads: 2, parallelNs: 0 });
      try {
        const slot = backend.allocWeight({ name: "table", dtype, rows, cols: columns });
        slot.write(0, weights);
        backend.weightsLoaded();
        expect(slot.memory?.every((byte, i) => byte === weights[i])).toBe(rows === 21);
        backend.beginStep();
        const ids = Int32Array.from({ length: rows }, (_, i) => (i * 5) % rows);
        const got = await backend.read(backend.embed(slot.weight, backend.input(ids)));
        for (const [i, id] of ids.entries()) {
          dequantiseRow(dtype, weights, id * bytes, columns, expected);
          const row = got.subarray(i * columns, (i + 1) * columns);
          expect(row.every((value, k) => Math.abs(value - expected[k]) < 5e-6)).toBe(true);
        }
      } finally {
        await backend.dispose();
      }
    }
  });
});
