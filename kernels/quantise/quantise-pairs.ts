// Rows of activations as 16-bit integers for the wide products of many tokens (linear-panel-wide): the numbers of `quantise`, but
// tokens lie in groups of eight, so that one pointer reaches them all, as those in quantise-bytes do. One group of `columns` (a
// multiple of 32) elements, blocks = columns / 32; the last group is filled up with zeros:
//   i16 [columns / 2][8 tokens][2]  q
//   f32 [blocks][8]                 scale of each block: x = q * scale
//   f32 [2 * blocks][8]             scale * sum of q over each 16, for formats whose weights have an offset

import { blockInverse, QUANTISED_MAX, round8, sum16 } from "./quantise";
import { GROUP, scatter } from "./quantise-bytes";
import { share } from "../vector/simd";

/** Bytes of one group for each column. */
// @ts-ignore: decorator
@inline
export const PAIRS_BYTES: usize = 19;

// Where a group's parts begin, in bytes for each column.
// @ts-ignore: decorator
@inline
export const PAIRS_SCALES_AT: usize = 16;
// @ts-ignore: decorator
@inline
export const PAIRS_SUMS_AT: usize = 17;

// @ts-ignore: decorator
@inline
function scatterBlock(q0: v128, q1: v128, q2: v128, q3: v128, to: usize): void {
  scatter(q0, to);
  scatter(q1, to + 128);
  scatter(q2, to + 256);
  scatter(q3, to + 384);
}

/** The block of 32 floats at x, of one token, to its group. */
function quantiseBlock(x: usize, group: usize, columns: usize, block: usize, token: usize): void {
  const scale = group + PAIRS_SCALES_AT * columns + (block << 5) + (token << 2);
  const inverse = blockInverse(x, scale, QUANTISED_MAX);
  const step = load<f32>(scale);
  const q0 = round8(x, inverse);
  const q1 = round8(x + 32, inverse);
  const q2 = round8(x + 64, inverse);
  const q3 = round8(x + 96, inverse);
  scatterBlock(q0, q1, q2, q3, group + (block << 9) + (token << 2));
  const sums = group + PAIRS_SUMS_AT * columns + (block << 6) + (token << 2);
  store<f32>(sums, <f32>sum16(q0, q1) * step);
  store<f32>(sums, <f32>sum16(q2, q3) * step, 32);
}

/** A block of a token that fills up the last group. */
function clearBlock(group: usize, columns: usize, block: usize, token: usize): void {
  const zero = i32x4.splat(0);
  scatterBlock(zero, zero, zero, zero, group + (block << 9) + (token << 2));
  store<f32>(group + PAIRS_SCALES_AT * columns + (block << 5) + (token << 2), 0);
  const sums = group + PAIRS_SUMS_AT * columns + (block << 6) + (token << 2);
  store<f32>(sums, 0);
  store<f32>(sums, 0, 32);
}

/**
 * Quantises rows. Words at args, 32 bits each:
 *   0 T, rows   1 columns, a multiple of 32   2 x, address of f32 rows   3 row stride of x in elements
 *   4 address of the groups
 * Threads share the blocks of all rows.
 */
export function quantisePairs(args: usize, thread: i32, threads: i32): void {
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
    const to = out + <usize>group * PAIRS_BYTES * width;
    const row = group * GROUP;
    const from = x + <usize>row * stride + (block << 7);
    for (let token = 0; token < GROUP; token++) {
      if (row + token < rows) quantiseBlock(from + <usize>token * stride, to, width, block, <usize>token);
      else clearBlock(to, width, block, <usize>token);
    }
  }
}
