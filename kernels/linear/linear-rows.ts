// Matrix times one row of activations (decode): weights are read once, in order, straight from the file's blocks. This
// file: what all formats share, and the formats with blocks of 32. Lanes run along the row; integer sums are exact within
// a block, float sums have a fixed order.
//
// V8 moves all loads of a basic block to its start and spills what does not fit into 16 registers: loop bodies stay below
// about twelve loads. `while` and not `do`, because it splits the body of a `do` loop over its exits.

import {
  bitOfByte, bytes15, bytes16, codebook, doubled, halfFactor, loadExponent, loadHalfTimes, lookUp, nibbles16, spreadHigh,
  spreadLow,
} from "./linear-simd";
import { madd } from "../vector/simd";

/** The products of 32 weights and activations, in four lanes. */
// @ts-ignore: decorator
@inline
export function dot32(w0: v128, w1: v128, w2: v128, w3: v128, x: usize): v128 {
  const low = i32x4.add(i32x4.dot_i16x8_s(w0, v128.load(x)), i32x4.dot_i16x8_s(w1, v128.load(x, 16)));
  const high = i32x4.add(i32x4.dot_i16x8_s(w2, v128.load(x, 32)), i32x4.dot_i16x8_s(w3, v128.load(x, 48)));
  return f32x4.convert_i32x4_s(i32x4.add(low, high));
}

