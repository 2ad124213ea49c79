// Matrix times many rows of activations (prefill). Eight weight rows are unpacked, 256 columns at a time, into a *panel*
// in the L1 cache: [column or pair of columns][8 rows], lanes are weight rows, so nothing is summed across lanes. The panel
// then meets every token of a tile, four at a time: 8 x 4 sums in registers, activations broadcast from memory.
//
// Sums of the tile's tokens lie in scratch, f32 [tokens][8], and take the chunks of 256 columns in order, whatever the
// tile: results do not depend on how tokens are grouped.

import { EIGHTS, WIDE_FLOATS } from "../abi";
import { eightsAt, eightsStart, eightsStep } from "../quantise/eights";
import { eightsBytes, eightsScales, FACTORS, RECORD_BYTES } from "../quantise/eights-record";
import { middleOf } from "../quantise/eights-row";
import { madd } from "../vector/simd";
import { blockBytes, blockShift, F32, hasOffsets, isFloat, Q6_K_EIGHTS, unpackIntegers, unpackRow } from "../quantise/unpack";

/** Columns of a panel, weight rows of a panel, and most tokens of a tile. */
// @ts-ignore: decorator
@inline
export const PANEL_COLUMNS = 256;
// @ts-ignore: decorator
@inline
export const PANEL_ROWS = 8;
// @ts-ignore: decorator
@inline
export const TILE_TOKENS = 96;

// Places in a thread's scratch memory.
const UNPACKED: usize = 0; // 8 rows of 1024 bytes: f32 [256], or i16 [256], f32 scales [8], f32 offsets [16]
const UNPACKED_STRIDE: usize = 1024;
const UNPACKED_SCALES: usize = 512;
const UNPACKED_OFFSETS: usize = 544;
export const PANEL: usize = 8192; // f32 [256][8] or i16 [128][8][2]
export const SCALES: usize = 16384; // f32 [8][8]
export const OFFSETS: usize = 16640; // f32 [16][8]
/** Sums of a tile, f32 [tokens][8]. */
// @ts-ignore: decorator
@inline
export const SUMS: usize = 17152;
// For the wide module: a panel of sixteen rows of floats, f32 [256][16], and sums, f32 [tokens][16].
const WIDE_PANEL: usize = 20224;
// @ts-ignore: decorator
@inline
export const WIDE_SUMS: usize = 36608;
// @ts-ignore: decorator
@inline
export const WIDE_ROWS = 16;
/** Scratch bytes of this file: 42,752. (linear-bytes and linear-panel-wide take more for their tiles.) */
// @ts-ignore: decorator
@inline
export const PANEL_SCRATCH_BYTES: usize = 36608 + 96 * 64;

/** Eight rows of `count` 32-bit words to columns `width` bytes apart. Rows at `from` + r * stride. */
export function interleave(from: usize, stride: usize, count: i32, to: usize, width: usize): void {
  for (let half: usize = 0; half < 2; half++) {
    let r0 = from + half * 4 * stride;
    let r1 = r0 + stride;
    let r2 = r1 + stride;
    let r3 = r2 + stride;
    let out = to + (half << 4);
    let i = 0;
    for (; i + 4 <= count; i += 4) {
      const a = v128.load(r0);
      const b = v128.load(r1);
      const c = v128.load(r2);
      const d = v128.load(r3);
      const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
      const cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
      v128.store(out, v128.shuffle<i64>(ab0, cd0, 0, 2));
      v128.store(out + width, v128.shuffle<i64>(ab0, cd0, 1, 3));
      v128.store(out + 2 * width, v128.shuffle<i64>(ab1, cd1, 0, 2));
      v128.store(out + 3 * width, v128.shuffle<i64>(ab1, cd1, 1, 3));
      r0 += 16;
      r1 += 16;
      r2 += 16;
      r3 += 16;
      out += 4 * width;
    }
    for (; i < count; i++) {
      store<u32>(out, load<u32>(r0));
      store<u32>(out, load<u32>(r1), 4);
      store<u32>(out, load<u32>(r2), 8);
      store<u32>(out, load<u32>(r3), 12);
      r0 += 4;
      r1 += 4;
      r2 += 4;
      r3 += 4;
      out += width;
    }
  }
}

