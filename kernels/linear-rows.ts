// Matrix times few rows of activations (decode): weights are read once, in order, straight from the file's blocks.
// Every function takes the addresses of four weight rows and returns their four products in the lanes of one vector.
// Lanes run along the row; integer sums are exact within a block of 32, float sums have a fixed order.

import { gatherHalves, loadHalf, sumLanes } from "./linear-simd";
import { madd } from "./simd";
import { blockBytes, blockShift, hasOffsets, unpackIntegers } from "./unpack";
import { sixBitMinima, sixBitScales } from "./unpack-kquants";

// @ts-ignore: decorator
@inline
function dot32(w0: v128, w1: v128, w2: v128, w3: v128, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const low = i32x4.add(i32x4.dot_i16x8_s(w0, x0), i32x4.dot_i16x8_s(w1, x1));
  const high = i32x4.add(i32x4.dot_i16x8_s(w2, x2), i32x4.dot_i16x8_s(w3, x3));
  return f32x4.convert_i32x4_s(i32x4.add(low, high));
}

// @ts-ignore: decorator
@inline
function dotQ8_0(block: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  return dot32(
    v128.load8x8_s(block, 2),
    v128.load8x8_s(block, 10),
    v128.load8x8_s(block, 18),
    v128.load8x8_s(block, 26),
    x0,
    x1,
    x2,
    x3,
  );
}

/** Nibbles at `at` as 0..15. */
// @ts-ignore: decorator
@inline
function dotNibbles(at: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const nibble = i16x8.splat(15);
  const a = v128.load8x8_u(at);
  const b = v128.load8x8_u(at, 8);
  return dot32(v128.and(a, nibble), v128.and(b, nibble), i16x8.shr_u(a, 4), i16x8.shr_u(b, 4), x0, x1, x2, x3);
}

export function rowsQ8_0(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  let scales = x + ((<usize>columns) << 1);
  const end = scales;
  let a0 = f32x4.splat(0);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  while (x < end) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    const x2 = v128.load(x, 32);
    const x3 = v128.load(x, 48);
    const scale = f32x4.mul(gatherHalves(w0, w1, w2, w3), v128.load32_splat(scales));
    a0 = madd(dotQ8_0(w0, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 0, 0, 0, 0), a0);
    a1 = madd(dotQ8_0(w1, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 1, 1, 1, 1), a1);
    a2 = madd(dotQ8_0(w2, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 2, 2, 2, 2), a2);
    a3 = madd(dotQ8_0(w3, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 3, 3, 3, 3), a3);
    x += 64;
    scales += 4;
    w0 += 34;
    w1 += 34;
    w2 += 34;
    w3 += 34;
  }
  return sumLanes(a0, a1, a2, a3);
}

/** Q4_0 weighs 0..15 and takes 8 times the sum of the activations off, once for each block. */
export function rowsQ4_0(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  let scales = x + ((<usize>columns) << 1);
  let sums = scales + ((<usize>columns) >> 3);
  const end = scales;
  let a0 = f32x4.splat(0);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  let offsets = a0;
  while (x < end) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    const x2 = v128.load(x, 32);
    const x3 = v128.load(x, 48);
    const d = gatherHalves(w0, w1, w2, w3);
    offsets = madd(d, f32x4.splat(load<f32>(sums) + load<f32>(sums, 4)), offsets);
    const scale = f32x4.mul(d, v128.load32_splat(scales));
    a0 = madd(dotNibbles(w0 + 2, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 0, 0, 0, 0), a0);
    a1 = madd(dotNibbles(w1 + 2, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 1, 1, 1, 1), a1);
    a2 = madd(dotNibbles(w2 + 2, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 2, 2, 2, 2), a2);
    a3 = madd(dotNibbles(w3 + 2, x0, x1, x2, x3), v128.shuffle<f32>(scale, scale, 3, 3, 3, 3), a3);
    x += 64;
    scales += 4;
    sums += 8;
    w0 += 18;
    w1 += 18;
    w2 += 18;
    w3 += 18;
  }
  return f32x4.add(sumLanes(a0, a1, a2, a3), f32x4.mul(offsets, f32x4.splat(-8)));
}

/** Bytes 0-3 of `bytes` as floats. */
// @ts-ignore: decorator
@inline
function bytesToFloats(bytes: u32): v128 {
  const words = i16x8.extend_low_i8x16_u(i32x4.splat(bytes));
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(words));
}

// @ts-ignore: decorator
@inline
function nibblePair(at: usize, x: usize, low: v128, high: v128, sum: v128): v128 {
  const nibble = i16x8.splat(15);
  const a = v128.load8x8_u(at);
  const b = v128.load8x8_u(at, 8);
  const c = v128.load8x8_u(at, 16);
  const d = v128.load8x8_u(at, 24);
  const lows = dot32(
    v128.and(a, nibble),
    v128.and(b, nibble),
    v128.and(c, nibble),
    v128.and(d, nibble),
    v128.load(x),
    v128.load(x, 16),
    v128.load(x, 32),
    v128.load(x, 48),
  );
  const highs = dot32(
    i16x8.shr_u(a, 4),
    i16x8.shr_u(b, 4),
    i16x8.shr_u(c, 4),
    i16x8.shr_u(d, 4),
    v128.load(x, 64),
    v128.load(x, 80),
    v128.load(x, 96),
    v128.load(x, 112),
  );
  return madd(highs, high, madd(lows, low, sum));
}

