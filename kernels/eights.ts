// Q4_0 by eights: the weight laid out anew, in place, for the products of few tokens. Eight rows lie together, block by
// block, so that lanes are rows: a vector of weights meets four broadcast activations, nothing is summed across lanes, and
// the eight scales of a block are two vectors.
//
// A block of 8 rows x 32 columns, 144 bytes as before:
//   u16 [8]      scales of the rows, halves
//   u8 [8][16]   columns 4j to 4j + 3: byte 4r + i holds row r, column 4j + i in the low nibble, row r + 4 in the high one

import { SCRATCH_BYTES } from "./abi";
import { bytes15, halfFactor, halfMask, loadHalf } from "./linear-simd";
import { madd, share } from "./simd";

/** Bytes of a block of eight rows. */
// @ts-ignore: decorator
@inline
export const EIGHTS_BLOCK: usize = 144;

const ROW_BLOCK: usize = 18;

/** Low nibbles of two rows' bytes: the first row's stay low. */
// @ts-ignore: decorator
@inline
function lowOf(a: v128, b: v128): v128 {
  const nibble = i8x16.splat(15);
  return v128.or(v128.and(a, nibble), i16x8.shl(v128.and(b, nibble), 4));
}

/** High nibbles of two rows' bytes: the first row's become low. */
// @ts-ignore: decorator
@inline
function highOf(a: v128, b: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(a, 4), i8x16.splat(15)), v128.and(b, i8x16.splat(-16)));
}

/** Words of a, b, c, d as columns of four vectors. */
// @ts-ignore: decorator
@inline
function storeTransposed(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(ab0, cd0, 0, 2));
  v128.store(to, v128.shuffle<i64>(ab0, cd0, 1, 3), 16);
  v128.store(to, v128.shuffle<i64>(ab1, cd1, 0, 2), 32);
  v128.store(to, v128.shuffle<i64>(ab1, cd1, 1, 3), 48);
}

/** One block of eight rows, which lie `stride` bytes apart at `from`. A row's byte j holds columns j and j + 16. */
function packBlock(from: usize, stride: usize, to: usize): void {
  for (let r: usize = 0; r < 8; r++) store<u16>(to + (r << 1), load<u16>(from + r * stride));
  const row0 = v128.load(from, 2);
  const row1 = v128.load(from + stride, 2);
  const row2 = v128.load(from + 2 * stride, 2);
  const row3 = v128.load(from + 3 * stride, 2);
  from += 4 * stride;
  const row4 = v128.load(from, 2);
  const row5 = v128.load(from + stride, 2);
  const row6 = v128.load(from + 2 * stride, 2);
  const row7 = v128.load(from + 3 * stride, 2);
  storeTransposed(to + 16, lowOf(row0, row4), lowOf(row1, row5), lowOf(row2, row6), lowOf(row3, row7));
  storeTransposed(to + 80, highOf(row0, row4), highOf(row1, row5), highOf(row2, row6), highOf(row3, row7));
}

/**
 * Lays a Q4_0 weight out by eights, in place. Words at args, 32 bits each:
 *   0 weight   1 rows, a multiple of 8   2 columns, a multiple of 32   3 scratch of all threads
 * Eight rows must fit into a thread's scratch. Threads share the groups of rows.
 */
export function packEights(args: usize, thread: i32, threads: i32): void {
  const weight = <usize>load<u32>(args);
  const groups = load<i32>(args, 4) >> 3;
  const blocks = load<i32>(args, 8) >> 5;
  const scratch = <usize>load<u32>(args, 12) + <usize>thread * SCRATCH_BYTES;
  const rowBytes = <usize>blocks * ROW_BLOCK;
  const end = share(groups, thread + 1, threads);
  for (let group = share(groups, thread, threads); group < end; group++) {
    const at = weight + <usize>group * rowBytes * 8;
    memory.copy(scratch, at, rowBytes * 8);
    for (let block: usize = 0; block < <usize>blocks; block++) {
      packBlock(scratch + block * ROW_BLOCK, rowBytes, at + block * EIGHTS_BLOCK);
    }
  }
}

