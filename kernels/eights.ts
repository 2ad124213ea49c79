// Weights by eights: Q4_0 and Q4_K laid out anew, in place, for the products of few tokens. Eight rows lie together, block by
// block, so that lanes are rows: a vector of weights meets four broadcast activations, nothing is summed across lanes, and
// the scales of eight rows are two vectors. This file: the layouts, and how they come about.
//
// Nibbles of 8 rows x 32 columns, 128 bytes: u8 [8][16], for columns 4j to 4j + 3: byte 4r + i holds row r, column 4j + i in
// the low nibble, row r + 4 in the high one.
//   Q4_0, 144 bytes for 8 rows x 32 columns:    u16 [8] scales, nibbles
//   Q4_K, 1,152 bytes for 8 rows x 256 columns: u16 [8] d, u16 [8] dmin, u8 [12][8] scales and minima of 6 bits, each row's
//                                               twelve bytes as in the file; nibbles [8]

import { SCRATCH_BYTES } from "./abi";
import { halfFactor, halfMask } from "./linear-simd";
import { share } from "./simd";
import { blockBytes, blockShift, Q4_0, Q4_0_EIGHTS, Q4_K } from "./unpack";

/** Bytes of 8 rows x 32 columns, on average. */
// @ts-ignore: decorator
@inline
export const EIGHTS_BLOCK: usize = 144;

/** Bytes from the start of a group of rows to its first nibbles. */
// @ts-ignore: decorator
@inline
export function eightsStart(dtype: i32): usize {
  return dtype == Q4_0_EIGHTS ? 16 : 128;
}

/** Bytes from the nibbles of 32 columns to the next within 256 columns. */
// @ts-ignore: decorator
@inline
export function eightsStep(dtype: i32): usize {
  return dtype == Q4_0_EIGHTS ? EIGHTS_BLOCK : 128;
}

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

/** Low (`high` false) or high nibbles of 16 bytes of eight rows, which lie `stride` bytes apart at `from`. */
function packHalf(from: usize, stride: usize, high: bool, to: usize): void {
  const row0 = v128.load(from);
  const row1 = v128.load(from + stride);
  const row2 = v128.load(from + 2 * stride);
  const row3 = v128.load(from + 3 * stride);
  from += 4 * stride;
  const row4 = v128.load(from);
  const row5 = v128.load(from + stride);
  const row6 = v128.load(from + 2 * stride);
  const row7 = v128.load(from + 3 * stride);
  if (high) storeTransposed(to, highOf(row0, row4), highOf(row1, row5), highOf(row2, row6), highOf(row3, row7));
  else storeTransposed(to, lowOf(row0, row4), lowOf(row1, row5), lowOf(row2, row6), lowOf(row3, row7));
}

/** Q4_0: a block of eight rows. A row's byte j holds columns j and j + 16. */
function packQ4_0(from: usize, stride: usize, to: usize): void {
  for (let r: usize = 0; r < 8; r++) store<u16>(to + (r << 1), load<u16>(from + r * stride));
  packHalf(from + 2, stride, false, to + 16);
  packHalf(from + 2, stride, true, to + 80);
}

/** Q4_K: a super-block of eight rows. A row's 32 bytes hold 32 columns in their low nibbles, the next 32 in the high ones. */
function packQ4K(from: usize, stride: usize, to: usize): void {
  for (let r: usize = 0; r < 8; r++) {
    const row = from + r * stride;
    store<u16>(to + (r << 1), load<u16>(row));
    store<u16>(to + (r << 1), load<u16>(row, 2), 16);
    for (let i: usize = 0; i < 12; i++) store<u8>(to + (i << 3) + r, load<u8>(row + i, 4), 32);
  }
  from += 16;
  to += 128;
  for (const end = to + 1024; to < end; to += 256) {
    packHalf(from, stride, false, to);
    packHalf(from + 16, stride, false, to + 64);
    packHalf(from, stride, true, to + 128);
    packHalf(from + 16, stride, true, to + 192);
    from += 32;
  }
}

/**
 * Lays a Q4_0 or Q4_K weight out by eights, in place. Words at args, 32 bits each:
 *   0 weight   1 rows, a multiple of 8   2 columns, a multiple of the block   3 scratch of all threads   4 dtype of the file
 * Eight rows must fit into a thread's scratch. Threads share the groups of rows.
 */
