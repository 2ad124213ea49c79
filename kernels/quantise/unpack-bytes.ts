// Weights of the quantised formats as unsigned bytes for linear-bytes, up to 256 weights of a row:
// w = scale * (byte - zero) + offset. Scales are f32 for each 32 weights, or for each 16 where `scalesHalves` says so;
// offsets, where the format has them, f32 for each 32, or for each 16 where `offsetsHalves` says so. Layouts as in src/quant.

import { bitOfByte, bytes15, bytes16, loadExponent, loadHalf, lookUp, spreadHigh, spreadLow } from "../linear/linear-simd";
import {
  blockBytes, fileType, IQ4_NL, MXFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0,
} from "./unpack";
import { scaleQ3K, sixBitMinima, sixBitScales } from "./unpack-kquants";

/** The `zero` of a format: in the middle where 16-bit sums need it (linear-bytes), also of 5 bits that have none. */
export function zeroOf(dtype: i32): i32 {
  switch (fileType(dtype)) {
    case MXFP4:
      return 12;
    case Q3_K:
      return 4;
    case Q4_0:
      return 8;
    case Q5_0:
    case Q5_1:
    case Q5_K:
      return 16;
    case Q6_K:
      return 32;
    case Q8_0:
    case IQ4_NL:
      return 128;
    default:
      return 0;
  }
}

// @ts-ignore: decorator
@inline
export function scalesHalves(dtype: i32): bool {
  const type = fileType(dtype);
  return type == Q6_K || type == Q3_K || type == Q2_K;
}

// @ts-ignore: decorator
@inline
export function offsetsHalves(dtype: i32): bool {
  return dtype == Q2_K;
}

// @ts-ignore: decorator
@inline
function upper(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), bytes15);
}

// @ts-ignore: decorator
@inline
function nibbles(from: usize, out: usize): void {
  const bytes = v128.load(from);
  v128.store(out, v128.and(bytes, bytes15));
  v128.store(out, upper(bytes), 16);
}

/** Sixteen of 32 bits, worth 16 each; `spread` picks them. */
// @ts-ignore: decorator
@inline
function fifth(bits: v128, spread: v128): v128 {
  const own = v128.and(v128.swizzle(bits, spread), bitOfByte);
  return v128.and(i8x16.eq(own, bitOfByte), bytes16);
}

// @ts-ignore: decorator
@inline
function fives(bits: u32, from: usize, out: usize): void {
  const bytes = v128.load(from);
  const all = i32x4.splat(<i32>bits);
  v128.store(out, v128.or(v128.and(bytes, bytes15), fifth(all, spreadLow)));
  v128.store(out, v128.or(upper(bytes), fifth(all, spreadHigh)), 16);
}

// @ts-ignore: decorator
@inline
function eights(block: usize, out: usize): void {
  const flip = i8x16.splat(-128);
  v128.store(out, v128.xor(v128.load(block, 2), flip));
  v128.store(out, v128.xor(v128.load(block, 18), flip), 16);
}

// @ts-ignore: decorator
@inline
function levels(table: v128, from: usize, out: usize): void {
  const bytes = v128.load(from);
  v128.store(out, lookUp(table, v128.and(bytes, bytes15)));
  v128.store(out, lookUp(table, upper(bytes)), 16);
}