/** The same for a weight by eights: the eight rows of the group at `group`, `blocks` blocks of 32 columns. */
function packPairsOfEights(dtype: i32, group: usize, blocks: i32, scratch: usize): void {
  const zero = i16x8.splat(<i16>middleOf(dtype));
  const record = scratch + UNPACKED;
  const bytes = record + RECORD_BYTES;
  const offsets = bytes + 256;
  const scales = dtype == Q6_K_EIGHTS ? offsets : scratch + SCALES;
  eightsScales(dtype, group, blocks, 0, record, scales, offsets);
  group += eightsStart(dtype);
  for (let block: usize = 0; block < <usize>blocks; block++) {
    eightsBytes(dtype, group, bytes, 32);
    let to = scratch + PANEL + (block << 9);
    for (let word: usize = 0; word < 8; word++) {
      // The integers of Q6_K's panel have their scales, one for each 16 columns, in them.
      const factors = dtype == Q6_K_EIGHTS ? record + (((block << 1) + (word >> 2)) << 5) : 0;
      storePairs(to, v128.load(bytes + (word << 5)), zero, factors);
      storePairs(to + 16, v128.load(bytes + (word << 5), 16), zero, factors == 0 ? 0 : factors + 16);
      to += 64;
    }
    group += eightsStep(dtype);
    if (dtype == Q6_K_EIGHTS) memory.copy(scratch + SCALES + (block << 5), record + FACTORS, 32);
    if (!hasOffsets(dtype)) continue;
    memory.copy(scratch + OFFSETS + (block << 6), offsets + (block << 5), 32);
    memory.copy(scratch + OFFSETS + (block << 6) + 32, offsets + (block << 5), 32);
  }
}

/**
 * Four rows x four columns of bytes, less `zero` and, if there are any, times the rows' 16-bit `factors`, each of which is
 * there twice: as two vectors of four rows x two columns.
 */
// @ts-ignore: decorator
@inline
function storePairs(to: usize, bytes: v128, zero: v128, factors: usize): void {
  const none = i32x4.splat(0);
  let first = v128.shuffle<i8>(bytes, none, 0, 16, 1, 16, 4, 16, 5, 16, 8, 16, 9, 16, 12, 16, 13, 16);
  let second = v128.shuffle<i8>(bytes, none, 2, 16, 3, 16, 6, 16, 7, 16, 10, 16, 11, 16, 14, 16, 15, 16);
  first = i16x8.sub(first, zero);
  second = i16x8.sub(second, zero);
  if (factors != 0) {
    first = i16x8.mul(first, v128.load(factors));
    second = i16x8.mul(second, v128.load(factors));
  }
  v128.store(to, first);
  v128.store(to, second, 32);
}

/**
 * Columns [first, first + count) of weight rows [row, row + 8) to the panel; rows past `last` repeat it. `first` is a
 * multiple of 256.
 */
export function pack(
  dtype: i32, weight: usize, stride: usize, row: i32, last: i32, first: i32, count: i32, scratch: usize,
): void {
  const skipped = (<usize>first >> blockShift(dtype)) * blockBytes(dtype);
  if (dtype >= EIGHTS) {
    packPairsOfEights(dtype, eightsAt(dtype, weight, stride, last + 1, row, skipped), count >> 5, scratch);
    return;
  }
  for (let r = 0; r < PANEL_ROWS; r++) {
    const from = weight + <usize>min(row + r, last) * stride + skipped;
    const to = scratch + UNPACKED + <usize>r * UNPACKED_STRIDE;
    if (isFloat(dtype)) unpackRow(dtype, from, count, to);
    else unpackIntegers(dtype, from, count, to, to + UNPACKED_SCALES, to + UNPACKED_OFFSETS);
  }
  const from = scratch + UNPACKED;
  if (isFloat(dtype)) return interleave(from, UNPACKED_STRIDE, count, scratch + PANEL, 32);
  interleave(from, UNPACKED_STRIDE, count >> 1, scratch + PANEL, 32);
  interleave(from + UNPACKED_SCALES, UNPACKED_STRIDE, count >> 5, scratch + SCALES, 32);
  if (hasOffsets(dtype)) interleave(from + UNPACKED_OFFSETS, UNPACKED_STRIDE, count >> 4, scratch + OFFSETS, 32);
}