export function packEights(args: usize, thread: i32, threads: i32): void {
  const weight = <usize>load<u32>(args);
  const groups = load<i32>(args, 4) >> 3;
  const dtype = load<i32>(args, 16);
  const blocks = load<i32>(args, 8) >> blockShift(dtype);
  const scratch = <usize>load<u32>(args, 12) + <usize>thread * SCRATCH_BYTES;
  const block = <usize>blockBytes(dtype);
  const rowBytes = <usize>blocks * block;
  const end = share(groups, thread + 1, threads);
  for (let group = share(groups, thread, threads); group < end; group++) {
    const at = weight + <usize>group * rowBytes * 8;
    memory.copy(scratch, at, rowBytes * 8);
    for (let i: usize = 0; i < <usize>blocks; i++) {
      if (dtype == Q4_0) packQ4_0(scratch + i * block, rowBytes, at + i * block * 8);
      else packQ4K(scratch + i * block, rowBytes, at + i * block * 8);
    }
  }
}

/** Eight halves as floats. */
// @ts-ignore: decorator
@inline
function storeHalves(from: usize, to: usize): void {
  const factor = f32x4.splat(halfFactor);
  v128.store(to, f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(from), 13), halfMask), factor));
  v128.store(to, f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(from, 8), 13), halfMask), factor), 16);
}

/** Eight 16-bit integers times eight floats at `factors`, as floats. */
// @ts-ignore: decorator
@inline
function storeScaled(integers: v128, factors: usize, to: usize): void {
  const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(integers));
  const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(integers));
  v128.store(to, f32x4.mul(low, v128.load(factors)));
  v128.store(to, f32x4.mul(high, v128.load(factors, 16)), 16);
}

/**
 * Scales of `blocks` blocks of 32 columns (Q4_K: a super-block's eight) at `group`, f32 [blocks][8] at `scales`, and what Q4_K
 * adds to the products with them, f32 [8][8] at `offsets`; 64 bytes past `offsets` + 256 are used too. After
 * prepareConstants.
 */
export function eightsScales(dtype: i32, group: usize, blocks: i32, scales: usize, offsets: usize): void {
  if (dtype == Q4_0_EIGHTS) {
    for (const end = scales + (<usize>blocks << 5); scales < end; scales += 32) {
      storeHalves(group, scales);
      group += EIGHTS_BLOCK;
    }
    return;
  }
  const d = offsets + 256;
  const dmin = offsets + 288;
  storeHalves(group, d);
  storeHalves(group + 16, dmin);
  v128.store(dmin, f32x4.neg(v128.load(dmin)));
  v128.store(dmin, f32x4.neg(v128.load(dmin, 16)), 16);
  const six = i16x8.splat(63);
  group += 32;
  for (const end = group + 32; group < end; group += 8) {
    const scale = v128.load8x8_u(group);
    const minimum = v128.load8x8_u(group, 32);
    const both = v128.load8x8_u(group, 64);
    storeScaled(v128.and(scale, six), d, scales);
    storeScaled(v128.and(minimum, six), dmin, offsets);
    const upper = i16x8.shl(i16x8.shr_u(scale, 6), 4);
    storeScaled(v128.or(v128.and(both, i16x8.splat(15)), upper), d, scales + 128);
    storeScaled(v128.or(i16x8.shr_u(both, 4), i16x8.shl(i16x8.shr_u(minimum, 6), 4)), dmin, offsets + 128);
    scales += 32;
    offsets += 32;
  }
}

/** Row `row` of a weight by eights as floats. `scratch` holds 576 bytes. */
export function unpackEightsRow(
  dtype: i32, weight: usize, row: i32, columns: i32, out: usize, scratch: usize,
): void {
  const lane = <usize>(row & 7);
  const shift: u8 = lane < 4 ? 0 : 4;
  const zero = dtype == Q4_0_EIGHTS ? 8 : 0;
  const offsets = scratch + 256;
  memory.fill(offsets, 0, 256);
  let group = weight + <usize>(row >> 3) * <usize>(columns >> 5) * EIGHTS_BLOCK;
  for (let left = columns >> 5; left > 0; left -= 8) {
    const blocks = min(left, 8);
    eightsScales(dtype, group, blocks, scratch, offsets);
    let nibbles = group + eightsStart(dtype) + ((lane & 3) << 2);
    for (let block: usize = 0; block < <usize>blocks; block++) {
      const scale = load<f32>(scratch + (block << 5) + (lane << 2));
      const offset = load<f32>(offsets + (block << 5) + (lane << 2));
      for (let column: usize = 0; column < 32; column++) {
        const byte = load<u8>(nibbles + ((column >> 2) << 4) + (column & 3));
        store<f32>(out + (column << 2), scale * <f32>(<i32>((byte >> shift) & 15) - zero) + offset);
      }
      nibbles += eightsStep(dtype);
      out += 128;
    }
    group += <usize>blocks * EIGHTS_BLOCK;
  }
}
