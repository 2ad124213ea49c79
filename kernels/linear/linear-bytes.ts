// Matrix times many rows of activations (prefill) in 8 bits, on engines with relaxed SIMD: twice as many products in an
// instruction as linear-panel's 16 bits, or more. As there, weight rows (eight, for the wide module sixteen) are unpacked, 256
// columns at a time, into a panel in the L1 cache, here unsigned bytes [4 columns][rows][4]: lanes are weight rows, a
// token's four activations are broadcast. Weights stored with a constant added start their integer sums at minus that
// constant times the sum of the activations.
//
// Relaxed products are exact on every engine while the weights fit 7 bits; whether 8 bits fit, and which instruction is
// fast, the host finds out by `probeBytes`. It picks one of four forms, whose results are the same bits: 32-bit or 16-bit sums,
// in 128 bits here or in 256 by the wide module (wide-integers.ts).

import { BYTES_NIBBLES, BYTES_WIDE, NIBBLES_WIDE, WIDE_NIBBLES, WIDE_SLOT } from "../abi";
import { OFFSETS, packBytes, PANEL, PANEL_END, SCALES } from "../quantise/pack-bytes";
import {
  GROUP, GROUP_BYTES, LESS_AT, LESS_HALVES_AT, SCALES_AT, SUMS_AT, SUMS_HALVES_AT,
} from "../quantise/quantise-bytes";
import { madd } from "../vector/simd";
import { hasOffsets } from "../quantise/unpack";
import { offsetsHalves, scalesHalves, zeroOf } from "../quantise/unpack-bytes";

const PANEL_COLUMNS = 256;
/** Most tokens of a tile, a multiple of GROUP. */
// @ts-ignore: decorator
@inline
export const BYTE_TILE_TOKENS = 256;

/** Place of the sums of a tile in a thread's scratch memory, f32 [tokens][8 or 16]. */
// @ts-ignore: decorator
@inline
export const BYTE_SUMS: usize = PANEL_END;

/** Signed activations times unsigned weights, four neighbours summed, plus `sum`. */
// @ts-ignore: decorator
@inline
function dot(x: v128, w: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum);
  else return unreachable();
}

/**
 * Two neighbours summed, in 16 bits. Sums may pass 16 bits on the way, for they come back: with the weights' zero taken off,
 * 16 columns of up to 5 bits stay below 16 * 127 * 16 < 2^15, and so do 8 of up to 6 bits.
 */
// @ts-ignore: decorator
@inline
function dot16(x: v128, w: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x, w), sum);
  else return unreachable();
}

/** 100 plus four products of 127 and `weight` as this engine computes it; see src/backends/wasm/byte-form.ts. */
export function probeBytes(weight: i32): i32 {
  return i32x4.extract_lane(dot(i8x16.splat(127), i8x16.splat(<i8>weight), i32x4.splat(100)), 0);
}

/** Weight rows of a panel. */
export function byteRows(form: i32): i32 {
  return form == BYTES_WIDE || form == NIBBLES_WIDE ? 16 : 8;
}

// @ts-ignore: decorator
@inline
function add(words: bool, x: v128, w: v128, sum: v128): v128 {
  return words ? dot(x, w, sum) : dot16(x, w, sum);
}

/**
 * The integer sum before the first product: -zero * (sum of the token's activations); if not `words`, of the even and of the
 * odd pairs of columns apart. `zero`: in 16-bit lanes.
 */
// @ts-ignore: decorator
@inline
function start(words: bool, less: usize, zero: v128): v128 {
  return words ? i32x4.dot_i16x8_s(v128.load32_splat(less), zero) : i16x8.mul(v128.load32_splat(less), zero);
}

// @ts-ignore: decorator
@inline
function widened(words: bool, sum: v128): v128 {
  return words ? sum : i32x4.extadd_pairwise_i16x8_s(sum);
}

/** sums += integers * weight scales * activation scale, for the eight rows of one token. */
// @ts-ignore: decorator
@inline
function scaleInto(a: v128, b: v128, wa: v128, wb: v128, s: v128, sums: usize, at: usize): void {
  const c = madd(f32x4.convert_i32x4_s(a), f32x4.mul(wa, s), v128.load(sums + at));
  const d = madd(f32x4.convert_i32x4_s(b), f32x4.mul(wb, s), v128.load(sums + at + 16));
  v128.store(sums + at, c);
  v128.store(sums + at + 16, d);
}

