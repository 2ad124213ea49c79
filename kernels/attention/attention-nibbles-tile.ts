// The two products of attention for pages of 4 bits (kv/q4.ts), two rows at once in 8 sums: nibbles times integers of 16 bits,
// pairs of dims or of tokens apart by 4 or 8, summed exactly in 32 bits: a nibble is at most 8, an integer 32,767, and at most
// 64 of each are added. Two rows keep within 16 registers; attention-nibbles-wide.ts has four for engines with 256 bits.
import { SCORE_STRIDE } from "./attention-tile";
import { madd } from "../vector/simd";

/** Bytes of a row of packed queries that share a block of 32 dims. */
// @ts-ignore: decorator
@inline
export const BLOCK_BYTES: usize = 64;
/** Bytes of the packed weights of a page's slots, and of a row's of a block of slots. */
// @ts-ignore: decorator
@inline
export const PAGE_BYTES: usize = 32;
// @ts-ignore: decorator
@inline
export const ROW_BYTES: usize = 128;

/** Nibbles of both halves of words as 16 bits, those `left` bits below the top. */
// @ts-ignore: decorator
@inline
export function nibble(words: v128, left: i32): v128 {
  return i16x8.shr_s(i16x8.shl(words, left), 12);
}

// @ts-ignore: decorator
@inline
export function dot(sum: v128, nibbles: v128, x: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(nibbles, x));
}

/** before + integers * unit * scale */
// @ts-ignore: decorator
@inline
export function times(integers: v128, unit: v128, scale: v128, before: v128): v128 {
  return madd(f32x4.mul(f32x4.convert_i32x4_s(integers), unit), scale, before);
}

/**
 * Adds two rows' scores of the keys of a page. `stride`: bytes of a row of queries; `scales`: f32 [blocks][16]; `units`: what the
 * rows' integers are to be multiplied by.
 */
export function scoreNibbles2(q: usize, stride: usize, keys: usize, scales: usize, units: usize, scores: usize): void {
  for (const last = q + stride; q < last; ) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
    let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (const end = min(q + BLOCK_BYTES, last); q < end; q += 16) {
      let k0 = nibble(v128.load(keys), 12);
      let k1 = nibble(v128.load(keys, 16), 12);
      let k2 = nibble(v128.load(keys, 32), 12);
      let k3 = nibble(v128.load(keys, 48), 12);
      let x = v128.load32_splat(q);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      let xB = v128.load32_splat(q + stride);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      k0 = nibble(v128.load(keys), 8);
      k1 = nibble(v128.load(keys, 16), 8);
      k2 = nibble(v128.load(keys, 32), 8);
      k3 = nibble(v128.load(keys, 48), 8);
      x = v128.load32_splat(q, 4);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      xB = v128.load32_splat(q + stride, 4);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      k0 = nibble(v128.load(keys), 4);
      k1 = nibble(v128.load(keys, 16), 4);
      k2 = nibble(v128.load(keys, 32), 4);
      k3 = nibble(v128.load(keys, 48), 4);
      x = v128.load32_splat(q, 8);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      xB = v128.load32_splat(q + stride, 8);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      k0 = nibble(v128.load(keys), 0);
      k1 = nibble(v128.load(keys, 16), 0);
      k2 = nibble(v128.load(keys, 32), 0);
      k3 = nibble(v128.load(keys, 48), 0);
      x = v128.load32_splat(q, 12);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      xB = v128.load32_splat(q + stride, 12);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      keys += 64;
    }
    const s0 = v128.load(scales), s1 = v128.load(scales, 16);
    const s2 = v128.load(scales, 32), s3 = v128.load(scales, 48);
    const uA = v128.load32_splat(units);
    let t0 = times(a0, uA, s0, v128.load(scores)), t1 = times(a1, uA, s1, v128.load(scores, 16));
    v128.store(scores, t0);
    v128.store(scores, t1, 16);
    t0 = times(a2, uA, s2, v128.load(scores, 32));
    t1 = times(a3, uA, s3, v128.load(scores, 48));
    v128.store(scores, t0, 32);
    v128.store(scores, t1, 48);
    const uB = v128.load32_splat(units, 4);
    t0 = times(b0, uB, s0, v128.load(scores, SCORE_STRIDE));
    t1 = times(b1, uB, s1, v128.load(scores, SCORE_STRIDE + 16));
    v128.store(scores, t0, SCORE_STRIDE);
    v128.store(scores, t1, SCORE_STRIDE + 16);
    t0 = times(b2, uB, s2, v128.load(scores, SCORE_STRIDE + 32));
    t1 = times(b3, uB, s3, v128.load(scores, SCORE_STRIDE + 48));
    v128.store(scores, t0, SCORE_STRIDE + 32);
    v128.store(scores, t1, SCORE_STRIDE + 48);
    scales += 64;
  }
}

/**
 * What a block of slots adds to 16 dims of two rows, as f32 [2][16]. `weights`: rows of ROW_BYTES; `offset`: from a page's
 * member to the first dim's word, `stride`: from a row of words to the next.
 */
export function addNibbles2(
  lanes: usize, weights: usize, units: usize, members: usize, pages: i32, offset: usize, stride: usize,
): void {
  let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (const last = members + usize(pages) * 4; members < last; members += 4) {
    let words = load<usize>(members) + offset;
    for (const end = weights + PAGE_BYTES; weights < end; weights += 16) {
      let k0 = nibble(v128.load(words), 12);
      let k1 = nibble(v128.load(words, 16), 12);
      let k2 = nibble(v128.load(words, 32), 12);
      let k3 = nibble(v128.load(words, 48), 12);
      let x = v128.load32_splat(weights);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      let xB = v128.load32_splat(weights, ROW_BYTES);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      k0 = nibble(v128.load(words), 8);
      k1 = nibble(v128.load(words, 16), 8);
      k2 = nibble(v128.load(words, 32), 8);
      k3 = nibble(v128.load(words, 48), 8);
      x = v128.load32_splat(weights, 4);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      xB = v128.load32_splat(weights, ROW_BYTES + 4);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      k0 = nibble(v128.load(words), 4);
      k1 = nibble(v128.load(words, 16), 4);
      k2 = nibble(v128.load(words, 32), 4);
      k3 = nibble(v128.load(words, 48), 4);
      x = v128.load32_splat(weights, 8);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      xB = v128.load32_splat(weights, ROW_BYTES + 8);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      k0 = nibble(v128.load(words), 0);
      k1 = nibble(v128.load(words, 16), 0);
      k2 = nibble(v128.load(words, 32), 0);
      k3 = nibble(v128.load(words, 48), 0);
      x = v128.load32_splat(weights, 12);
      a0 = dot(a0, k0, x);
      a1 = dot(a1, k1, x);
      a2 = dot(a2, k2, x);
      a3 = dot(a3, k3, x);
      xB = v128.load32_splat(weights, ROW_BYTES + 12);
      b0 = dot(b0, k0, xB);
      b1 = dot(b1, k1, xB);
      b2 = dot(b2, k2, xB);
      b3 = dot(b3, k3, xB);
      words += stride;
    }
  }
  const uA = v128.load32_splat(units);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(a0), uA));
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(a1), uA), 16);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(a2), uA), 32);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(a3), uA), 48);
  const uB = v128.load32_splat(units, 4);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(b0), uB), 64);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(b1), uB), 80);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(b2), uB), 96);
  v128.store(lanes, f32x4.mul(f32x4.convert_i32x4_s(b3), uB), 112);
}
