/** The backends that every case of an operation runs on, and helpers to feed them. */

import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { quantiseRow } from "../../src/quant/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { type DType, rowBytes } from "../../src/tensor/dtype.js";
import type { ExpertWeights, Tensor, Weight } from "../../src/tensor/tensor.js";
import { setPlatform } from "../../src/util/platform.js";
import type { Random } from "../../src/util/random.js";
import { compileWideAnyway, relaxedSimd, testPlatform } from "../support/test-platform.js";

export interface Device {
  readonly label: string;
  create(): Promise<Backend>;
}

setPlatform({ ...testPlatform, compileWide: compileWideAnyway });

/** `parallelNs: 0` makes threads share even the smallest operation. */
const wasm = (threads: number, build: "plain" | "relaxed" | "wide"): Device => ({
  label: `wasm ${build}, ${threads} thread${threads > 1 ? "s" : ""}`,
  create: () => {
    const [relaxed, wide] = [build !== "plain", build === "wide"];
    return createWasmBackend({ threads, relaxed, wide, parallelNs: 0, maxMemoryBytes: 2 ** 28 });
  },
});

export const WASM_DEVICES: readonly Device[] = [
  ...[wasm(1, "plain"), wasm(2, "plain")],
  ...(relaxedSimd ? [wasm(1, "relaxed"), wasm(2, "relaxed"), wasm(1, "wide"), wasm(2, "wide")] : []),
];

export const DEVICES: readonly Device[] = [
  { label: "reference", create: async () => new ReferenceBackend() },
  ...WASM_DEVICES,
];

/** Numbers from -spread to spread. */
export function numbers(random: Random, count: number, spread = 1): Float32Array {
  return Float32Array.from({ length: count }, () => (random.double() * 2 - 1) * spread);
}

/** A weight of these f32 numbers, stored in `dtype`. */
export function weightOf(
  ops: Backend,
  dtype: DType,
  rows: number,
  cols: number,
  values: Float32Array,
  experts?: number,
): Weight {
  const slot = ops.allocWeight({ name: `${dtype} [${rows}, ${cols}]`, dtype, rows, cols, experts });
  const stride = rowBytes(dtype, cols);
  const stored = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    quantiseRow(dtype, values.subarray(row * cols, (row + 1) * cols), stored, row * stride, cols);
  }
  slot.write(0, stored);
  return slot.weight;
}

/** Matrices [rows, cols] of experts as one weight, stored in `dtype`, and their biases. */
export function expertsOf(
  ops: Backend,
  dtype: DType,
  shape: { readonly rows: number; readonly cols: number },
  matrices: readonly Float32Array[],
  biases?: readonly Float32Array[],
): ExpertWeights {
  const { rows, cols } = shape;
  const count = matrices.length;
  const matrix = weightOf(ops, dtype, count * rows, cols, joined(matrices), count);
  return { count, matrix, bias: biases && weightOf(ops, "f32", count, rows, joined(biases)) };
}

/** All numbers one after the other. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A tensor of these numbers: rows of an f32 table. */
export function tensorOf(ops: Backend, rows: number, cols: number, values: Float32Array): Tensor {
  const table = weightOf(ops, "f32", rows, cols, values);
  return ops.embed(table, ops.input(Int32Array.from({ length: rows }, (_, row) => row)));
}

/** Largest |a - b| / (1 + |b|); NaN where any number is none. */
export function difference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < found.length; i++) {
    // Math.max keeps a NaN, a comparison would forget it at the next number.
    most = Math.max(most, Math.abs(found[i] - expected[i]) / (1 + Math.abs(expected[i])));
  }
  return most;
}

/** Angles [rows, dims/2, 2] of random rotations. */
export function turns(random: Random, rows: number, dims: number): Float32Array {
  const out = new Float32Array(rows * dims);
  for (let i = 0; i < out.length; i += 2) {
    const angle = random.double() * 2 * Math.PI;
    out[i] = Math.cos(angle);
    out[i + 1] = Math.sin(angle);
  }
  return out;
}
