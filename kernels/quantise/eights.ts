// Weights by eights: Q4_0, Q4_K, Q5_K and Q6_K laid out anew, in place, for the products of few tokens. Eight rows lie
// together, block by block, so that lanes are rows: a vector of weights meets four broadcast activations, nothing is summed
// across lanes, and the scales of eight rows are two vectors. This file: the layouts, and how they come about.
//
// Nibbles of 8 rows x 32 columns, 128 bytes: u8 [4][8 rows][4]: byte i of a row's four in part j holds column 8j + i in the low
// nibble, column 8j + 4 + i in the high one. So the same bits of 32 bytes are eight rows x four columns.
//   Q4_0, 144 bytes for 8 rows x 32 columns:    u16 [8] scales, nibbles
//   Q4_K, 1,152 bytes for 8 rows x 256 columns: u16 [8] d, u16 [8] dmin, u8 [12][8] scales and minima of 6 bits, each row's
//                                               twelve bytes as in the file; nibbles [8]
//   Q5_K, 1,408 bytes for 8 rows x 256 columns: the same, but after the nibbles of each 32 columns their fifth bits,
//                                               u8 [8 rows][4]: bit b of byte i is column 4b + i's
//   Q6_K, 1,680 bytes for 8 rows x 256 columns: u16 [8] d, i8 [16][8] scales; [8] nibbles and their upper bits,
//                                               u8 [2][8 rows][4]: bits 2b and 2b + 1 of byte i are column 4b + i's of a half

// Rows of more than PANEL_COLUMNS columns lie in bundles of up to four such groups of eight rows: first the first 2,048 columns of
// all its groups, then the next ones. So a product of few tokens reads the weight in one stream, while the activations of
// 2,048 columns stay in the L1 cache; those of 5,632 did not, and memory was read half as fast.

import { EIGHTS, EIGHTS_PACK_SCRATCH, SCRATCH_BYTES } from "../abi";
import { bytes15, prepareConstants } from "../linear/linear-simd";
import { share } from "../vector/simd";
import { blockBytes, blockShift, Q4_0, Q4_0_EIGHTS, Q5_K, Q5_K_EIGHTS, Q6_K, Q6_K_EIGHTS, rowBytes } from "./unpack";
import { unpackBytes } from "./unpack-bytes";

/** Columns of a bundle's groups that lie together; whole blocks of all formats. */
// @ts-ignore: decorator
@inline
export const PANEL_COLUMNS = 2048;

/** Groups of eight rows in a bundle of a matrix of `rows` rows of `stride` bytes: all of its bundles have as many. */
export function bundleGroups(dtype: i32, stride: usize, rows: i32): i32 {
  if (stride <= rowBytes(dtype, PANEL_COLUMNS)) return 1;
  const most = <usize>(SCRATCH_BYTES - EIGHTS_PACK_SCRATCH) / (stride << 3);
  if (rows % 32 == 0 && most >= 4) return 4;
  return rows % 16 == 0 && most >= 2 ? 2 : 1;
}

/**
 * Address of the eight rows from `row`, a multiple of eight, on in a matrix of `rows` rows of `stride` bytes, behind `skipped` bytes
 * of a row: whole blocks. What follows is theirs to the end of the panel.
 */
export function eightsAt(dtype: i32, weight: usize, stride: usize, rows: i32, row: i32, skipped: usize): usize {
  const panel = rowBytes(dtype, PANEL_COLUMNS);
  if (stride <= panel) return weight + <usize>row * stride + (skipped << 3);
  const bundleRows = bundleGroups(dtype, stride, rows) << 3;
  const within = row % bundleRows;
  const before = skipped - skipped % panel;
  const width = min(panel, stride - before);
  const start = weight + <usize>(row - within) * stride;
  return start + before * bundleRows + <usize>within * width + ((skipped - before) << 3);
}

/** Bytes before the nibbles of a file's block of eight rows. */
// @ts-ignore: decorator
@inline
export function eightsStart(dtype: i32): usize {
  return dtype == Q4_0_EIGHTS ? 16 : dtype == Q6_K_EIGHTS ? 144 : 128;
}

/** Bytes from the nibbles of 32 columns to the next: within a super-block, or of Q4_0. */
// @ts-ignore: decorator
@inline
export function eightsStep(dtype: i32): usize {
  if (dtype == Q4_0_EIGHTS) return 144;
  return dtype == Q5_K_EIGHTS ? 160 : dtype == Q6_K_EIGHTS ? 192 : 128;
}

// A row's block as unsigned bytes, and the scales that come with them and are not needed.
const ROW_BYTES: usize = 384;
const ROW_SCALES: usize = 256;
const ROW_OFFSETS: usize = 320;

/** Words of a, b, c, d as columns of four vectors, 32 bytes apart. */
// @ts-ignore: decorator
@inline
function storeTransposed(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(ab0, cd0, 0, 2));
  v128.store(to, v128.shuffle<i64>(ab0, cd0, 1, 3), 32);
  v128.store(to, v128.shuffle<i64>(ab1, cd1, 0, 2), 64);
  v128.store(to, v128.shuffle<i64>(ab1, cd1, 1, 3), 96);
}

/** The nibbles of a row's 32 bytes: of every two words the first in the low ones. */
// @ts-ignore: decorator
@inline
function nibblesOf(row: usize): v128 {
  const a = v128.load(row);
  const b = v128.load(row, 16);
  const low = v128.and(v128.shuffle<i32>(a, b, 0, 2, 4, 6), bytes15);
  return v128.or(low, i16x8.shl(v128.and(v128.shuffle<i32>(a, b, 1, 3, 5, 7), bytes15), 4));
}