// @ts-ignore: decorator
@inline
function blocks32(dtype: i32, block: usize, columns: i32, out: usize, scales: usize, offsets: usize): void {
  const bytes = <usize>blockBytes(dtype);
  // Stored with `zero` added.
  const doubled = i8x16(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  const codebook = i8x16(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
  for (const end = out + <usize>columns; out < end; out += 32) {
    const scale = dtype == MXFP4 ? loadExponent(block) : loadHalf(block);
    store<f32>(scales, scale);
    if (dtype == Q4_0) nibbles(block + 2, out);
    else if (dtype == Q4_1) nibbles(block + 4, out);
    else if (dtype == Q5_0) fives(load<u32>(block, 2), block + 6, out);
    else if (dtype == Q5_1) fives(load<u32>(block, 4), block + 8, out);
    else if (dtype == Q8_0) eights(block, out);
    else if (dtype == MXFP4) levels(doubled, block + 1, out);
    else levels(codebook, block + 2, out);
    if (dtype == Q4_1) store<f32>(offsets, loadHalf(block + 2));
    if (dtype == Q5_1) store<f32>(offsets, loadHalf(block + 2) + 16 * scale);
    block += bytes;
    scales += 4;
    offsets += 4;
  }
}

// @ts-ignore: decorator
@inline
function byteOf(bytes: u64, j: usize): f32 {
  return <f32>(<i32>((bytes >> (<u64>j << 3)) & 255));
}

/** Q4_K and Q5_K: eight scales and eight minima of 6 bits. */
// @ts-ignore: decorator
@inline
function sixBits(block: usize, zero: f32, scales: usize, offsets: usize): void {
  const d = loadHalf(block);
  const dmin = loadHalf(block + 2);
  const factors = sixBitScales(block + 4);
  const minima = sixBitMinima(block + 4);
  for (let j: usize = 0; j < 8; j++) {
    const scale = d * byteOf(factors, j);
    store<f32>(scales + (j << 2), scale);
    store<f32>(offsets + (j << 2), zero * scale - dmin * byteOf(minima, j));
  }
}

function bytesQ4K(block: usize, out: usize, scales: usize, offsets: usize): void {
  sixBits(block, 0, scales, offsets);
  for (let j: usize = 0; j < 4; j++) {
    const a = v128.load(block + (j << 5), 16);
    const b = v128.load(block + (j << 5), 32);
    const to = out + (j << 6);
    v128.store(to, v128.and(a, bytes15));
    v128.store(to, v128.and(b, bytes15), 16);
    v128.store(to, upper(a), 32);
    v128.store(to, upper(b), 48);
  }
}

function bytesQ5K(block: usize, out: usize, scales: usize, offsets: usize): void {
  sixBits(block, 16, scales, offsets);
  const one = i8x16.splat(1);
  for (let half: usize = 0; half < 32; half += 16) {
    let bits = v128.load(block + half, 16);
    for (let j: usize = 0; j < 4; j++) {
      const bytes = v128.load(block + half + (j << 5), 48);
      const to = out + half + (j << 6);
      v128.store(to, v128.or(v128.and(bytes, bytes15), i16x8.shl(v128.and(bits, one), 4)));
      v128.store(to, v128.or(upper(bytes), i16x8.shl(v128.and(i16x8.shr_u(bits, 1), one), 4)), 32);
      bits = i16x8.shr_u(bits, 2);
    }
  }
}

/** Integers of 2 bits, with a scale and an offset of 4 bits for each 16. */
function bytesQ2K(block: usize, out: usize, scales: usize, offsets: usize): void {
  const d = loadHalf(block + 80);
  const dmin = loadHalf(block + 82);
  for (let j: usize = 0; j < 16; j++) {
    const byte = <i32>load<u8>(block + j);
    store<f32>(scales + (j << 2), d * <f32>(byte & 15));
    store<f32>(offsets + (j << 2), -dmin * <f32>(byte >> 4));
    const at = block + ((j >> 3) << 5) + ((j & 1) << 4);
    v128.store(out + (j << 4), v128.and(i16x8.shr_u(v128.load(at, 16), <i32>(j & 6)), i8x16.splat(3)));
  }
}

/** Integers of 3 bits, with a scale of 6 bits for each 16. */
function bytesQ3K(block: usize, out: usize, scales: usize): void {
  const d = loadHalf(block + 108);
  for (let j: usize = 0; j < 16; j++) {
    store<f32>(scales + (j << 2), d * <f32>scaleQ3K(block + 96, j));
    const thirds = block + ((j & 1) << 4);
    const low = i16x8.shr_u(v128.load(thirds + ((j >> 3) << 5), 32), <i32>(j & 6));
    const third = i16x8.shr_u(v128.load(thirds), <i32>(j >> 1));
    v128.store(out + (j << 4), v128.or(v128.and(low, i8x16.splat(3)), i16x8.shl(v128.and(third, i8x16.splat(1)), 2)));
  }
}

/** Integers of 6 bits with a scale for each 16. */
function bytesQ6K(block: usize, out: usize, scales: usize): void {
  const d = loadHalf(block + 208);
  for (let j: usize = 0; j < 16; j++) store<f32>(scales + (j << 2), d * <f32>load<i8>(block + j, 192));
  const top = i8x16.splat(48);
  for (let i: usize = 0; i < 4; i++) {
    // Sixteen columns of a half of 128: elements c, c + 32, c + 64, c + 96 of it.
    const half = i >> 1;
    const column = (i & 1) << 4;
    const at = block + (half << 6) + column;
    const a = v128.load(at);
    const b = v128.load(at, 32);
    const bits = v128.load(block + (half << 5) + column, 128);
    const to = out + (half << 7) + column;
    v128.store(to, v128.or(v128.and(a, bytes15), v128.and(i16x8.shl(bits, 4), top)));
    v128.store(to, v128.or(v128.and(b, bytes15), v128.and(i16x8.shl(bits, 2), top)), 32);
    v128.store(to, v128.or(upper(a), v128.and(bits, top)), 64);
    v128.store(to, v128.or(upper(b), v128.and(i16x8.shr_u(bits, 2), top)), 96);
  }
}

/** `columns` weights (whole blocks, at most 256) at `block` to bytes at `out`, with their scales and offsets. */
export function unpackBytes(
  dtype: i32, block: usize, columns: i32, out: usize, scales: usize, offsets: usize,
): void {
  switch (dtype) {
    case Q4_0:
      return blocks32(Q4_0, block, columns, out, scales, offsets);
    case Q4_1:
      return blocks32(Q4_1, block, columns, out, scales, offsets);
    case Q5_0:
      return blocks32(Q5_0, block, columns, out, scales, offsets);
    case Q5_1:
      return blocks32(Q5_1, block, columns, out, scales, offsets);
    case Q8_0:
      return blocks32(Q8_0, block, columns, out, scales, offsets);
    case IQ4_NL:
      return blocks32(IQ4_NL, block, columns, out, scales, offsets);
    case MXFP4:
      return blocks32(MXFP4, block, columns, out, scales, offsets);
    case Q2_K:
      return bytesQ2K(block, out, scales, offsets);
    case Q3_K:
      return bytesQ3K(block, out, scales);
    case Q4_K:
      return bytesQ4K(block, out, scales, offsets);
    case Q5_K:
      return bytesQ5K(block, out, scales, offsets);
    case Q6_K:
      return bytesQ6K(block, out, scales);
    default:
      unreachable();
  }
}