/** Adds panel times floats, `count` columns of them, to the sums of four tokens. */
function floats4(panel: usize, count: i32, x0: usize, x1: usize, x2: usize, x3: usize, sums: usize): void {
  let a0 = v128.load(sums);
  let b0 = v128.load(sums, 16);
  let a1 = v128.load(sums, 32);
  let b1 = v128.load(sums, 48);
  let a2 = v128.load(sums, 64);
  let b2 = v128.load(sums, 80);
  let a3 = v128.load(sums, 96);
  let b3 = v128.load(sums, 112);
  for (const end = panel + ((<usize>count) << 5); panel < end; panel += 32) {
    const wa = v128.load(panel);
    const wb = v128.load(panel, 16);
    const t0 = v128.load32_splat(x0);
    a0 = madd(wa, t0, a0);
    b0 = madd(wb, t0, b0);
    const t1 = v128.load32_splat(x1);
    a1 = madd(wa, t1, a1);
    b1 = madd(wb, t1, b1);
    const t2 = v128.load32_splat(x2);
    a2 = madd(wa, t2, a2);
    b2 = madd(wb, t2, b2);
    const t3 = v128.load32_splat(x3);
    a3 = madd(wa, t3, a3);
    b3 = madd(wb, t3, b3);
    x0 += 4;
    x1 += 4;
    x2 += 4;
    x3 += 4;
  }
  v128.store(sums, a0);
  v128.store(sums, b0, 16);
  v128.store(sums, a1, 32);
  v128.store(sums, b1, 48);
  v128.store(sums, a2, 64);
  v128.store(sums, b2, 80);
  v128.store(sums, a3, 96);
  v128.store(sums, b3, 112);
}

// @ts-ignore: decorator
@inline
function dot(w: v128, x: v128, sum: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(w, x), sum);
}

/** sums += integers * weight scales * activation scale, for the eight rows of one token. */
// @ts-ignore: decorator
@inline
function scaleInto(a: v128, b: v128, wa: v128, wb: v128, scale: usize, sums: usize): void {
  const s = v128.load32_splat(scale);
  v128.store(sums, madd(f32x4.convert_i32x4_s(a), f32x4.mul(wa, s), v128.load(sums)));
  v128.store(sums, madd(f32x4.convert_i32x4_s(b), f32x4.mul(wb, s), v128.load(sums, 16)), 16);
}

/**
 * Adds panel times quantised activations to the sums of four tokens, for `blocks` blocks of 32. x and xScales are
 * those of the first token, the others' lie stride1, stride2, stride3 bytes further.
 */
function integers4(
  panel: usize, scales: usize, blocks: i32, x: usize, xScales: usize, stride1: usize, stride2: usize, stride3: usize,
  sums: usize,
): void {
  for (let block = 0; block < blocks; block++) {
    let a0 = i32x4.splat(0);
    let b0 = a0;
    let a1 = a0;
    let b1 = a0;
    let a2 = a0;
    let b2 = a0;
    let a3 = a0;
    let b3 = a0;
    for (const end = x + 64; x < end; x += 4) {
      const x1 = x + stride1;
      const x2 = x + stride2;
      const x3 = x + stride3;
      const wa = v128.load(panel);
      const wb = v128.load(panel, 16);
      let t = v128.load32_splat(x);
      a0 = dot(wa, t, a0);
      b0 = dot(wb, t, b0);
      t = v128.load32_splat(x1);
      a1 = dot(wa, t, a1);
      b1 = dot(wb, t, b1);
      t = v128.load32_splat(x2);
      a2 = dot(wa, t, a2);
      b2 = dot(wb, t, b2);
      t = v128.load32_splat(x3);
      a3 = dot(wa, t, a3);
      b3 = dot(wb, t, b3);
      panel += 32;
    }
    const wa = v128.load(scales);
    const wb = v128.load(scales, 16);
    scaleInto(a0, b0, wa, wb, xScales, sums);
    scaleInto(a1, b1, wa, wb, xScales + stride1, sums + 32);
    scaleInto(a2, b2, wa, wb, xScales + stride2, sums + 64);
    scaleInto(a3, b3, wa, wb, xScales + stride3, sums + 96);
    scales += 32;
    xScales += 4;
  }
}

