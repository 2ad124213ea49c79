// A weight by eights (see eights.ts) times few rows of activations in two planes of bytes (see planes.ts): weights are read
// once, in order. Integer sums are exact, float sums have a fixed order.

import { eightsScales, eightsStart, EIGHTS_BLOCK } from "./eights";
import { bytes15, halfFactor, halfMask } from "./linear-simd";
import { madd } from "./simd";
import { Q4_0_EIGHTS } from "./unpack";

// Places in a thread's scratch memory: f32 [8][8] each.
const SCALES: usize = 0;
const OFFSETS: usize = 256;

/** Signed bytes times weights of at most 7 bits, neighbours added, in 16 bits. */
// @ts-ignore: decorator
@inline
function dot(x: v128, w: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, w);
  else return unreachable();
}

/** The same, four neighbours and `sum` added, in 32 bits. */
// @ts-ignore: decorator
@inline
function dotAdd(x: v128, w: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum);
  else return unreachable();
}

/** Neighbours of 16-bit sums, times `weight`, added. */
// @ts-ignore: decorator
@inline
function pairs(sums: v128, weight: i16): v128 {
  return i32x4.dot_i16x8_s(sums, i16x8.splat(weight));
}

/** The scales of four rows: f32, or halves (the first of eight at `at`, see storeHalves in eights.ts). */
// @ts-ignore: decorator
@inline
function scalesOf(halves: bool, at: usize, mask: v128, factor: v128): v128 {
  if (!halves) return v128.load(at);
  return f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(at), 13), mask), factor);
}

/**
 * Adds the products of `blocks` blocks of 32 columns, whose nibbles lie `step` bytes apart from w on, to the eight sums at
 * `sums`. The scales are f32 at `scales`, or if `halves`, halves before the nibbles of each block, and then -8 times the sum
 * of the activations is added to the integers. If `words`, sums are of 32 bits, for engines where `dotAdd` is exact and one
 * instruction; else of 16 (8 x 2 x 128 x 15 = 30,720) until the end of the block. Both switches are constants to the
 * compiler.
 */
// @ts-ignore: decorator
@inline
function addProducts(
  halves: bool, words: bool, w: usize, step: usize, blocks: i32, x: usize, xScales: usize, scales: usize, sums: usize,
): void {
  const nibble = bytes15;
  const mask = halfMask;
  const factor = f32x4.splat(halfFactor);
  let low = v128.load(sums);
  let high = v128.load(sums, 16);
  for (const stop = xScales + (<usize>blocks << 3); xScales < stop; xScales += 8) {
    const start = halves ? v128.load32_splat(xScales, 4) : i32x4.splat(0);
    let coarse0 = i32x4.splat(0);
    let coarse1 = coarse0;
    let fine0 = words ? start : coarse0;
    let fine1 = fine0;
    let at = w;
    for (const next = x + 32; x < next; x += 8) {
      let bytes = v128.load(at);
      let a = v128.and(bytes, nibble);
      let b = v128.and(i16x8.shr_u(bytes, 4), nibble);
      let v = v128.load32_splat(x);
      coarse0 = add(words, coarse0, v, a);
      coarse1 = add(words, coarse1, v, b);
      v = v128.load32_splat(x, 32);
      fine0 = add(words, fine0, v, a);
      fine1 = add(words, fine1, v, b);
      bytes = v128.load(at, 16);
      a = v128.and(bytes, nibble);
      b = v128.and(i16x8.shr_u(bytes, 4), nibble);
      v = v128.load32_splat(x, 4);
      coarse0 = add(words, coarse0, v, a);
      coarse1 = add(words, coarse1, v, b);
      v = v128.load32_splat(x, 36);
      fine0 = add(words, fine0, v, a);
      fine1 = add(words, fine1, v, b);
      at += 32;
    }
    const scale = v128.load32_splat(xScales);
    const sum0 = joined(words, coarse0, fine0, start);
    const sum1 = joined(words, coarse1, fine1, start);
    const d0 = halves ? scalesOf(true, w - 16, mask, factor) : scalesOf(false, scales, mask, factor);
    const d1 = halves ? scalesOf(true, w - 8, mask, factor) : scalesOf(false, scales + 16, mask, factor);
    low = madd(f32x4.mul(f32x4.convert_i32x4_s(sum0), scale), d0, low);
    high = madd(f32x4.mul(f32x4.convert_i32x4_s(sum1), scale), d1, high);
    x += 32;
    w += step;
    scales += 32;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

// @ts-ignore: decorator
@inline
function add(words: bool, sum: v128, x: v128, w: v128): v128 {
  return words ? dotAdd(x, w, sum) : i16x8.add(sum, dot(x, w));
}

// @ts-ignore: decorator
@inline
function joined(words: bool, coarse: v128, fine: v128, start: v128): v128 {
  if (words) return i32x4.add(i32x4.shl(coarse, 8), fine);
  return i32x4.add(i32x4.add(pairs(coarse, 256), pairs(fine, 1)), start);
}

function halfProducts(w: usize, blocks: i32, x: usize, xScales: usize, sums: usize): void {
  addProducts(true, false, w, EIGHTS_BLOCK, blocks, x, xScales, 0, sums);
}

function halfProductsInWords(w: usize, blocks: i32, x: usize, xScales: usize, sums: usize): void {
  addProducts(true, true, w, EIGHTS_BLOCK, blocks, x, xScales, 0, sums);
}

function products(w: usize, blocks: i32, x: usize, xScales: usize, scales: usize, sums: usize): void {
  addProducts(false, false, w, 128, blocks, x, xScales, scales, sums);
}

function productsInWords(w: usize, blocks: i32, x: usize, xScales: usize, scales: usize, sums: usize): void {
  addProducts(false, true, w, 128, blocks, x, xScales, scales, sums);
}

/** Adds Q4_K's offsets times the sums of the activations. Sums are stored times -8. */
function addOffsets(offsets: usize, blocks: i32, xScales: usize, sums: usize): void {
  let low = v128.load(sums);
  let high = v128.load(sums, 16);
  for (const end = offsets + (<usize>blocks << 5); offsets < end; offsets += 32) {
    const sum = f32x4.splat(<f32>load<i32>(xScales, 4) * load<f32>(xScales) * -0.125);
    low = madd(v128.load(offsets), sum, low);
    high = madd(v128.load(offsets, 16), sum, high);
    xScales += 8;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

/** Eight rows at `group` times one row of activations: f32 [8] at `sums`. `words`: sums of 32 bits. */
export function eightRows(
  dtype: i32, words: bool, group: usize, columns: i32, x: usize, scratch: usize, sums: usize,
): void {
  const start = eightsStart(dtype);
  let xScales = x + ((<usize>columns) << 1);
  memory.fill(sums, 0, 32);
  if (dtype == Q4_0_EIGHTS) {
    if (words) halfProductsInWords(group + start, columns >> 5, x, xScales, sums);
    else halfProducts(group + start, columns >> 5, x, xScales, sums);
    return;
  }
  for (const end = xScales + (<usize>columns >> 2); xScales < end; xScales += 64) {
    eightsScales(dtype, group, 8, scratch + SCALES, scratch + OFFSETS);
    if (words) productsInWords(group + start, 8, x, xScales, scratch + SCALES, sums);
    else products(group + start, 8, x, xScales, scratch + SCALES, sums);
    addOffsets(scratch + OFFSETS, 8, xScales, sums);
    group += 8 * EIGHTS_BLOCK;
    x += 512;
  }
}
