// The steps of planes-eight, all inlined.

import { madd } from "../vector/simd";

/** Signed bytes times weights of at most 7 bits added to `sum`: neighbours in 16 bits, or if `words` four in 32. */
// @ts-ignore: decorator
@inline
export function dot(words: bool, sum: v128, x: v128, w: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return unreachable();
  if (words) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum);
  return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(x, w));
}

/** Low nibbles. */
// @ts-ignore: decorator
@inline
export function low(bytes: v128, nibble: v128): v128 {
  return v128.and(bytes, nibble);
}

/** High nibbles. */
// @ts-ignore: decorator
@inline
export function high(bytes: v128, nibble: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), nibble);
}

/** Nibbles and the `upper` bits above them, in `bits` after those of `word` words of four columns. */
// @ts-ignore: decorator
@inline
export function withUpper(upper: i32, nibbles: v128, bits: v128, word: i32, mask: v128): v128 {
  if (upper == 0) return nibbles;
  const shift = 4 - word * upper;
  const moved = shift > 0 ? i16x8.shl(bits, shift) : shift < 0 ? i16x8.shr_u(bits, -shift) : bits;
  return v128.or(nibbles, v128.and(moved, mask));
}

/** What a sum starts from: pairs of 16 bits, added if sums have 32. `one`: 1 in 16-bit lanes. */
// @ts-ignore: decorator
@inline
export function start(words: bool, pairs: v128, one: v128): v128 {
  return words ? i32x4.dot_i16x8_s(pairs, one) : pairs;
}

/** The sums of both planes of four rows, times the rows' 16-bit integers `factor`, each of which is there twice. */
// @ts-ignore: decorator
@inline
export function joined(words: bool, coarse: v128, fine: v128, factor: v128): v128 {
  if (words) return i32x4.mul(i32x4.add(i32x4.shl(coarse, 7), fine), i32x4.shr_s(factor, 16));
  return i32x4.add(i32x4.shl(i32x4.dot_i16x8_s(coarse, factor), 7), i32x4.dot_i16x8_s(fine, factor));
}

/** The same where no integer belongs to the rows. `one` and `unit`: 1 and 128 in 16-bit lanes. */
// @ts-ignore: decorator
@inline
export function joinedPlain(words: bool, coarse: v128, fine: v128, one: v128, unit: v128): v128 {
  if (words) return i32x4.add(i32x4.shl(coarse, 7), fine);
  return i32x4.add(i32x4.dot_i16x8_s(coarse, unit), i32x4.dot_i16x8_s(fine, one));
}

/** Integers times a scale, added to `sum`. */
// @ts-ignore: decorator
@inline
export function scaledInto(sum: v128, integers: v128, scale: v128): v128 {
  return madd(f32x4.convert_i32x4_s(integers), scale, sum);
}

/** Four sign-extended halves as floats. */
// @ts-ignore: decorator
@inline
export function widened(halves: v128, mask: v128, factor: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(halves, 13), mask), factor);
}
