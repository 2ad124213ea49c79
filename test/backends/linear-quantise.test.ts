/** Activations as 16-bit integers: the layout, the bounds, and odd inputs. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BUILD_NAMES, type Build, KernelMemory, linearKernels } from "./linear-kernels.js";

const memory = new KernelMemory(8);

interface Quantised {
  readonly q: Int16Array;
  readonly scales: Float32Array;
  readonly sums: Float32Array;
}

function rowStride(columns: number): number {
  return Math.ceil((columns * 2 + columns / 8 + columns / 4) / 64) * 64;
}

function quantise(build: Build, x: Float32Array, rows: number, threads: number): Quantised[] {
  memory.clear();
  const columns = x.length / rows;
  const args = memory.take(128);
  const from = memory.take(x.length * 4);
  const to = memory.take(rows * rowStride(columns));
  memory.floats(from, x.length).set(x);
  memory.words(args, 5).set([rows, columns, from, columns, to]);
  const kernels = linearKernels(build, memory.memory);
  for (let thread = 0; thread < threads; thread++) kernels.quantise(args, thread, threads);
  return Array.from({ length: rows }, (_, row) => {
    const at = to + row * rowStride(columns);
    return {
      q: new Int16Array(memory.memory.buffer, at, columns).slice(),
      scales: memory.floats(at + columns * 2, columns / 32).slice(),
      sums: memory.floats(at + columns * 2 + columns / 8, columns / 16).slice(),
    };
  });
}

describe.each(BUILD_NAMES)("quantise, %s", (build) => {
  const value = fc.oneof(fc.float({ min: -8, max: 8, noNaN: true }), fc.constantFrom(0, 1e-38, -3e4, 1e20));

  test("integers times their scale are within half a step; sums are those of the integers", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(value),
        fc.integer({ min: 1, max: 3 }),
        (rows, blocks, values, threads) => {
          const columns = blocks * 32;
          const x = Float32Array.from({ length: rows * columns }, () => values.next().value);
          for (const [row, { q, scales, sums }] of quantise(build, x, rows, threads).entries()) {
            for (let k = 0; k < columns; k++) {
              const scale = scales[k >> 5];
              expect(Math.abs(q[k])).toBeLessThanOrEqual(16383);
              expect(Math.abs(x[row * columns + k] - q[k] * scale)).toBeLessThanOrEqual(0.501 * scale + 1e-30);
            }
            for (let j = 0; j < sums.length; j++) {
              const sum = q.subarray(16 * j, 16 * j + 16).reduce((a, b) => a + b, 0) * scales[j >> 1];
              expect(Math.abs(sums[j] - sum)).toBeLessThanOrEqual(1e-6 * Math.abs(sum));
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("blocks of zeros or of vanishing numbers become zeros", () => {
    const x = new Float32Array(64).fill(1e-39, 32);
    const [{ q, scales, sums }] = quantise(build, x, 1, 1);
    expect([...q, ...scales, ...sums].every((v) => v === 0)).toBe(true);
  });

  test("numbers that are not finite stay in their block", () => {
    const x = new Float32Array(96).fill(1);
    x[40] = Number.POSITIVE_INFINITY;
    const [{ q, scales }] = quantise(build, x, 1, 1);
    for (const k of [0, 31, 64, 95]) expect(q[k]).toBe(16383);
    expect(scales[1]).toBe(Number.POSITIVE_INFINITY);
  });
});