/** Row `row` of a weight by eights as floats. */
export function unpackEightsRow(weight: usize, row: i32, columns: i32, out: usize): void {
  const blocks = columns >> 5;
  const lane = <usize>(row & 7);
  const shift: u8 = lane < 4 ? 0 : 4;
  let block = weight + <usize>(row >> 3) * <usize>blocks * EIGHTS_BLOCK;
  for (const end = out + ((<usize>columns) << 2); out < end; out += 128) {
    const scale = loadHalf(block + (lane << 1));
    for (let column: usize = 0; column < 32; column++) {
      const byte = load<u8>(block + 16 + ((column >> 2) << 4) + ((lane & 3) << 2) + (column & 3));
      store<f32>(out + (column << 2), scale * <f32>(<i32>((byte >> shift) & 15) - 8));
    }
    block += EIGHTS_BLOCK;
  }
}

/** Signed bytes times weights of at most 7 bits, neighbours added, in 16 bits. */
// @ts-ignore: decorator
@inline
function dot(x: v128, w: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, w);
  else return unreachable();
}

/**
 * Eight rows at `group` times one row of activations in two planes (see planes): eight sums, f32, to `out`. In 16 bits fit
 * 8 x 2 x 128 x 15 = 30,720; 32-bit sums are exact.
 */
export function eightRows(group: usize, columns: i32, x: usize, out: usize): void {
  const nibble = bytes15;
  const mask = halfMask;
  const factor = f32x4.splat(halfFactor);
  const end = x + ((<usize>columns) << 1);
  let scales = end;
  let low = f32x4.splat(0);
  let high = low;
  while (x < end) {
    let coarse0 = i32x4.splat(0);
    let coarse1 = coarse0;
    let fine0 = coarse0;
    let fine1 = coarse0;
    let w = group;
    for (const next = x + 32; x < next; x += 8) {
      let bytes = v128.load(w, 16);
      let a = v128.and(bytes, nibble);
      let b = v128.and(i16x8.shr_u(bytes, 4), nibble);
      let v = v128.load32_splat(x);
      coarse0 = i16x8.add(coarse0, dot(v, a));
      coarse1 = i16x8.add(coarse1, dot(v, b));
      v = v128.load32_splat(x, 32);
      fine0 = i16x8.add(fine0, dot(v, a));
      fine1 = i16x8.add(fine1, dot(v, b));
      bytes = v128.load(w, 32);
      a = v128.and(bytes, nibble);
      b = v128.and(i16x8.shr_u(bytes, 4), nibble);
      v = v128.load32_splat(x, 4);
      coarse0 = i16x8.add(coarse0, dot(v, a));
      coarse1 = i16x8.add(coarse1, dot(v, b));
      v = v128.load32_splat(x, 36);
      fine0 = i16x8.add(fine0, dot(v, a));
      fine1 = i16x8.add(fine1, dot(v, b));
      w += 32;
    }
    x += 32;
    const offset = v128.load32_splat(scales, 4);
    const scale = v128.load32_splat(scales);
    const sum0 = i32x4.add(i32x4.add(pairs(coarse0, 256), pairs(fine0, 1)), offset);
    const sum1 = i32x4.add(i32x4.add(pairs(coarse1, 256), pairs(fine1, 1)), offset);
    const d0 = v128.and(i32x4.shl(v128.load16x4_s(group), 13), mask);
    const d1 = v128.and(i32x4.shl(v128.load16x4_s(group, 8), 13), mask);
    low = madd(f32x4.mul(f32x4.convert_i32x4_s(sum0), scale), f32x4.mul(d0, factor), low);
    high = madd(f32x4.mul(f32x4.convert_i32x4_s(sum1), scale), f32x4.mul(d1, factor), high);
    scales += 8;
    group += EIGHTS_BLOCK;
  }
  v128.store(out, low);
  v128.store(out, high, 16);
}

/** Neighbours of 16-bit sums, times `weight`, added. */
// @ts-ignore: decorator
@inline
function pairs(sums: v128, weight: i16): v128 {
  return i32x4.dot_i16x8_s(sums, i16x8.splat(weight));
}