/** Bytes 8-15 as unsigned 16-bit lanes: one instruction, where extend_high takes two. */
// @ts-ignore: decorator
@inline
export function upperBytes(bytes: v128): v128 {
  return v128.shuffle<i8>(bytes, i32x4.splat(0), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** The same for weights given as unsigned bytes, 16 in each vector. */
// @ts-ignore: decorator
@inline
export function dotBytes(a: v128, b: v128, x: usize): v128 {
  return dot32(
    i16x8.extend_low_i8x16_u(a),
    upperBytes(a),
    i16x8.extend_low_i8x16_u(b),
    upperBytes(b),
    x,
  );
}

/** Address of the scales of a quantised row of activations (see quantise). */
// @ts-ignore: decorator
@inline
export function scalesOf(x: usize, columns: i32): usize {
  return x + ((<usize>columns) << 1);
}

/** Address of its sums. */
// @ts-ignore: decorator
@inline
export function sumsOf(x: usize, columns: i32): usize {
  return x + ((<usize>columns) << 1) + ((<usize>columns) >> 3);
}

/** Weights scale * q: all functions below return the products of one row, not yet summed across lanes. */
export function rowQ8_0(w: usize, columns: i32, x: usize): v128 {
  const factor = halfFactor;
  const end = scalesOf(x, columns);
  let scales = end;
  let sum = f32x4.splat(0);
  while (x < end) {
    const products = dot32(
      v128.load8x8_s(w, 2),
      v128.load8x8_s(w, 10),
      v128.load8x8_s(w, 18),
      v128.load8x8_s(w, 26),
      x,
    );
    sum = madd(products, f32x4.splat(loadHalfTimes(w, factor) * load<f32>(scales)), sum);
    x += 64;
    scales += 4;
    w += 34;
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function dotNibbles(at: usize, nibble: v128, x: usize): v128 {
  const a = v128.load8x8_u(at);
  const b = v128.load8x8_u(at, 8);
  return dot32(v128.and(a, nibble), v128.and(b, nibble), i16x8.shr_u(a, 4), i16x8.shr_u(b, 4), x);
}

/** Q4_0 weighs 0..15 and takes 8 times the sum of the activations off at the end. */
export function rowQ4_0(w: usize, columns: i32, x: usize): v128 {
  const factor = halfFactor;
  const nibble = nibbles16;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let offset = sum;
  while (x < end) {
    const d = loadHalfTimes(w, factor);
    sum = madd(dotNibbles(w + 2, nibble, x), f32x4.splat(d * load<f32>(scales)), sum);
    offset = madd(v128.load64_zero(sums), f32x4.splat(d), offset);
    x += 64;
    scales += 4;
    sums += 8;
    w += 18;
  }
  return madd(offset, f32x4.splat(-8), sum);
}

export function rowQ4_1(w: usize, columns: i32, x: usize): v128 {
  const factor = halfFactor;
  const nibble = nibbles16;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let offset = sum;
  while (x < end) {
    const d = loadHalfTimes(w, factor);
    offset = madd(v128.load64_zero(sums), f32x4.splat(loadHalfTimes(w + 2, factor)), offset);
    sum = madd(dotNibbles(w + 4, nibble, x), f32x4.splat(d * load<f32>(scales)), sum);
    x += 64;
    scales += 4;
    sums += 8;
    w += 20;
  }
  return f32x4.add(sum, offset);
}

/** Sixteen fifth bits, worth 16 each, from four bytes of bits in every lane. */
// @ts-ignore: decorator
@inline
function fifths(bits: v128, spread: v128, bit: v128, sixteen: v128): v128 {
  return v128.and(i8x16.eq(v128.and(lookUp(bits, spread), bit), bit), sixteen);
}

/** Q5_0 (blocks of 22 bytes, offset -16 scale) and Q5_1 (24 bytes, stored offset). */
// @ts-ignore: decorator
@inline
function rowQ5(w: usize, columns: i32, x: usize, blockBytes: usize): v128 {
  const factor = halfFactor;
  const nibble = bytes15;
  const bit = bitOfByte;
  const sixteen = bytes16;
  const low = spreadLow;
  const high = spreadHigh;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let offset = sum;
  while (x < end) {
    const d = loadHalfTimes(w, factor);
    const shift = blockBytes == 24 ? loadHalfTimes(w + 2, factor) : d * -16;
    const bits = v128.load32_splat(w + blockBytes - 20);
    const bytes = v128.load(w + blockBytes - 16);
    const a = v128.or(v128.and(bytes, nibble), fifths(bits, low, bit, sixteen));
    const b = v128.or(v128.and(i16x8.shr_u(bytes, 4), nibble), fifths(bits, high, bit, sixteen));
    offset = madd(v128.load64_zero(sums), f32x4.splat(shift), offset);
    sum = madd(dotBytes(a, b, x), f32x4.splat(d * load<f32>(scales)), sum);
    x += 64;
    scales += 4;
    sums += 8;
    w += blockBytes;
  }
  return f32x4.add(sum, offset);
}

export function rowQ5_0(w: usize, columns: i32, x: usize): v128 {
  return rowQ5(w, columns, x, 22);
}

export function rowQ5_1(w: usize, columns: i32, x: usize): v128 {
  return rowQ5(w, columns, x, 24);
}

/** Nibbles that name one of 16 levels. */
// @ts-ignore: decorator
@inline
function dotLevels(levels: v128, bytes: v128, nibble: v128, x: usize): v128 {
  const a = lookUp(levels, v128.and(bytes, nibble));
  const b = lookUp(levels, v128.and(i16x8.shr_u(bytes, 4), nibble));
  return dot32(
    i16x8.extend_low_i8x16_s(a),
    i16x8.extend_high_i8x16_s(a),
    i16x8.extend_low_i8x16_s(b),
    i16x8.extend_high_i8x16_s(b),
    x,
  );
}

export function rowIq4Nl(w: usize, columns: i32, x: usize): v128 {
  const factor = halfFactor;
  const nibble = bytes15;
  const levels = codebook;
  const end = scalesOf(x, columns);
  let scales = end;
  let sum = f32x4.splat(0);
  while (x < end) {
    const products = dotLevels(levels, v128.load(w, 2), nibble, x);
    sum = madd(products, f32x4.splat(loadHalfTimes(w, factor) * load<f32>(scales)), sum);
    x += 64;
    scales += 4;
    w += 18;
  }
  return sum;
}

export function rowMxfp4(w: usize, columns: i32, x: usize): v128 {
  const nibble = bytes15;
  const levels = doubled;
  const end = scalesOf(x, columns);
  let scales = end;
  let sum = f32x4.splat(0);
  while (x < end) {
    const products = dotLevels(levels, v128.load(w, 1), nibble, x);
    sum = madd(products, f32x4.splat(loadExponent(w) * load<f32>(scales)), sum);
    x += 64;
    scales += 4;
    w += 17;
  }
  return sum;
}