/** Panel (or offsets) times rows of floats. A last group of less than four tokens repeats its last one. */
function panelFloats(panel: usize, count: i32, x: usize, stride: usize, tokens: i32, sums: usize): void {
  for (let left = tokens; left > 0; left -= 4) {
    const x1 = left > 1 ? x + stride : x;
    const x2 = left > 2 ? x1 + stride : x1;
    const x3 = left > 3 ? x2 + stride : x2;
    floats4(panel, count, x, x1, x2, x3, sums);
    x += stride << 2;
    sums += 128;
  }
}

function panelIntegers(count: i32, x: usize, xScales: usize, stride: usize, tokens: i32, scratch: usize): void {
  let sums = scratch + SUMS;
  for (let left = tokens; left > 0; left -= 4) {
    const s1 = left > 1 ? stride : 0;
    const s2 = left > 2 ? s1 + stride : s1;
    const s3 = left > 3 ? s2 + stride : s2;
    integers4(scratch + PANEL, scratch + SCALES, count >> 5, x, xScales, s1, s2, s3, sums);
    x += stride << 2;
    xScales += stride << 2;
    sums += 128;
  }
}

/**
 * Products of weight rows [row, row + 8) (rows past `last` repeat it) and `tokens` rows at x, to the sums in scratch.
 * `x` holds floats for float weights, quantised rows (see quantise) otherwise; `stride` is in bytes.
 */
export function panelProducts(
  dtype: i32, weight: usize, weightStride: usize, row: i32, last: i32, columns: i32, x: usize, stride: usize,
  tokens: i32, scratch: usize,
): void {
  memory.fill(scratch + SUMS, 0, <usize>((tokens + 3) & ~3) << 5);
  const xScales = x + ((<usize>columns) << 1);
  const xSums = xScales + ((<usize>columns) >> 3);
  for (let k = 0; k < columns; k += PANEL_COLUMNS) {
    const count = min(PANEL_COLUMNS, columns - k);
    const at = <usize>k;
    pack(dtype, weight, weightStride, row, last, k, count, scratch);
    if (isFloat(dtype)) {
      panelFloats(scratch + PANEL, count, x + (at << 2), stride, tokens, scratch + SUMS);
      continue;
    }
    panelIntegers(count, x + (at << 1), xScales + (at >> 3), stride, tokens, scratch);
    if (hasOffsets(dtype)) panelFloats(scratch + OFFSETS, count >> 4, xSums + (at >> 2), stride, tokens, scratch + SUMS);
  }
}

/** The same for weight rows [row, row + 16) of floats, by the function `floatsWide` of the wide module. */
export function wideFloatProducts(
  dtype: i32, weight: usize, weightStride: usize, row: i32, last: i32, columns: i32, x: usize, stride: usize,
  tokens: i32, scratch: usize,
): void {
  memory.fill(scratch + WIDE_SUMS, 0, <usize>((tokens + 3) & ~3) << 6);
  for (let k = 0; k < columns; k += PANEL_COLUMNS) {
    const count = min(PANEL_COLUMNS, columns - k);
    const skipped = (<usize>k >> blockShift(dtype)) * blockBytes(dtype);
    for (let half = 0; half < 2; half++) {
      for (let r = 0; r < PANEL_ROWS; r++) {
        const from = weight + <usize>min(row + half * PANEL_ROWS + r, last) * weightStride + skipped;
        unpackRow(dtype, from, count, scratch + UNPACKED + <usize>r * UNPACKED_STRIDE);
      }
      interleave(scratch + UNPACKED, UNPACKED_STRIDE, count, scratch + WIDE_PANEL + <usize>(half << 5), 64);
    }
    call_indirect<void>(
      WIDE_FLOATS, scratch + WIDE_PANEL, count, x + (<usize>k << 2), stride, tokens, scratch + WIDE_SUMS,
    );
  }
}
