// Rows of activations in two planes of bytes, for products with weights of at most 7 bits in the relaxed dot product: the
// same 16-bit integers as kernels/quantise.ts makes, q = 128 * coarse + fine, both from -127 to 127.
//
// Layout of one row of `columns` (a multiple of 32) elements, at a multiple of planesRowBytes(columns), for each block of 32:
//   i8 [32]  coarse, i8 [32] fine
// then for each block PLANES_RECORD bytes
//   f32      scale: x = q * scale
//   i32      -8 * sum of q: what Q4_0's integers, stored with 8 added, must start from
//   f32      -scale * sum of q, for formats with minima
//   4 bytes  unused
//   i16 [2][coarse, fine][2]  for each half, -32 times the sums of columns 0, 1, 4, 5 .. and of columns 2, 3, 6, 7 ..: what
//            16-bit sums with Q6_K's integers, stored with 32 added, must start from, lane by lane

import { blockInverse, QUANTISED_MAX, round8 } from "./quantise";
import { share } from "../vector/simd";

/** Bytes of a block's scale and sums. */
// @ts-ignore: decorator
@inline
export const PLANES_RECORD: usize = 32;

/** Bytes of one row, padded to 64. */
export function planesRowBytes(columns: i32): i32 {
  return (columns * 3 + 63) & ~63;
}

/** The multiple of 128 next to q; not 128 itself, which is no signed byte, nor -128, so that 8 products of 6 bits fit 16. */
// @ts-ignore: decorator
@inline
function coarseOf(q: v128): v128 {
  const coarse = i16x8.shr_s(i16x8.add(q, i16x8.splat(64)), 7);
  return i16x8.max_s(i16x8.min_s(coarse, i16x8.splat(127)), i16x8.splat(-127));
}

// @ts-ignore: decorator
@inline
function fineOf(q: v128, coarse: v128): v128 {
  return i16x8.sub(q, i16x8.shl(coarse, 7));
}

/** Sixteen bytes: neighbours added in 16 bits, then every second of those, in four lanes of pairs. */
// @ts-ignore: decorator
@inline
function pairSums(bytes: v128): v128 {
  return i16x8.extadd_pairwise_i8x16_s(bytes);
}

/** Lanes a, b, c, d summed, as lanes 0 to 3. A lane is a pair of 16-bit sums. */
// @ts-ignore: decorator
@inline
function sumPairs(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i16x8.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i16x8.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i16x8.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** The block of 32 floats at x: planes to q, scale and sums to `record`. */
function splitBlock(x: usize, q: usize, record: usize): void {
  const inverse = blockInverse(x, record, QUANTISED_MAX);
  const q0 = round8(x, inverse);
  const q1 = round8(x + 32, inverse);
  const q2 = round8(x + 64, inverse);
  const q3 = round8(x + 96, inverse);
  const c0 = coarseOf(q0);
  const c1 = coarseOf(q1);
  const c2 = coarseOf(q2);
  const c3 = coarseOf(q3);
  const coarse0 = i8x16.narrow_i16x8_s(c0, c1);
  const coarse1 = i8x16.narrow_i16x8_s(c2, c3);
  const fine0 = i8x16.narrow_i16x8_s(fineOf(q0, c0), fineOf(q1, c1));
  const fine1 = i8x16.narrow_i16x8_s(fineOf(q2, c2), fineOf(q3, c3));
  v128.store(q, coarse0);
  v128.store(q, coarse1, 16);
  v128.store(q, fine0, 32);
  v128.store(q, fine1, 48);
  const pairs = sumPairs(pairSums(coarse0), pairSums(fine0), pairSums(coarse1), pairSums(fine1));
  v128.store(record, i16x8.mul(pairs, i16x8.splat(-32)), 16);
  const four = i32x4.extadd_pairwise_i16x8_s(pairs);
  const coarse = i32x4.extract_lane(four, 0) + i32x4.extract_lane(four, 2);
  const sum = (coarse << 7) + i32x4.extract_lane(four, 1) + i32x4.extract_lane(four, 3);
  store<i32>(record, -8 * sum, 4);
  store<f32>(record, -<f32>sum * load<f32>(record), 8);
  store<i32>(record, 0, 12);
}

/**
 * Words at args, 32 bits each:
 *   0 T, rows   1 columns, a multiple of 32   2 x, address of f32 rows   3 row stride of x in elements
 *   4 address of the rows in planes
 * Threads share the blocks of all rows.
 */
export function splitPlanes(args: usize, thread: i32, threads: i32): void {
  const columns = load<i32>(args, 4);
  const x = <usize>load<u32>(args, 8);
  const stride = <usize>load<u32>(args, 12) << 2;
  const out = <usize>load<u32>(args, 16);
  const blocks = columns >> 5;
  const count = load<i32>(args) * blocks;
  const end = share(count, thread + 1, threads);
  for (let i = share(count, thread, threads); i < end; i++) {
    const row = i / blocks;
    const block = <usize>(i - row * blocks);
    const target = out + <usize>row * <usize>planesRowBytes(columns);
    const records = target + ((<usize>columns) << 1);
    splitBlock(x + <usize>row * stride + (block << 7), target + (block << 6), records + block * PLANES_RECORD);
  }
}
