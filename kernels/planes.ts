// Rows of activations in two planes of bytes, for products with weights of at most 7 bits in the relaxed dot product: the
// same 16-bit integers as kernels/quantise.ts makes, q = 256 * coarse + fine, both signed bytes.
//
// Layout of one row of `columns` (a multiple of 32) elements, at a multiple of planesRowBytes(columns), for each block of 32:
//   i8 [32]  coarse, i8 [32] fine
// then for each block
//   f32      scale: x = q * scale
//   i32      -8 * sum of q: what Q4_0's integers, stored with 8 added, must start from

import { blockInverse, QUANTISED_MAX, round8 } from "./quantise";
import { share } from "./simd";

/** Bytes of one row, padded to 64. */
export function planesRowBytes(columns: i32): i32 {
  return (columns * 2 + (columns >> 5) * 8 + 63) & ~63;
}

// @ts-ignore: decorator
@inline
function coarseOf(q: v128): v128 {
  return i16x8.shr_s(i16x8.add(q, i16x8.splat(128)), 8);
}

/** 16 integers: their coarse bytes to `to`, their fine ones 32 bytes further. */
// @ts-ignore: decorator
@inline
function store16(to: usize, a: v128, b: v128): void {
  const coarseA = coarseOf(a);
  const coarseB = coarseOf(b);
  v128.store(to, i8x16.narrow_i16x8_s(coarseA, coarseB));
  const fineA = i16x8.sub(a, i16x8.shl(coarseA, 8));
  const fineB = i16x8.sub(b, i16x8.shl(coarseB, 8));
  v128.store(to, i8x16.narrow_i16x8_s(fineA, fineB), 32);
}

/** The block of 32 floats at x: planes to q, scale and offset to `scales`. */
function splitBlock(x: usize, q: usize, scales: usize): void {
  const inverse = blockInverse(x, scales, QUANTISED_MAX);
  const q0 = round8(x, inverse);
  const q1 = round8(x + 32, inverse);
  const q2 = round8(x + 64, inverse);
  const q3 = round8(x + 96, inverse);
  store16(q, q0, q1);
  store16(q + 16, q2, q3);
  const ones = i16x8.splat(1);
  let sum = i32x4.add(i32x4.dot_i16x8_s(q0, ones), i32x4.dot_i16x8_s(q1, ones));
  sum = i32x4.add(sum, i32x4.add(i32x4.dot_i16x8_s(q2, ones), i32x4.dot_i16x8_s(q3, ones)));
  sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
  sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2));
  store<i32>(scales, -8 * i32x4.extract_lane(sum, 0), 4);
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
    const scales = target + ((<usize>columns) << 1);
    splitBlock(x + <usize>row * stride + (block << 7), target + (block << 6), scales + (block << 3));
  }
}