/** Sums of 32 from the sums of 16 at `sums`: four of them. */
// @ts-ignore: decorator
@inline
function pairSums(sums: usize): v128 {
  const a = v128.load(sums);
  const b = v128.load(sums, 16);
  return f32x4.add(v128.shuffle<f32>(a, b, 0, 2, 4, 6), v128.shuffle<f32>(a, b, 1, 3, 5, 7));
}

/** One row, not yet summed across lanes. */
function rowQ4K(w: usize, columns: i32, x: usize): v128 {
  let scales = x + ((<usize>columns) << 1);
  let sums = scales + ((<usize>columns) >> 3);
  const end = scales;
  let sum = f32x4.splat(0);
  while (x < end) {
    const d = f32x4.splat(loadHalf(w));
    const dmin = f32x4.splat(-loadHalf(w + 2));
    const factors = sixBitScales(w + 4);
    const minima = sixBitMinima(w + 4);
    const s0 = f32x4.mul(f32x4.mul(bytesToFloats(<u32>factors), d), v128.load(scales));
    const s1 = f32x4.mul(f32x4.mul(bytesToFloats(<u32>(factors >> 32)), d), v128.load(scales, 16));
    sum = madd(f32x4.mul(bytesToFloats(<u32>minima), dmin), pairSums(sums), sum);
    sum = madd(f32x4.mul(bytesToFloats(<u32>(minima >> 32)), dmin), pairSums(sums + 32), sum);
    sum = nibblePair(w + 16, x, v128.shuffle<f32>(s0, s0, 0, 0, 0, 0), v128.shuffle<f32>(s0, s0, 1, 1, 1, 1), sum);
    sum = nibblePair(w + 48, x + 128, v128.shuffle<f32>(s0, s0, 2, 2, 2, 2), v128.shuffle<f32>(s0, s0, 3, 3, 3, 3), sum);
    sum = nibblePair(w + 80, x + 256, v128.shuffle<f32>(s1, s1, 0, 0, 0, 0), v128.shuffle<f32>(s1, s1, 1, 1, 1, 1), sum);
    sum = nibblePair(w + 112, x + 384, v128.shuffle<f32>(s1, s1, 2, 2, 2, 2), v128.shuffle<f32>(s1, s1, 3, 3, 3, 3), sum);
    x += 512;
    scales += 32;
    sums += 64;
    w += 144;
  }
  return sum;
}

export function rowsQ4K(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  return sumLanes(rowQ4K(w0, columns, x), rowQ4K(w1, columns, x), rowQ4K(w2, columns, x), rowQ4K(w3, columns, x));
}

/** Sixteen 6-bit integers (0..63) times the activations at x and a scale (its lane of the four in `factors`). */
// @ts-ignore: decorator
@inline
function dot16(q: v128, x: usize): v128 {
  const zero = i32x4.splat(0);
  const low = v128.shuffle<i8>(q, zero, 0, 16, 1, 16, 2, 16, 3, 16, 4, 16, 5, 16, 6, 16, 7, 16);
  const high = v128.shuffle<i8>(q, zero, 8, 24, 9, 24, 10, 24, 11, 24, 12, 24, 13, 24, 14, 24, 15, 24);
  return f32x4.convert_i32x4_s(
    i32x4.add(i32x4.dot_i16x8_s(low, v128.load(x)), i32x4.dot_i16x8_s(high, v128.load(x, 16))),
  );
}

/** Scales of the eight 16s of a half super-block, times d: four from the bytes at `at`. */
// @ts-ignore: decorator
@inline
function signedBytesToFloats(at: usize): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(v128.load8x8_s(at)));
}

