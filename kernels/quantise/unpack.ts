// Weights in any format, unpacked: whole rows to floats (embeddings), or up to 256 weights of a row to integers for the
// matrix products. Type numbers are ggml's, as in src/tensor/dtype.ts.

import { EIGHTS } from "../abi";
import { HALF_FACTOR, loadHalf, loadHalvesUnscaled } from "../linear/linear-simd";
import { unpackIq4Nl, unpackMxfp4, unpackQ4_0, unpackQ4_1, unpackQ5_0, unpackQ5_1, unpackQ8_0 } from "./unpack-blocks";
import { unpackQ2K, unpackQ3K, unpackQ4K, unpackQ5K, unpackQ6K } from "./unpack-kquants";

// @ts-ignore: decorator
@inline
export const F32 = 0;
// @ts-ignore: decorator
@inline
export const F16 = 1;
// @ts-ignore: decorator
@inline
export const Q4_0 = 2;
// @ts-ignore: decorator
@inline
export const Q4_1 = 3;
// @ts-ignore: decorator
@inline
export const Q5_0 = 6;
// @ts-ignore: decorator
@inline
export const Q5_1 = 7;
// @ts-ignore: decorator
@inline
export const Q8_0 = 8;
// @ts-ignore: decorator
@inline
export const Q2_K = 10;
// @ts-ignore: decorator
@inline
export const Q3_K = 11;
// @ts-ignore: decorator
@inline
export const Q4_K = 12;
// @ts-ignore: decorator
@inline
export const Q5_K = 13;
// @ts-ignore: decorator
@inline
export const Q6_K = 14;
// @ts-ignore: decorator
@inline
export const IQ4_NL = 20;
// @ts-ignore: decorator
@inline
export const BF16 = 30;
// @ts-ignore: decorator
@inline
export const MXFP4 = 39;

/** Laid out by eights (see eights.ts): not formats of files. */
// @ts-ignore: decorator
@inline
export const Q4_0_EIGHTS = EIGHTS + Q4_0;
// @ts-ignore: decorator
@inline
export const Q4_K_EIGHTS = EIGHTS + Q4_K;
// @ts-ignore: decorator
@inline
export const Q5_K_EIGHTS = EIGHTS + Q5_K;
// @ts-ignore: decorator
@inline
export const Q6_K_EIGHTS = EIGHTS + Q6_K;

/** The type of a weight's file, however it lies. */
// @ts-ignore: decorator
@inline
export function fileType(dtype: i32): i32 {
  return dtype >= EIGHTS ? dtype - EIGHTS : dtype;
}

// @ts-ignore: decorator
@inline
export function isFloat(dtype: i32): bool {
  return dtype == F32 || dtype == F16 || dtype == BF16;
}

/** Whether weights are scale * q + offset, not scale * q. */
export function hasOffsets(dtype: i32): bool {
  const type = fileType(dtype);
  return type == Q4_1 || type == Q5_1 || type == Q2_K || type == Q4_K || type == Q5_K;
}

/** log2 of the block's elements: 0, 5 or 8. */
export function blockShift(dtype: i32): i32 {
  if (isFloat(dtype)) return 0;
  const type = fileType(dtype);
  return type >= Q2_K && type <= Q6_K ? 8 : 5;
}

export function blockBytes(dtype: i32): i32 {
  switch (fileType(dtype)) {
    case F32:
      return 4;
    case F16:
    case BF16:
      return 2;
    case Q4_0:
    case IQ4_NL:
      return 18;
    case MXFP4:
      return 17;
    case Q4_1:
      return 20;
    case Q5_0:
      return 22;
    case Q5_1:
      return 24;
    case Q8_0:
      return 34;
    case Q2_K:
      return 84;
    case Q3_K:
      return 110;
    case Q4_K:
      return 144;
    case Q5_K:
      return 176;
    case Q6_K:
      return 210;
    default:
      unreachable();
      return 0;
  }
}

/** Bytes of a row of `columns` elements, whole blocks. */
export function rowBytes(dtype: i32, columns: i32): usize {
  return (<usize>columns >> blockShift(dtype)) * blockBytes(dtype);
}

