// Rows of activations as 16-bit integers, so that quantised weights multiply them in integer SIMD. Sixteen bits, where
// others take eight, keep a product within about 1e-4 of the one in floats at the same speed (i32x4.dot_i16x8_s).
//
// Layout of one quantised row of `columns` (a multiple of 32) elements, at a multiple of quantisedRowBytes(columns):
//   i16 [columns]       q, |q| <= 16383
//   f32 [columns / 32]  scale of each block of 32: x = q * scale
//   f32 [columns / 16]  scale * sum of q over each 16, for formats whose weights have an offset: taken from q, not from x,
//                       so that rounding does not enter twice
// The bound 16383 keeps the i32 sum of a block exact for every format: the largest weight integer is 32 * 128 (q6_k with
// its sub-scale), and 16383 * 4096 * 32 < 2^31.

import { share } from "../vector/simd";

// @ts-ignore: decorator
@inline
export const QUANTISED_MAX: f32 = 16383.0;

/** Blocks whose largest magnitude is below this become zero: its reciprocal would overflow. */
const SMALLEST_BLOCK: f32 = 1e-30;

/** 1.5 * 2^23: added to a float below 2^22 it leaves the nearest integer in the low bits. */
const ROUNDING: f32 = 12582912.0;

/** Bytes of one quantised row, padded to 64. */
export function quantisedRowBytes(columns: i32): i32 {
  return (columns * 2 + (columns >> 5) * 4 + (columns >> 4) * 4 + 63) & ~63;
}

/** Eight floats times `inverse`, as the nearest 16-bit integers. */
// @ts-ignore: decorator
@inline
export function round8(x: usize, inverse: v128): v128 {
  const magic = f32x4.splat(ROUNDING);
  const low = f32x4.add(f32x4.mul(v128.load(x), inverse), magic);
  const high = f32x4.add(f32x4.mul(v128.load(x, 16), inverse), magic);
  return i16x8.narrow_i32x4_s(i32x4.sub(low, magic), i32x4.sub(high, magic));
}

/**
 * Magnitudes are compared as integers: in the same order, and NaN is above all numbers, so that a block with one gets the scale
 * NaN and every product that reads it is none either. (pmax would drop it; max takes five instructions.)
 */
// @ts-ignore: decorator
@inline
function larger(x: usize, max: v128): v128 {
  return i32x4.max_s(max, f32x4.abs(v128.load(x)));
}

/** Sum of sixteen integers. */
// @ts-ignore: decorator
@inline
export function sum16(low: v128, high: v128): i32 {
  const sum = i32x4.dot_i16x8_s(i16x8.add(low, high), i16x8.splat(1));
  return (
    i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
  );
}

/**
 * Stores the scale of the block of 32 floats at x whose largest becomes `most`; returns what turns them into integers, in
 * every lane.
 */
// @ts-ignore: decorator
@inline
export function blockInverse(x: usize, scale: usize, most: f32): v128 {
  let max = f32x4.abs(v128.load(x));
  for (let i: usize = 16; i < 128; i += 16) max = larger(x + i, max);
  max = i32x4.max_s(max, v128.shuffle<f32>(max, max, 2, 3, 0, 1));
  max = i32x4.max_s(max, v128.shuffle<f32>(max, max, 1, 0, 3, 2));
  const magnitude = f32x4.extract_lane(max, 0);
  const tiny = magnitude < SMALLEST_BLOCK;
  store<f32>(scale, tiny ? 0 : magnitude / most);
  return f32x4.splat(tiny ? 0 : most / magnitude);
}

/** The block of 32 floats at x becomes 32 integers at q, its scale and two sums. */
function quantiseBlock(x: usize, q: usize, scale: usize, sums: usize): void {
  const inverse = blockInverse(x, scale, QUANTISED_MAX);
  const step = load<f32>(scale);
  const q0 = round8(x, inverse);
  const q1 = round8(x + 32, inverse);
  const q2 = round8(x + 64, inverse);
  const q3 = round8(x + 96, inverse);
  v128.store(q, q0);
  v128.store(q, q1, 16);
  v128.store(q, q2, 32);
  v128.store(q, q3, 48);
  store<f32>(sums, <f32>sum16(q0, q1) * step);
  store<f32>(sums, <f32>sum16(q2, q3) * step, 4);
}

/**
 * Quantises rows. Words at args, 32 bits each:
 *   0 T, rows   1 columns, a multiple of 32   2 x, address of f32 rows   3 row stride of x in elements
 *   4 address of the quantised rows
 * Threads share the blocks of all rows.
 */
export function quantise(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args);
  const columns = load<i32>(args, 4);
  const x = <usize>load<u32>(args, 8);
  const stride = <usize>load<u32>(args, 12) << 2;
  const out = <usize>load<u32>(args, 16);
  const rowBytes = <usize>quantisedRowBytes(columns);
  const blocks = columns >> 5;
  const first = share(rows * blocks, thread, threads);
  const end = share(rows * blocks, thread + 1, threads);
  if (first == end) return;
  let row = first / blocks;
  let block = first - row * blocks;
  for (let i = first; i < end; i++) {
    const target = out + <usize>row * rowBytes;
    const scales = target + ((<usize>columns) << 1);
    const sums = scales + ((<usize>blocks) << 2);
    const b = <usize>block;
    quantiseBlock(x + <usize>row * stride + (b << 7), target + (b << 6), scales + (b << 2), sums + (b << 3));
    block += 1;
    if (block == blocks) {
      block = 0;
      row += 1;
    }
  }
}