// The forms add panel times activations to the sums of four tokens, for `blocks` blocks of `span` / 8 columns (32 or 16).
// x, xScales and less point at the first token in its group; the scale of the activations changes every 2^shift blocks.

/** `words`: 32-bit sums; else 16-bit ones (see dot16), widened once a block. The switch is a constant to the compiler. */
// @ts-ignore: decorator
@inline
function addProducts4(
  words: bool, panel: usize, scales: usize, blocks: i32, span: usize, shift: i32, x: usize, xScales: usize, less: usize,
  zero: i32, sums: usize,
): void {
  const z = i16x8.splat(<i16>zero);
  for (let block = 0; block < blocks; block++) {
    let a0 = start(words, less, z);
    let a1 = a0;
    let b0 = start(words, less + 4, z);
    let b1 = b0;
    let c0 = start(words, less + 8, z);
    let c1 = c0;
    let d0 = start(words, less + 12, z);
    let d1 = d0;
    for (const end = panel + span; panel < end; panel += 32) {
      const wa = v128.load(panel);
      const wb = v128.load(panel, 16);
      let v = v128.load32_splat(x);
      a0 = add(words, v, wa, a0);
      a1 = add(words, v, wb, a1);
      v = v128.load32_splat(x, 4);
      b0 = add(words, v, wa, b0);
      b1 = add(words, v, wb, b1);
      v = v128.load32_splat(x, 8);
      c0 = add(words, v, wa, c0);
      c1 = add(words, v, wb, c1);
      v = v128.load32_splat(x, 12);
      d0 = add(words, v, wa, d0);
      d1 = add(words, v, wb, d1);
      x += 32;
    }
    const sa = v128.load(scales);
    const sb = v128.load(scales, 16);
    const s = xScales + (<usize>(block >> shift) << 5);
    scaleInto(widened(words, a0), widened(words, a1), sa, sb, v128.load32_splat(s), sums, 0);
    scaleInto(widened(words, b0), widened(words, b1), sa, sb, v128.load32_splat(s, 4), sums, 32);
    scaleInto(widened(words, c0), widened(words, c1), sa, sb, v128.load32_splat(s, 8), sums, 64);
    scaleInto(widened(words, d0), widened(words, d1), sa, sb, v128.load32_splat(s, 12), sums, 96);
    scales += 32;
    less += 32;
  }
}

/** 32-bit sums, 8 rows x 4 tokens: as many as 16 registers of 128 bits hold. */
function products4(
  panel: usize, scales: usize, blocks: i32, span: usize, shift: i32, x: usize, xScales: usize, less: usize, zero: i32,
  sums: usize,
): void {
  addProducts4(true, panel, scales, blocks, span, shift, x, xScales, less, zero, sums);
}

/** 16-bit sums, 8 rows x 4 tokens: for engines that multiply twice for a 32-bit sum. */
function nibbles4(
  panel: usize, scales: usize, blocks: i32, span: usize, shift: i32, x: usize, xScales: usize, less: usize, zero: i32,
  sums: usize,
): void {
  addProducts4(false, panel, scales, blocks, span, shift, x, xScales, less, zero, sums);
}

/** Adds offsets [count][8 rows] times sums of activations [count][8 tokens] to the sums of four tokens. */
function offsets4(offsets: usize, count: i32, x: usize, sums: usize): void {
  let a0 = v128.load(sums);
  let a1 = v128.load(sums, 16);
  let b0 = v128.load(sums, 32);
  let b1 = v128.load(sums, 48);
  let c0 = v128.load(sums, 64);
  let c1 = v128.load(sums, 80);
  let d0 = v128.load(sums, 96);
  let d1 = v128.load(sums, 112);
  for (const end = offsets + ((<usize>count) << 5); offsets < end; offsets += 32) {
    const wa = v128.load(offsets);
    const wb = v128.load(offsets, 16);
    let v = v128.load32_splat(x);
    a0 = madd(wa, v, a0);
    a1 = madd(wb, v, a1);
    v = v128.load32_splat(x, 4);
    b0 = madd(wa, v, b0);
    b1 = madd(wb, v, b1);
    v = v128.load32_splat(x, 8);
    c0 = madd(wa, v, c0);
    c1 = madd(wb, v, c1);
    v = v128.load32_splat(x, 12);
    d0 = madd(wa, v, d0);
    d1 = madd(wb, v, d1);
    x += 32;
  }
  v128.store(sums, a0);
  v128.store(sums, a1, 16);
  v128.store(sums, b0, 32);
  v128.store(sums, b1, 48);
  v128.store(sums, c0, 64);
  v128.store(sums, c1, 80);
  v128.store(sums, d0, 96);
  v128.store(sums, d1, 112);
}

