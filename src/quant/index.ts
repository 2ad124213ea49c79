/**
 * The block formats by element type. Adding one is adding a file, a line here and a line in tensor/dtype.ts.
 * Unstable: may change in any version (docs/stability.md).
 */
import { DTYPES, type DType, rowBytes } from "../tensor/dtype.js";
import { ArgumentError } from "../util/errors.js";
import { bf16 } from "./bf16.js";
import type { BlockFormat } from "./block-format.js";
import { f16 } from "./f16.js";
import { f32 } from "./f32.js";
import { iq4_nl } from "./iq4-nl.js";
import { mxfp4 } from "./mxfp4.js";
import { q2_k } from "./q2-k.js";
import { q3_k } from "./q3-k.js";
import { q4_0 } from "./q4-0.js";
import { q4_1 } from "./q4-1.js";
import { q4_k } from "./q4-k.js";
import { q5_0 } from "./q5-0.js";
import { q5_1 } from "./q5-1.js";
import { q5_k } from "./q5-k.js";
import { q6_k } from "./q6-k.js";
import { q8_0 } from "./q8-0.js";

export type { BlockFormat } from "./block-format.js";

export const BLOCK_FORMATS = {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  mxfp4,
} as const satisfies Record<DType, BlockFormat>;

/**
 * Expands one row of `columns` elements, stored from `bytes[offset]`, into out[0, columns).
 * @throws ArgumentError when columns is not whole blocks, or when `bytes` or `out` is too short
 */
export function dequantiseRow(
  dtype: DType,
  bytes: Uint8Array,
  offset: number,
  columns: number,
  out: Float32Array,
): void {
  checkRow(dtype, bytes, offset, columns, out);
  BLOCK_FORMATS[dtype].dequantise(bytes, offset, out, columns);
}

/**
 * Stores values[0, columns) as one row of `dtype` from `bytes[offset]` on.
 * @throws ArgumentError as dequantiseRow
 */
export function quantiseRow(
  dtype: DType,
  values: Float32Array,
  bytes: Uint8Array,
  offset: number,
  columns: number,
): void {
  checkRow(dtype, bytes, offset, columns, values);
  BLOCK_FORMATS[dtype].quantise(values, bytes, offset, columns);
}

function checkRow(dtype: DType, bytes: Uint8Array, offset: number, columns: number, floats: Float32Array): void {
  const { blockSize } = DTYPES[dtype];
  if (!Number.isInteger(columns) || columns < 0 || columns % blockSize !== 0) {
    throw new ArgumentError(`A row of ${dtype} holds a multiple of ${blockSize} elements, not ${columns}.`);
  }
  const end = offset + rowBytes(dtype, columns);
  if (offset < 0 || end > bytes.length) {
    throw new ArgumentError(`A row of ${dtype} at bytes ${offset} to ${end} does not lie in ${bytes.length} bytes.`);
  }
  if (floats.length < columns) {
    throw new ArgumentError(`${columns} elements do not fit into an array of ${floats.length}.`);
  }
}
