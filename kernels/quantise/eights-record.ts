// The scales of a weight by eights (eights.ts), unpacked: of a k-quant's super-block of eight rows a record, which the products
// of few tokens read as it is, or floats for panels.
//
//   i16 [8 or 16][8 rows][2]  the integer scale of each 32 columns, or 16 (Q6_K), twice, for the sums of pairs of products
//   f32 [8][8 rows]           at MINIMA: the integer minimum of each 32 columns (Q4_K, Q5_K)
//   f32 [2][8 rows]           at FACTORS: what the scales and the minima are to be multiplied by

import { halfFactor, halfMask } from "../linear/linear-simd";
import { Q4_0_EIGHTS, Q5_K_EIGHTS, Q6_K_EIGHTS } from "./unpack";

// @ts-ignore: decorator
@inline
export const MINIMA: usize = 256;
// @ts-ignore: decorator
@inline
export const FACTORS: usize = 512;
// @ts-ignore: decorator
@inline
export const RECORD_BYTES: usize = 576;

/** Eight halves as floats. */
// @ts-ignore: decorator
@inline
function storeHalves(from: usize, to: usize): void {
  const factor = f32x4.splat(halfFactor);
  v128.store(to, f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(from), 13), halfMask), factor));
  v128.store(to, f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(from, 8), 13), halfMask), factor), 16);
}

/** Eight 16-bit integers, each twice. */
// @ts-ignore: decorator
@inline
function storeTwice(integers: v128, to: usize): void {
  v128.store(to, v128.shuffle<i16>(integers, integers, 0, 0, 1, 1, 2, 2, 3, 3));
  v128.store(to, v128.shuffle<i16>(integers, integers, 4, 4, 5, 5, 6, 6, 7, 7), 16);
}

/** Eight 16-bit integers as floats. */
// @ts-ignore: decorator
@inline
function storeFloats(integers: v128, to: usize): void {
  v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(integers)));
  v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(integers)), 16);
}

/** Q6_K: scales of eight bits. */
function bytesRecord(group: usize, record: usize): void {
  storeHalves(group, record + FACTORS);
  group += 16;
  for (const end = group + 128; group < end; group += 8) {
    storeTwice(v128.load8x8_s(group), record);
    record += 32;
  }
}

/** Q4_K and Q5_K: scales and minima of six bits; of the last four their upper two lie in the bytes of the first four. */
function sixBitsRecord(group: usize, record: usize): void {
  storeHalves(group, record + FACTORS);
  storeHalves(group + 16, record + FACTORS + 32);
  const six = i16x8.splat(63);
  const four = i16x8.splat(15);
  group += 32;
  for (const end = group + 32; group < end; group += 8) {
    const scale = v128.load8x8_u(group);
    const minimum = v128.load8x8_u(group, 32);
    const both = v128.load8x8_u(group, 64);
    storeTwice(v128.and(scale, six), record);
    storeFloats(v128.and(minimum, six), record + MINIMA);
    storeTwice(v128.or(v128.and(both, four), i16x8.shl(i16x8.shr_u(scale, 6), 4)), record + 128);
    storeFloats(v128.or(i16x8.shr_u(both, 4), i16x8.shl(i16x8.shr_u(minimum, 6), 4)), record + MINIMA + 128);
    record += 32;
  }
}

/** The record of the super-block of eight rows at `group`. After prepareConstants. */
export function eightsRecord(dtype: i32, group: usize, record: usize): void {
  if (dtype == Q6_K_EIGHTS) bytesRecord(group, record);
  else sixBitsRecord(group, record);
}

/** Products of the four integer scales at `scale` and the floats of the same rows. */
// @ts-ignore: decorator
@inline
function scaleOf(scale: usize, factors: v128): v128 {
  return f32x4.mul(factors, f32x4.convert_i32x4_s(i32x4.shr_s(v128.load(scale), 16)));
}

/**
 * Scales of `blocks` blocks of 32 columns (of k-quants a super-block's eight) of a weight by eights at `group`, f32
 * [blocks][8], of Q6_K [16][8], to `scales`. What formats with minima add to the products with their integers, less `zero`:
 * f32 [8][8] to `offsets`. `record` has RECORD_BYTES. After prepareConstants.
 */
export function eightsScales(
  dtype: i32, group: usize, blocks: i32, zero: i32, record: usize, scales: usize, offsets: usize,
): void {
  if (dtype == Q4_0_EIGHTS) {
    for (const end = scales + (<usize>blocks << 5); scales < end; scales += 32) {
      storeHalves(group, scales);
      group += 144;
    }
    return;
  }
  eightsRecord(dtype, group, record);
  const count: usize = dtype == Q6_K_EIGHTS ? 512 : 256;
  const minima = dtype != Q6_K_EIGHTS;
  const middle = f32x4.splat(<f32>zero);
  for (let half: usize = 0; half < 32; half += 16) {
    const d = v128.load(record + FACTORS + half);
    const dmin = v128.load(record + FACTORS + 32 + half);
    for (let at = half; at < count; at += 32) {
      const scale = scaleOf(record + at, d);
      v128.store(scales + at, scale);
      if (!minima) continue;
      const minimum = f32x4.mul(dmin, v128.load(record + MINIMA + at));
      v128.store(offsets + at, f32x4.sub(f32x4.mul(middle, scale), minimum));
    }
  }
}

// @ts-ignore: decorator
@inline
function store8(to: usize, low: v128, high: v128): void {
  v128.store(to, low);
  v128.store(to, high, 16);
}

/** Bits of eight rows x four columns, moved up by `shift`, down if it is negative, and masked. */
// @ts-ignore: decorator
@inline
function moved(bits: v128, shift: i32, mask: v128): v128 {
  return v128.and(shift >= 0 ? i16x8.shl(bits, shift) : i16x8.shr_u(bits, -shift), mask);
}

/** Bits above the nibbles of word `word` of eight, for four rows; `at`: the bits. */
// @ts-ignore: decorator
@inline
function upperOf(dtype: i32, at: usize, word: i32): v128 {
  if (dtype == Q5_K_EIGHTS) return moved(v128.load(at), 4 - word, i8x16.splat(16));
  return moved(v128.load(at + <usize>((word >> 2) << 5)), 4 - ((word & 3) << 1), i8x16.splat(48));
}

/**
 * 32 columns of eight rows by eights, at their nibbles, as unsigned bytes: words of four columns [8 words][8 rows][4], `width`
 * bytes from word to word.
 */
export function eightsBytes(dtype: i32, at: usize, to: usize, width: usize): void {
  const nibble = i8x16.splat(15);
  const upper = at + 128;
  const more = dtype == Q5_K_EIGHTS || dtype == Q6_K_EIGHTS;
  for (let word: i32 = 0; word < 8; word++) {
    let low = v128.load(at);
    let high = v128.load(at, 16);
    if ((word & 1) != 0) {
      low = i16x8.shr_u(low, 4);
      high = i16x8.shr_u(high, 4);
      at += 32;
    }
    low = v128.and(low, nibble);
    high = v128.and(high, nibble);
    if (more) {
      low = v128.or(low, upperOf(dtype, upper, word));
      high = v128.or(high, upperOf(dtype, upper + 16, word));
    }
    store8(to, low, high);
    to += width;
  }
}
