// The cache in half floats: keys u16 [D][16], values u16 [16][Dv]; see kv-page. Attention reads them widened by shifts alone,
// divided by HALF_UNIT, and makes up for that in its scales.

import { f16Bits, toF16 } from "../vector/simd";

/** What is missing from half floats that were widened by shifts alone: exponents are not rebased. */
// @ts-ignore: decorator
@inline
export const HALF_UNIT: f32 = 5.192296858534828e33;
/** Sign, exponent and mantissa of a sign-extended half float moved up by 13 bits. */
// @ts-ignore: decorator
@inline
export const HALF_MASK: i32 = 0x8fffe000;
/** Bits of f32 from which on a magnitude does not fit: 65520 rounds to a half that is infinite. */
// @ts-ignore: decorator
@inline
export const RANGE: i32 = 0x477ff000;

/** `scratch` holds width * 2 bytes. */
export function storeKey(keys: usize, width: i32, place: i32, row: usize, scratch: usize): void {
  storeValue(scratch, width, 0, row);
  let at = keys + usize(place) * 2;
  for (let d = 0; d < width; d++) {
    store<u16>(at, load<u16>(scratch + (usize(d) << 1)));
    at += 32;
  }
}

export function storeValue(values: usize, width: i32, place: i32, row: usize): void {
  const out = values + usize(place) * width * 2;
  for (let d: usize = 0; d < usize(width); d += 4) {
    const half = toF16(v128.load(row + d * 4));
    v128.store64_lane(out + d * 2, i16x8.narrow_i32x4_u(half, half), 0);
  }
}

export function loadKey(keys: usize, width: i32, place: i32, out: usize): void {
  for (let d = 0; d < width; d++) {
    const half = i32x4.splat(load<i16>(keys + usize(d * 16 + place) * 2));
    store<f32>(out + usize(d) * 4, f32x4.extract_lane(f16Bits(half), 0));
  }
}

export function copyValue(from: usize, to: usize, width: i32, place: i32): void {
  const offset = usize(place * width * 2);
  memory.copy(to + offset, from + offset, usize(width * 2));
}

export function keysAsF32(keys: usize, width: i32, out: usize): void {
  widen(keys, out, width * 16);
}

export function valuesAsF32(values: usize, width: i32, first: i32, last: i32, out: usize): void {
  const offset = usize(first) * width;
  widen(values + offset * 2, out + offset * 4, (last - first) * width);
}

/**
 * `count` (a multiple of 4) half floats to f32, divided by HALF_UNIT: bits moved into place. Written in pairs of vectors,
 * with a mask that is not a constant, for engines that join pairs (see attention-wide.ts).
 */
function widen(from: usize, out: usize, count: i32): void {
  const end = from + usize(count) * 2;
  const mask = i32x4.splat(HALF_MASK | (count >> 31));
  for (; from + 16 <= end; from += 16) {
    const eight = v128.load(from);
    v128.store(out, v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(eight), 13), mask));
    v128.store(out, v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(eight), 13), mask), 16);
    out += 32;
  }
  if (from < end) v128.store(out, v128.and(i32x4.shl(v128.load16x4_s(from), 13), mask));
}

// Widening where halves lie, of vectors of eight: two share a lane of 32 bits, an even one below an odd one. The product of
// both with (2^13, 0) is the even one, moved to where a float has its exponent and mantissa, with its sign before it; a
// shift moves the odd one there; the mask clears what is left of signs and of the neighbour.

/** HALF_MASK in all lanes. `count` is anything that is not negative: a constant would be made anew in every turn of a loop. */
// @ts-ignore: decorator
@inline
export function halfMask(count: usize): v128 {
  return i32x4.splat(HALF_MASK | (i32(count) >> 31));
}

/** What evenOf multiplies by; `count` as for halfMask. */
// @ts-ignore: decorator
@inline
export function evenFactor(count: usize): v128 {
  return i32x4.splat(0x2000 | (i32(count) >> 31));
}

/** The even four of eight halves as f32, divided by HALF_UNIT. */
// @ts-ignore: decorator
@inline
export function evenOf(halves: v128, factor: v128, mask: v128): v128 {
  return v128.and(i32x4.dot_i16x8_s(halves, factor), mask);
}

// @ts-ignore: decorator
@inline
export function oddOf(halves: v128, mask: v128): v128 {
  return v128.and(i32x4.shr_s(halves, 3), mask);
}