/** Where the scales, the negative sums and the sums of a group lie that a format needs, from column k on. */
// @ts-ignore: decorator
@inline
function lessAt(dtype: i32, columns: usize, k: usize): usize {
  return scalesHalves(dtype) ? LESS_HALVES_AT * columns + (k << 1) : LESS_AT * columns + k;
}

// @ts-ignore: decorator
@inline
function sumsAt(dtype: i32, columns: usize, k: usize): usize {
  return offsetsHalves(dtype) ? SUMS_HALVES_AT * columns + (k << 1) : SUMS_AT * columns + k;
}

/** Adds the panel's products with the groups at x, columns [k, k + count), to the sums of their tokens. */
function panelProducts8(
  form: i32, dtype: i32, columns: usize, k: usize, count: i32, x: usize, tokens: i32, scratch: usize,
): void {
  const panel = scratch + PANEL;
  const scales = scratch + SCALES;
  const shift = scalesHalves(dtype) ? 1 : 0;
  const blocks = count >> (5 - shift);
  const span = <usize>256 >> shift;
  const zero = zeroOf(dtype);
  const offsets = hasOffsets(dtype) ? count >> (offsetsHalves(dtype) ? 4 : 5) : 0;
  const stride = GROUP_BYTES * columns;
  let sums = scratch + BYTE_SUMS;
  for (let token = 0; token < tokens; token += 4) {
    const at = x + <usize>(token / GROUP) * stride + <usize>((token & 4) << 2);
    const q = at + (k << 3);
    const xScales = at + SCALES_AT * columns + k;
    const less = at + lessAt(dtype, columns, k);
    if (form == BYTES_NIBBLES) nibbles4(panel, scales, blocks, span, shift, q, xScales, less, zero, sums);
    else products4(panel, scales, blocks, span, shift, q, xScales, less, zero, sums);
    if (offsets > 0) offsets4(scratch + OFFSETS, offsets, at + sumsAt(dtype, columns, k), sums);
    sums += 128;
  }
}

/** The same by a function of the wide module (wide-integers.ts), which the host put into the table. */
function panelProducts16(
  slot: u32, dtype: i32, columns: usize, k: usize, count: i32, x: usize, tokens: i32, scratch: usize,
): void {
  const shift = scalesHalves(dtype) ? 1 : 0;
  call_indirect<void>(
    slot, scratch + PANEL, scratch + SCALES, scratch + OFFSETS, count >> (5 - shift), shift,
    hasOffsets(dtype) ? count >> (offsetsHalves(dtype) ? 4 : 5) : 0, x + (k << 3), x + SCALES_AT * columns + k,
    x + lessAt(dtype, columns, k), x + sumsAt(dtype, columns, k), GROUP_BYTES * columns, zeroOf(dtype), 1,
    tokens, scratch + BYTE_SUMS,
  );
}

/**
 * Products of weight rows [row, row + byteRows(form)) (rows past `last` repeat it) and `tokens` tokens of the groups at x
 * (see quantise-bytes), to the sums in scratch.
 */
export function byteProducts(
  form: i32, dtype: i32, weight: usize, weightStride: usize, row: i32, last: i32, columns: i32, x: usize, tokens: i32,
  scratch: usize,
): void {
  const rows = byteRows(form);
  const width = <usize>columns;
  memory.fill(scratch + BYTE_SUMS, 0, <usize>(((tokens + 3) & ~3) * rows * 4));
  for (let k = 0; k < columns; k += PANEL_COLUMNS) {
    const count = min(PANEL_COLUMNS, columns - k);
    const at = <usize>k;
    packBytes(dtype, rows, weight, weightStride, row, last, k, count, scratch);
    if (form == BYTES_WIDE) panelProducts16(WIDE_SLOT, dtype, width, at, count, x, tokens, scratch);
    else if (form == NIBBLES_WIDE) panelProducts16(WIDE_NIBBLES, dtype, width, at, count, x, tokens, scratch);
    else panelProducts8(form, dtype, width, at, count, x, tokens, scratch);
  }
}