function rowQ6K(w: usize, columns: i32, x: usize): v128 {
  let scales = x + ((<usize>columns) << 1);
  let sums = scales + ((<usize>columns) >> 3);
  const end = scales;
  const nibble = i8x16.splat(15);
  const upper = i8x16.splat(48);
  let sum = f32x4.splat(0);
  let offset = f32x4.splat(0);
  while (x < end) {
    const d = f32x4.splat(loadHalf(w + 208));
    for (let half: usize = 0; half < 2; half++) {
      const ql = w + (half << 6);
      const qh = w + 128 + (half << 5);
      const xs = x + (half << 8);
      const f0 = f32x4.mul(signedBytesToFloats(w + 192 + (half << 3)), d);
      const f1 = f32x4.mul(signedBytesToFloats(w + 196 + (half << 3)), d);
      offset = madd(f0, v128.load(sums), offset);
      offset = madd(f1, v128.load(sums, 16), offset);
      const xScales = v128.load(scales);
      const s0 = f32x4.mul(f0, v128.shuffle<f32>(xScales, xScales, 0, 0, 1, 1));
      const s1 = f32x4.mul(f1, v128.shuffle<f32>(xScales, xScales, 2, 2, 3, 3));
      const h0 = v128.load(qh);
      const h1 = v128.load(qh, 16);
      const a0 = v128.load(ql);
      const a1 = v128.load(ql, 16);
      const b0 = v128.load(ql, 32);
      const b1 = v128.load(ql, 48);
      const q0 = v128.or(v128.and(a0, nibble), v128.and(i16x8.shl(h0, 4), upper));
      const q1 = v128.or(v128.and(a1, nibble), v128.and(i16x8.shl(h1, 4), upper));
      const q2 = v128.or(v128.and(b0, nibble), v128.and(i16x8.shl(h0, 2), upper));
      const q3 = v128.or(v128.and(b1, nibble), v128.and(i16x8.shl(h1, 2), upper));
      sum = madd(dot16(q0, xs), v128.shuffle<f32>(s0, s0, 0, 0, 0, 0), sum);
      sum = madd(dot16(q1, xs + 32), v128.shuffle<f32>(s0, s0, 1, 1, 1, 1), sum);
      sum = madd(dot16(q2, xs + 64), v128.shuffle<f32>(s0, s0, 2, 2, 2, 2), sum);
      sum = madd(dot16(q3, xs + 96), v128.shuffle<f32>(s0, s0, 3, 3, 3, 3), sum);
      const q4 = v128.or(v128.and(i16x8.shr_u(a0, 4), nibble), v128.and(h0, upper));
      const q5 = v128.or(v128.and(i16x8.shr_u(a1, 4), nibble), v128.and(h1, upper));
      const q6 = v128.or(v128.and(i16x8.shr_u(b0, 4), nibble), v128.and(i16x8.shr_u(h0, 2), upper));
      const q7 = v128.or(v128.and(i16x8.shr_u(b1, 4), nibble), v128.and(i16x8.shr_u(h1, 2), upper));
      sum = madd(dot16(q4, xs + 128), v128.shuffle<f32>(s1, s1, 0, 0, 0, 0), sum);
      sum = madd(dot16(q5, xs + 160), v128.shuffle<f32>(s1, s1, 1, 1, 1, 1), sum);
      sum = madd(dot16(q6, xs + 192), v128.shuffle<f32>(s1, s1, 2, 2, 2, 2), sum);
      sum = madd(dot16(q7, xs + 224), v128.shuffle<f32>(s1, s1, 3, 3, 3, 3), sum);
      scales += 16;
      sums += 32;
    }
    x += 512;
    w += 210;
  }
  return madd(offset, f32x4.splat(-32), sum);
}

export function rowsQ6K(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  return sumLanes(rowQ6K(w0, columns, x), rowQ6K(w1, columns, x), rowQ6K(w2, columns, x), rowQ6K(w3, columns, x));
}

/** A row of any quantised format, 256 weights at a time through `scratch` (608 bytes), not yet summed across lanes. */
function rowUnpacked(dtype: i32, w: usize, columns: i32, x: usize, scratch: usize): v128 {
  const weightScales = scratch + 512;
  const offsets = scratch + 544;
  const withOffsets = hasOffsets(dtype);
  const chunkBytes = (<usize>256 >> blockShift(dtype)) * blockBytes(dtype);
  let scales = x + ((<usize>columns) << 1);
  let sums = scales + ((<usize>columns) >> 3);
  let sum = f32x4.splat(0);
  for (let k = 0; k < columns; k += 256) {
    const count = <usize>min(256, columns - k);
    unpackIntegers(dtype, w, <i32>count, scratch, weightScales, offsets);
    for (let i: usize = 0; i < count; i += 32) {
      const q = scratch + (i << 1);
      const at = x + (i << 1);
      const scale = f32x4.splat(load<f32>(weightScales + (i >> 3)) * load<f32>(scales + (i >> 3)));
      const low = i32x4.add(
        i32x4.dot_i16x8_s(v128.load(q), v128.load(at)),
        i32x4.dot_i16x8_s(v128.load(q, 16), v128.load(at, 16)),
      );
      const high = i32x4.add(
        i32x4.dot_i16x8_s(v128.load(q, 32), v128.load(at, 32)),
        i32x4.dot_i16x8_s(v128.load(q, 48), v128.load(at, 48)),
      );
      sum = madd(f32x4.convert_i32x4_s(i32x4.add(low, high)), scale, sum);
      if (withOffsets) {
        sum = madd(v128.load64_zero(offsets + (i >> 2)), v128.load64_zero(sums + (i >> 2)), sum);
      }
    }
    w += chunkBytes;
    x += 512;
    scales += 32;
    sums += 64;
  }
  return sum;
}

export function rowsUnpacked(
  dtype: i32, w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize, scratch: usize,
): v128 {
  return sumLanes(
    rowUnpacked(dtype, w0, columns, x, scratch),
    rowUnpacked(dtype, w1, columns, x, scratch),
    rowUnpacked(dtype, w2, columns, x, scratch),
    rowUnpacked(dtype, w3, columns, x, scratch),
  );
}
