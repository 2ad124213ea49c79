// Rows of activations as 8-bit integers for the matrix products of many tokens (linear-bytes): half the width of those in
// quantise, rounded as llama.cpp rounds them, in blocks of 32 with |q| <= 127.
//
// Tokens lie in groups of eight, so that one pointer reaches them all. One group of `columns` (a multiple of 32) elements,
// blocks = columns / 32; the last group is filled up with zeros:
//   i8  [columns / 4][8 tokens][4]  q
//   f32 [blocks][8]                 scale of each block: x = q * scale
//   i16 [blocks][8][2]              -(sum of q) of columns 4i, 4i + 1 and of columns 4i + 2, 4i + 3, for weights stored with
//                                   a constant added: two sums, as products of bytes come in pairs; and for each half:
//   i16 [2 * blocks][8][2]
//   f32 [blocks][8]                 scale * sum of q, for formats whose weights have an offset; and for each half:
//   f32 [2 * blocks][8]

import { blockInverse, round8 } from "./quantise";
import { share } from "../vector/simd";

/** Tokens of a group. */
// @ts-ignore: decorator
@inline
export const GROUP = 8;

/** Bytes of one group for each column. */
// @ts-ignore: decorator
@inline
export const GROUP_BYTES: usize = 15;

// Where a group's parts begin, in bytes for each column.
// @ts-ignore: decorator
@inline
export const SCALES_AT: usize = 8;
// @ts-ignore: decorator
@inline
export const LESS_AT: usize = 9;
// @ts-ignore: decorator
@inline
export const LESS_HALVES_AT: usize = 10;
// @ts-ignore: decorator
@inline
export const SUMS_AT: usize = 12;
// @ts-ignore: decorator
@inline
export const SUMS_HALVES_AT: usize = 13;

/** Sums of the even and of the odd pairs among sixteen bytes, as the i16 halves of the first word. */
// @ts-ignore: decorator
@inline
function pairSums(bytes: v128): v128 {
  const pairs = i16x8.extadd_pairwise_i8x16_s(bytes);
  const two = i16x8.add(pairs, v128.shuffle<i32>(pairs, pairs, 2, 3, 0, 1));
  return i16x8.add(two, v128.shuffle<i32>(two, two, 1, 0, 3, 2));
}

// @ts-ignore: decorator
@inline
function total(pairs: v128): f32 {
  return <f32>i32x4.extract_lane(i32x4.extadd_pairwise_i16x8_s(pairs), 0);
}

/** Four words of one token, each to its line of eight tokens. */
// @ts-ignore: decorator
@inline
export function scatter(q: v128, to: usize): void {
  v128.store32_lane(to, q, 0);
  v128.store32_lane(to, q, 1, 32);
  v128.store32_lane(to, q, 2, 64);
  v128.store32_lane(to, q, 3, 96);
}

/** The block of 32 floats at x, of one token, to its group. `at`: 32 * block + 4 * token. */
function quantiseBlock(x: usize, group: usize, columns: usize, block: usize, token: usize): void {
  const at = group + (block << 5) + (token << 2);
  const inverse = blockInverse(x, at + SCALES_AT * columns, 127);
  const step = load<f32>(at + SCALES_AT * columns);
  const low = i8x16.narrow_i16x8_s(round8(x, inverse), round8(x + 32, inverse));
  const high = i8x16.narrow_i16x8_s(round8(x + 64, inverse), round8(x + 96, inverse));
  const q = group + (block << 8) + (token << 2);
  scatter(low, q);
  scatter(high, q + 128);
  const half = at + (block << 5);
  const first = pairSums(low);
  const second = pairSums(high);
  v128.store32_lane(at + LESS_AT * columns, i16x8.neg(i16x8.add(first, second)), 0);
  v128.store32_lane(half + LESS_HALVES_AT * columns, i16x8.neg(first), 0);
  v128.store32_lane(half + LESS_HALVES_AT * columns, i16x8.neg(second), 0, 32);
  store<f32>(at + SUMS_AT * columns, total(i16x8.add(first, second)) * step);
  store<f32>(half + SUMS_HALVES_AT * columns, total(first) * step);
  store<f32>(half + SUMS_HALVES_AT * columns, total(second) * step, 32);
}

/** A block of a token that fills up the last group. */
function clearBlock(group: usize, columns: usize, block: usize, token: usize): void {
  const zero = i32x4.splat(0);
  const q = group + (block << 8) + (token << 2);
  scatter(zero, q);
  scatter(zero, q + 128);
  const at = group + (block << 5) + (token << 2);
  const half = at + (block << 5);
  store<f32>(at + SCALES_AT * columns, 0);
  store<i32>(at + LESS_AT * columns, 0);
  store<i32>(half + LESS_HALVES_AT * columns, 0);
  store<i32>(half + LESS_HALVES_AT * columns, 0, 32);
  store<f32>(at + SUMS_AT * columns, 0);
  store<f32>(half + SUMS_HALVES_AT * columns, 0);
  store<f32>(half + SUMS_HALVES_AT * columns, 0, 32);
}

/**
 * Quantises rows. Words at args, 32 bits each:
 *   0 T, rows   1 columns, a multiple of 32   2 x, address of f32 rows   3 row stride of x in elements
 *   4 address of the groups
 * Threads share the blocks of all rows.
 */
export function quantiseBytes(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args);
  const columns = load<i32>(args, 4);
  const x = <usize>load<u32>(args, 8);
  const stride = <usize>load<u32>(args, 12) << 2;
  const out = <usize>load<u32>(args, 16);
  const width = <usize>columns;
  const blocks = columns >> 5;
  const groups = (rows + GROUP - 1) / GROUP;
  const end = share(groups * blocks, thread + 1, threads);
  for (let i = share(groups * blocks, thread, threads); i < end; i++) {
    const group = i / blocks;
    const block = <usize>(i - group * blocks);
    const to = out + <usize>group * GROUP_BYTES * width;
    const row = group * GROUP;
    const from = x + <usize>row * stride + (block << 7);
    for (let token = 0; token < GROUP; token++) {
      if (row + token < rows) quantiseBlock(from + <usize>token * stride, to, width, block, <usize>token);
      else clearBlock(to, width, block, <usize>token);
    }
  }
}