/** What bits a row's 16 bytes have above their nibbles, words times `factors`: no two have a bit in common. */
// @ts-ignore: decorator
@inline
function upperOf(row: usize, mask: v128, factors: v128): v128 {
  return i32x4.mul(v128.and(i16x8.shr_u(v128.load(row), 4), mask), factors);
}

/** Bits of 16 columns of Q6_K, or of 32 of Q5_K, in a word of each lane. */
// @ts-ignore: decorator
@inline
function upperBits(dtype: i32, row: usize): v128 {
  if (dtype == Q6_K) return upperOf(row, i8x16.splat(3), i32x4(1, 4, 16, 64));
  const one = i8x16.splat(1);
  return v128.or(upperOf(row, one, i32x4(1, 2, 4, 8)), upperOf(row + 16, one, i32x4(16, 32, 64, 128)));
}

/** Lanes of a, b, c, d, which have no bits in common, together as lanes 0 to 3. */
// @ts-ignore: decorator
@inline
function joinLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = v128.or(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = v128.or(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return v128.or(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** 32 columns of four rows of bytes: their half of the nibbles, and of the bits above these, to `to`. */
function packFour(dtype: i32, rows: usize, to: usize): void {
  const r1 = rows + ROW_BYTES;
  const r2 = r1 + ROW_BYTES;
  const r3 = r2 + ROW_BYTES;
  storeTransposed(to, nibblesOf(rows), nibblesOf(r1), nibblesOf(r2), nibblesOf(r3));
  if (dtype != Q5_K && dtype != Q6_K) return;
  v128.store(
    to, joinLanes(upperBits(dtype, rows), upperBits(dtype, r1), upperBits(dtype, r2), upperBits(dtype, r3)), 128,
  );
  if (dtype != Q6_K) return;
  v128.store(
    to,
    joinLanes(
      upperBits(Q6_K, rows + 16), upperBits(Q6_K, r1 + 16), upperBits(Q6_K, r2 + 16), upperBits(Q6_K, r3 + 16),
    ),
    160,
  );
}

/** Scales of a file's block of eight rows, as the file has them, row by row within each number. */
function packScales(dtype: i32, from: usize, stride: usize, to: usize): void {
  for (let r: usize = 0; r < 8; r++) {
    const row = from + r * stride;
    store<u16>(to + (r << 1), load<u16>(row + (dtype == Q6_K ? 208 : 0)));
    if (dtype == Q4_0) continue;
    if (dtype == Q6_K) {
      for (let i: usize = 0; i < 16; i++) store<u8>(to + (i << 3) + r, load<u8>(row + i, 192), 16);
    } else {
      store<u16>(to + (r << 1), load<u16>(row, 2), 16);
      for (let i: usize = 0; i < 12; i++) store<u8>(to + (i << 3) + r, load<u8>(row + i, 4), 32);
    }
  }
}

/** A file's block of eight rows, `stride` bytes apart; `bytes` has room for its rows. */
function packBlock(dtype: i32, from: usize, stride: usize, bytes: usize, to: usize): void {
  const columns = 1 << blockShift(dtype);
  for (let r: usize = 0; r < 8; r++) {
    const row = bytes + r * ROW_BYTES;
    unpackBytes(dtype, from + r * stride, columns, row, row + ROW_SCALES, row + ROW_OFFSETS);
  }
  packScales(dtype, from, stride, to);
  const type = dtype + EIGHTS;
  to += eightsStart(type);
  for (const end = bytes + <usize>columns; bytes < end; bytes += 32) {
    packFour(dtype, bytes, to);
    packFour(dtype, bytes + 4 * ROW_BYTES, to + 16);
    to += eightsStep(type);
  }
}

/**
 * Lays matrices of a weight, one behind the other, out by eights, in place. Words at args, 32 bits each:
 *   0 weight   1 rows of a matrix, a multiple of 8   2 columns, a multiple of the block   3 scratch of all threads
 *   4 dtype of the file   5 how many matrices
 * Eight rows and EIGHTS_PACK_SCRATCH bytes must fit into a thread's scratch. Threads share the bundles of rows.
 */
export function packEights(args: usize, thread: i32, threads: i32): void {
  prepareConstants();
  const weight = <usize>load<u32>(args);
  const rows = load<i32>(args, 4);
  const dtype = load<i32>(args, 16);
  const stride = rowBytes(dtype, load<i32>(args, 8));
  const bytes = <usize>load<u32>(args, 12) + <usize>thread * SCRATCH_BYTES;
  const copy = bytes + EIGHTS_PACK_SCRATCH;
  const bundleRows = bundleGroups(dtype + EIGHTS, stride, rows) << 3;
  const bundles = load<i32>(args, 20) * (rows / bundleRows);
  const end = share(bundles, thread + 1, threads);
  for (let bundle = share(bundles, thread, threads); bundle < end; bundle++) {
    const at = weight + <usize>(bundle * bundleRows) * stride;
    memory.copy(copy, at, <usize>bundleRows * stride);
    for (let row = 0; row < bundleRows; row += 8) {
      for (let skipped: usize = 0; skipped < stride; skipped += blockBytes(dtype)) {
        const to = eightsAt(dtype + EIGHTS, at, stride, bundleRows, row, skipped);
        packBlock(dtype, copy + <usize>row * stride + skipped, stride, bytes, to);
      }
    }
  }
}