/** `columns` weights (whole blocks). Scales: f32 for each 32. Offsets: f32 for each 16. Both unused for S = f32. */
function unpackBlocks<S>(dtype: i32, block: usize, columns: i32, out: usize, scales: usize, offsets: usize): void {
  switch (dtype) {
    case Q4_0:
      return unpackQ4_0<S>(block, columns, out, scales);
    case Q4_1:
      return unpackQ4_1<S>(block, columns, out, scales, offsets);
    case Q5_0:
      return unpackQ5_0<S>(block, columns, out, scales);
    case Q5_1:
      return unpackQ5_1<S>(block, columns, out, scales, offsets);
    case Q8_0:
      return unpackQ8_0<S>(block, columns, out, scales);
    case IQ4_NL:
      return unpackIq4Nl<S>(block, columns, out, scales);
    case MXFP4:
      return unpackMxfp4<S>(block, columns, out, scales);
    default:
      for (let k = 0; k < columns; k += 256) {
        unpackSuperBlock<S>(dtype, block, out, scales, offsets);
        block += <usize>blockBytes(dtype);
        out += 256 * sizeof<S>();
        scales += 32;
        offsets += 64;
      }
  }
}

function unpackSuperBlock<S>(dtype: i32, block: usize, out: usize, scales: usize, offsets: usize): void {
  switch (dtype) {
    case Q2_K:
      return unpackQ2K<S>(block, out, scales, offsets);
    case Q3_K:
      return unpackQ3K<S>(block, out, scales);
    case Q4_K:
      return unpackQ4K<S>(block, out, scales, offsets);
    case Q5_K:
      return unpackQ5K<S>(block, out, scales, offsets);
    case Q6_K:
      return unpackQ6K<S>(block, out, scales);
    default:
      unreachable();
  }
}

/** `columns` weights (whole blocks) at `block` to i16 at `out`, with their scales and offsets: see unpackBlocks. */
export function unpackIntegers(
  dtype: i32,
  block: usize,
  columns: i32,
  out: usize,
  scales: usize,
  offsets: usize,
): void {
  unpackBlocks<i16>(dtype, block, columns, out, scales, offsets);
}

function unpackHalves(ptr: usize, columns: i32, out: usize): void {
  const factor = f32x4.splat(HALF_FACTOR);
  let k = 0;
  for (; k <= columns - 16; k += 16) {
    const from = ptr + ((<usize>k) << 1);
    const to = out + ((<usize>k) << 2);
    v128.store(to, f32x4.mul(loadHalvesUnscaled(from), factor));
    v128.store(to, f32x4.mul(loadHalvesUnscaled(from + 8), factor), 16);
    v128.store(to, f32x4.mul(loadHalvesUnscaled(from + 16), factor), 32);
    v128.store(to, f32x4.mul(loadHalvesUnscaled(from + 24), factor), 48);
  }
  for (; k < columns; k++) store<f32>(out + ((<usize>k) << 2), loadHalf(ptr + ((<usize>k) << 1)));
}

function unpackBrainFloats(ptr: usize, columns: i32, out: usize): void {
  let k = 0;
  for (; k <= columns - 4; k += 4) {
    const at = <usize>k;
    v128.store(out + (at << 2), i32x4.shl(v128.load16x4_u(ptr + (at << 1)), 16));
  }
  for (; k < columns; k++) {
    store<u32>(out + ((<usize>k) << 2), (<u32>load<u16>(ptr + ((<usize>k) << 1))) << 16);
  }
}

/** `columns` weights (whole blocks) of any format at `ptr` to f32 at `out`. */
export function unpackRow(dtype: i32, ptr: usize, columns: i32, out: usize): void {
  if (dtype == F32) {
    memory.copy(out, ptr, (<usize>columns) << 2);
    return;
  }
  if (dtype == F16) return unpackHalves(ptr, columns, out);
  if (dtype == BF16) return unpackBrainFloats(ptr, columns, out);
  unpackBlocks<f32>(dtype, ptr, columns, out, 0, 0);
}
