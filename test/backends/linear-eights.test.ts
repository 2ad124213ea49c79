/** Q4_0 laid out by eights: the same weights, and the same products as from the file's layout. */
import { describe, expect, test } from "vitest";
import { EIGHTS, EIGHTS_TOKENS, RANGE_COUNTERS, SCRATCH_BYTES } from "../../kernels/abi.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, rowBytes } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import { KernelMemory, linearKernels, randomWeights, uniform } from "./linear-kernels.js";

const memory = new KernelMemory(32);
const Q4_0 = DTYPES.q4_0.ggml;

interface Problem {
  readonly tokens: number;
  readonly columns: number;
  readonly rows: number;
  readonly x: Float32Array;
  readonly weights: Uint8Array;
}

function problem(tokens: number, columns: number, rows: number): Problem {
  const seed = tokens * 7919 + columns * 31 + rows;
  const next = uniform(seed);
  const x = Float32Array.from({ length: tokens * columns }, (_, i) => next() * (1 + ((i >> 5) % 7)));
  return { tokens, columns, rows, x, weights: randomWeights("q4_0", rows, columns, seed) };
}

/** Products [T, rows]; by eights or in the file's layout. Threads take turns. */
function multiply({ tokens, columns, rows, x, weights }: Problem, eights: boolean, threads = 1): Float32Array {
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
  const all = (kernel: (args: number, thread: number, threads: number) => void) => {
    for (let thread = 0; thread < threads; thread++) kernel(args, thread, threads);
  };
  if (eights) {
    words.set([weightAt, rows, columns, scratch]);
    all(kernels.packEights);
  }
  words.set([tokens, columns, xAt, columns, converted]);
  all(eights && tokens < EIGHTS_TOKENS ? kernels.splitPlanes : kernels.quantise);
  const dtype = Q4_0 + (eights ? EIGHTS : 0);
  words.set([dtype, tokens, columns, rows, xAt, columns, converted, weightAt, 0, 0, out, rows, scratch]);
  words.fill(0, RANGE_COUNTERS / 4);
  all(kernels.linear);
  return memory.floats(out, tokens * rows).slice();
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

describe.skipIf(!relaxedSimd)("Q4_0 by eights", () => {
  test.each([1, 2, 3, 7])(
    "%i tokens: the integers are those of the file's layout, sums differ in order alone",
    (tokens) => {
      for (const columns of [32, 64, 96, 2048]) {
        for (const rows of [8, 24, 200]) {
          const p = problem(tokens, columns, rows);
          const expected = multiply(p, false);
          const got = multiply(p, true);
          const allowed = 1e-6 * largest(expected);
          expect(allowed).toBeGreaterThan(0);
          for (const [i, value] of got.entries()) expect(Math.abs(value - expected[i])).toBeLessThan(allowed);
        }
      }
    },
  );

  test.each([8, 13, 120])("%i tokens: the same bits as from the file's layout", (tokens) => {
    for (const columns of [32, 288, 544]) {
      const p = problem(tokens, columns, 40);
      expect(multiply(p, true)).toEqual(multiply(p, false));
    }
  });

  test("any number of threads gives the same bits", () => {
    for (const tokens of [1, 20]) {
      const p = problem(tokens, 96, 568);
      const single = multiply(p, true);
      for (const threads of [2, 3, 15]) expect(multiply(p, true, threads)).toEqual(single);
    }
  });

  test("the largest integers do not overflow", () => {
    const [columns, rows] = [64, 8];
    const weights = new Uint8Array(rows * rowBytes("q4_0", columns)).fill(0xff);
    for (let block = 0; block < weights.length; block += 18) weights.set([0, 0x3c], block); // d = 1, all weights 7
    for (const sign of [1, -1]) {
      const x = new Float32Array(columns).fill(sign);
      const got = multiply({ tokens: 1, columns, rows, x, weights }, true);
      for (const value of got) expect(value).toBeCloseTo(sign * 7 * columns, 3);
    }
  });

  test("a backend embeds from it, and rows that are no multiple of eight work", async () => {
    const backend = await createWasmBackend({ threads: 2, parallelNs: 0 });
    try {
      for (const rows of [24, 21]) {
        const columns = 96;
        const weights = randomWeights("q4_0", rows, columns, rows);
        const slot = backend.allocWeight({ name: `table ${rows}`, dtype: "q4_0", rows, cols: columns });
        slot.bytes.set(weights);
        backend.weightsLoaded();
        backend.beginStep();
        const ids = Int32Array.from({ length: rows }, (_, i) => (i * 5) % rows);
        const got = await backend.read(backend.embed(slot.weight, backend.input(ids)));
        const expected = new Float32Array(columns);
        for (const [i, id] of ids.entries()) {
          dequantiseRow("q4_0", weights, id * rowBytes("q4_0", columns), columns, expected);
          const row = got.subarray(i * columns, (i + 1) * columns);
          for (const [k, value] of row.entries()) expect(value).toBeCloseTo(expected[k], 6);
        }
      }
    } finally {
      await backend.dispose();
    }
  });
});
