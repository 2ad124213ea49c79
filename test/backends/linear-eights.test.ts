/** Weights laid out by eights: the same weights, and the same products as from the file's layout. */
import { describe, expect, test } from "vitest";
import { EIGHTS, PLANES, PLANES_WORDS, SCRATCH_BYTES, SIXTEEN_BITS } from "../../kernels/abi.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, rowBytes } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import {
  byteForms,
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
  const converted = memory.take(tokens * (columns * 2.375 + 64));
  const weightAt = memory.take(weights.length, 4);
  const out = memory.take(tokens * rows * 4);
  const scratch = memory.take(threads * SCRATCH_BYTES);
  memory.floats(xAt, x.length).set(x);
  memory.bytes.set(weights, weightAt);
  const all = (kernel: Kernel) => inTurns(kernel, memory, args, scratch, threads);
  const { ggml } = DTYPES[dtype];
  if (eights) {
    words.set([weightAt, rows, columns, scratch, ggml]);
    all(kernels.packEights);
  }
  words.set([tokens, columns, xAt, columns, converted]);
  all(form >= PLANES ? kernels.splitPlanes : kernels.quantise);
  const type = ggml + (eights ? EIGHTS : 0);
  words.set([type, tokens, columns, rows, xAt, columns, converted, weightAt, 0, 0, out, rows, scratch, form]);
  memory.floats(out, tokens * rows).fill(Number.NaN);
  all(kernels.linear);
  return memory.floats(out, tokens * rows).slice();
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Forms of few tokens: 32-bit sums only where the engine computes them exactly. */
const FORMS = relaxedSimd && byteForms()[0][1].largest >= 127 ? [PLANES, PLANES_WORDS] : [PLANES];
const CASES = (["q4_0", "q4_k"] as const).flatMap((dtype) => FORMS.map((form) => [dtype, form] as const));

describe.skipIf(!relaxedSimd).each(CASES)("%s by eights, form %i", (dtype, form) => {
  const { blockSize } = DTYPES[dtype];

  test.each([1, 2, 3, 7])(
    "%i tokens: the integers are those of the file's layout, sums differ in order alone",
    (tokens) => {
      for (const columns of [blockSize, 3 * blockSize, 2048 + blockSize]) {
        for (const rows of [8, 24, 200]) {
          const p = problem(dtype, tokens, columns, rows);
          const expected = multiply(p, SIXTEEN_BITS, false);
          const got = multiply(p, form, true);
          const allowed = 2e-6 * largest(expected);
          expect(allowed).toBeGreaterThan(0);
          for (const [i, value] of got.entries()) expect(Math.abs(value - expected[i])).toBeLessThan(allowed);
        }
      }
    },
  );

  test.each([8, 13, 120])("%i tokens: the same bits as from the file's layout", (tokens) => {
    for (const columns of [blockSize, 9 * blockSize]) {
      const p = problem(dtype, tokens, columns, 40);
      expect(multiply(p, SIXTEEN_BITS, true)).toEqual(multiply(p, SIXTEEN_BITS, false));
    }
  });

  test("any number of threads gives the same bits", () => {
    const p = problem(dtype, 2, 3 * blockSize, 568);
    const single = multiply(p, form, true);
    for (const threads of [2, 3, 15]) expect(multiply(p, form, true, threads)).toEqual(single);
  });
});

describe.skipIf(!relaxedSimd)("by eights", () => {
  test("the largest integers do not overflow", () => {
    const [columns, rows] = [64, 8];
    const weights = new Uint8Array(rows * rowBytes("q4_0", columns)).fill(0xff);
    for (let block = 0; block < weights.length; block += 18) weights.set([0, 0x3c], block); // d = 1, all weights 7
    for (const sign of [1, -1]) {
      const x = new Float32Array(columns).fill(sign);
      for (const form of FORMS) {
        const got = multiply({ dtype: "q4_0", tokens: 1, columns, rows, x, weights }, form, true);
        for (const value of got) expect(value).toBeCloseTo(sign * 7 * columns, 3);
      }
    }
  });

  test.each(["q4_0", "q4_k"] as const)(
    "a backend embeds from %s, also rows that are no multiple of eight",
    async (dtype) => {
      const columns = 3 * DTYPES[dtype].blockSize;
      const bytes = rowBytes(dtype, columns);
      const expected = new Float32Array(columns);
      for (const rows of [24, 21]) {
        const weights = randomWeights(dtype, rows, columns, rows);
        const backend = await createWasmBackend({ threads: 2, parallelNs: 0 });
        try {
          const slot = backend.allocWeight({ name: "table", dtype, rows, cols: columns });
          slot.bytes.set(weights);
          backend.weightsLoaded();
          expect(slot.bytes.every((byte, i) => byte === weights[i])).toBe(rows === 21);
          backend.beginStep();
          const ids = Int32Array.from({ length: rows }, (_, i) => (i * 5) % rows);
          const got = await backend.read(backend.embed(slot.weight, backend.input(ids)));
          for (const [i, id] of ids.entries()) {
            dequantiseRow(dtype, weights, id * bytes, columns, expected);
            const row = got.subarray(i * columns, (i + 1) * columns);
            for (const [k, value] of row.entries()) expect(value).toBeCloseTo(expected[k], 5);
          }
        } finally {
          await backend.dispose();
        }
      }
    },
  );
});
