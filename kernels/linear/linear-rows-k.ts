// Matrix times one row of activations, k-quants: super-blocks of 256. Each begins with its scales, times those of the
// activations, written to scratch as floats, and with its offsets times the sums of the activations. Then short loops over
// the weights, as linear-rows explains. Products of one row, not yet summed across lanes.

import { bytes15, bytes16, bytes3, bytes4, bytes48, halfFactor, loadHalfTimes, nibbles16 } from "./linear-simd";
import { dot32, dotBytes, scalesOf, sumsOf, upperBytes } from "./linear-rows";
import { madd } from "../vector/simd";
import { sixBitMinima, sixBitScales } from "../quantise/unpack-kquants";

/** Bytes 0-3 as floats. */
// @ts-ignore: decorator
@inline
function bytesToFloats(bytes: u32): v128 {
  const words = i16x8.extend_low_i8x16_u(i32x4.splat(bytes));
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(words));
}

/** Four signed bytes at `at` as floats. Not by a load that widens eight: the last four of a weight may end the memory. */
// @ts-ignore: decorator
@inline
function signedBytesToFloats(at: usize): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(at))));
}

/** Sums of 32 from the sums of 16 at `sums`: four of them. */
// @ts-ignore: decorator
@inline
function pairSums(sums: usize): v128 {
  const a = v128.load(sums);
  const b = v128.load(sums, 16);
  return f32x4.add(v128.shuffle<f32>(a, b, 0, 2, 4, 6), v128.shuffle<f32>(a, b, 1, 3, 5, 7));
}

/**
 * Q4_K and Q5_K: writes the eight scales of the super-block, times those of the activations; returns the offsets times
 * the sums, added to `sum`.
 */
// @ts-ignore: decorator
@inline
function scales32(w: usize, factor: f32, scales: usize, sums: usize, scratch: usize, sum: v128): v128 {
  const d = f32x4.splat(loadHalfTimes(w, factor));
  const dmin = f32x4.splat(-loadHalfTimes(w + 2, factor));
  const factors = sixBitScales(w + 4);
  const minima = sixBitMinima(w + 4);
  v128.store(scratch, f32x4.mul(f32x4.mul(bytesToFloats(<u32>factors), d), v128.load(scales)));
  v128.store(scratch, f32x4.mul(f32x4.mul(bytesToFloats(<u32>(factors >> 32)), d), v128.load(scales, 16)), 16);
  sum = madd(f32x4.mul(bytesToFloats(<u32>minima), dmin), pairSums(sums), sum);
  return madd(f32x4.mul(bytesToFloats(<u32>(minima >> 32)), dmin), pairSums(sums + 32), sum);
}

export function rowQ4K(w: usize, columns: i32, x: usize, scratch: usize): v128 {
  const factor = halfFactor;
  const nibble = nibbles16;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let odd = sum;
  let offset = sum;
  while (x < end) {
    offset = scales32(w, factor, scales, sums, scratch, offset);
    w += 16;
    let scale = scratch;
    for (const next = x + 512; x < next; x += 128) {
      const a = v128.load8x8_u(w);
      const b = v128.load8x8_u(w, 8);
      const c = v128.load8x8_u(w, 16);
      const d = v128.load8x8_u(w, 24);
      const low = dot32(v128.and(a, nibble), v128.and(b, nibble), v128.and(c, nibble), v128.and(d, nibble), x);
      sum = madd(low, v128.load32_splat(scale), sum);
      v128.store(scratch + 64, sum); // computes before it loads more
      const high = dot32(i16x8.shr_u(a, 4), i16x8.shr_u(b, 4), i16x8.shr_u(c, 4), i16x8.shr_u(d, 4), x + 64);
      odd = madd(high, v128.load32_splat(scale, 4), odd);
      scale += 8;
      w += 32;
    }
    scales += 32;
    sums += 64;
  }
  return f32x4.add(f32x4.add(sum, odd), offset);
}

export function rowQ5K(w: usize, columns: i32, x: usize, scratch: usize): v128 {
  const factor = halfFactor;
  const nibble = bytes15;
  const sixteen = bytes16;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let odd = sum;
  let offset = sum;
  while (x < end) {
    offset = scales32(w, factor, scales, sums, scratch, offset);
    // Bit 2j of each byte is the fifth bit of block 2j, bit 2j + 1 that of the next: shifted down by two each turn.
    let bits0 = v128.load(w, 16);
    let bits1 = v128.load(w, 32);
    w += 48;
    let scale = scratch;
    for (const next = x + 512; x < next; x += 128) {
      const a = v128.load(w);
      const b = v128.load(w, 16);
      const low = dotBytes(
        v128.or(v128.and(a, nibble), v128.and(i16x8.shl(bits0, 4), sixteen)),
        v128.or(v128.and(b, nibble), v128.and(i16x8.shl(bits1, 4), sixteen)),
        x,
      );
      sum = madd(low, v128.load32_splat(scale), sum);
      v128.store(scratch + 64, sum);
      const high = dotBytes(
        v128.or(v128.and(i16x8.shr_u(a, 4), nibble), v128.and(i16x8.shl(bits0, 3), sixteen)),
        v128.or(v128.and(i16x8.shr_u(b, 4), nibble), v128.and(i16x8.shl(bits1, 3), sixteen)),
        x + 64,
      );
      odd = madd(high, v128.load32_splat(scale, 4), odd);
      bits0 = i16x8.shr_u(bits0, 2);
      bits1 = i16x8.shr_u(bits1, 2);
      scale += 8;
      w += 32;
    }
    scales += 32;
    sums += 64;
  }
  return f32x4.add(f32x4.add(sum, odd), offset);
}

/** Sixteen weights given as unsigned bytes. */
// @ts-ignore: decorator
@inline
function dot16(bytes: v128, x: usize): v128 {
  const low = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(bytes), v128.load(x));
  return f32x4.convert_i32x4_s(i32x4.add(low, i32x4.dot_i16x8_s(upperBytes(bytes), v128.load(x, 16))));
}

export function rowQ2K(w: usize, columns: i32, x: usize, scratch: usize): v128 {
  const factor = halfFactor;
  const three = bytes3;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let odd = sum;
  let offset = sum;
  while (x < end) {
    const d = f32x4.splat(loadHalfTimes(w + 80, factor));
    const dmin = f32x4.splat(-loadHalfTimes(w + 82, factor));
    for (let i: usize = 0; i < 16; i += 4) {
      const both = load<u32>(w + i);
      const xs = v128.load64_splat(scales + (i << 1));
      const spread = v128.shuffle<f32>(xs, xs, 0, 0, 1, 1);
      v128.store(scratch + (i << 2), f32x4.mul(f32x4.mul(bytesToFloats(both & 0x0f0f0f0f), d), spread));
      const minima = f32x4.mul(bytesToFloats((both >> 4) & 0x0f0f0f0f), dmin);
      offset = madd(minima, v128.load(sums + (i << 2)), offset);
    }
    let scale = scratch;
    for (let at = w + 16; at < w + 80; at += 32) {
      let a = v128.load(at);
      let b = v128.load(at, 16);
      for (const next = x + 256; x < next; x += 64) {
        sum = madd(dot16(v128.and(a, three), x), v128.load32_splat(scale), sum);
        odd = madd(dot16(v128.and(b, three), x + 32), v128.load32_splat(scale, 4), odd);
        a = i16x8.shr_u(a, 2);
        b = i16x8.shr_u(b, 2);
        scale += 8;
      }
    }
    scales += 32;
    sums += 64;
    w += 84;
  }
  return f32x4.add(f32x4.add(sum, odd), offset);
}

/** The sixteen 6-bit scales of Q3_K, from the 12 bytes at `at`, as bytes. */
// @ts-ignore: decorator
@inline
function storeScalesQ3K(at: usize, out: usize): void {
  const first = load<u32>(at);
  const second = load<u32>(at, 4);
  const upper = load<u32>(at, 8);
  store<u32>(out, (first & 0x0f0f0f0f) | ((upper & 0x03030303) << 4));
  store<u32>(out, (second & 0x0f0f0f0f) | (((upper >> 2) & 0x03030303) << 4), 4);
  store<u32>(out, ((first >> 4) & 0x0f0f0f0f) | (((upper >> 4) & 0x03030303) << 4), 8);
  store<u32>(out, ((second >> 4) & 0x0f0f0f0f) | (((upper >> 6) & 0x03030303) << 4), 12);
}

/** Q3_K weighs 0..7 and takes 4 times the scaled sums off. */
export function rowQ3K(w: usize, columns: i32, x: usize, scratch: usize): v128 {
  const factor = halfFactor;
  const three = bytes3;
  const four = bytes4;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let odd = sum;
  let offset = sum;
  while (x < end) {
    const d = f32x4.splat(loadHalfTimes(w + 108, factor));
    storeScalesQ3K(w + 96, scratch + 64);
    for (let i: usize = 0; i < 16; i += 4) {
      const xs = v128.load64_splat(scales + (i << 1));
      const spread = v128.shuffle<f32>(xs, xs, 0, 0, 1, 1);
      const factors = f32x4.mul(f32x4.sub(bytesToFloats(load<u32>(scratch + i, 64)), f32x4.splat(32)), d);
      v128.store(scratch + (i << 2), f32x4.mul(factors, spread));
      offset = madd(factors, v128.load(sums + (i << 2)), offset);
    }
    let scale = scratch;
    let thirds0 = v128.load(w);
    let thirds1 = v128.load(w, 16);
    for (let at = w + 32; at < w + 96; at += 32) {
      let a = v128.load(at);
      let b = v128.load(at, 16);
      for (const next = x + 256; x < next; x += 64) {
        const q0 = v128.or(v128.and(a, three), v128.and(i16x8.shl(thirds0, 2), four));
        const q1 = v128.or(v128.and(b, three), v128.and(i16x8.shl(thirds1, 2), four));
        sum = madd(dot16(q0, x), v128.load32_splat(scale), sum);
        odd = madd(dot16(q1, x + 32), v128.load32_splat(scale, 4), odd);
        a = i16x8.shr_u(a, 2);
        b = i16x8.shr_u(b, 2);
        thirds0 = i16x8.shr_u(thirds0, 1);
        thirds1 = i16x8.shr_u(thirds1, 1);
        scale += 8;
      }
    }
    scales += 32;
    sums += 64;
    w += 110;
  }
  return madd(offset, f32x4.splat(-4), f32x4.add(sum, odd));
}

/** Q6_K weighs 0..63 and takes 32 times the scaled sums off. */
export function rowQ6K(w: usize, columns: i32, x: usize, scratch: usize): v128 {
  const factor = halfFactor;
  const nibble = bytes15;
  const upper = bytes48;
  const end = scalesOf(x, columns);
  let scales = end;
  let sums = sumsOf(x, columns);
  let sum = f32x4.splat(0);
  let odd = sum;
  let offset = sum;
  while (x < end) {
    const d = f32x4.splat(loadHalfTimes(w + 208, factor));
    for (let i: usize = 0; i < 16; i += 4) {
      const xs = v128.load64_splat(scales + (i << 1));
      const spread = v128.shuffle<f32>(xs, xs, 0, 0, 1, 1);
      const factors = f32x4.mul(signedBytesToFloats(w + 192 + i), d);
      v128.store(scratch + (i << 2), f32x4.mul(factors, spread));
      offset = madd(factors, v128.load(sums + (i << 2)), offset);
    }
    // Halves of 128 elements, then 16 columns of each: elements c, c + 32 from low nibbles, c + 64, c + 96 from high ones.
    for (let i: usize = 0; i < 4; i++) {
      const ql = w + ((i & 2) << 5) + ((i & 1) << 4);
      const qh = w + 128 + (i << 4);
      const at = x + ((i & 2) << 7) + ((i & 1) << 5);
      const scale = scratch + ((i & 2) << 4) + ((i & 1) << 2);
      const bits = v128.load(qh);
      const q0 = v128.or(v128.and(v128.load(ql), nibble), v128.and(i16x8.shl(bits, 4), upper));
      const q1 = v128.or(v128.and(v128.load(ql, 32), nibble), v128.and(i16x8.shl(bits, 2), upper));
      sum = madd(dot16(q0, at), v128.load32_splat(scale), sum);
      odd = madd(dot16(q1, at + 64), v128.load32_splat(scale, 8), odd);
    }
    for (let i: usize = 0; i < 4; i++) {
      const ql = w + ((i & 2) << 5) + ((i & 1) << 4);
      const qh = w + 128 + (i << 4);
      const at = x + ((i & 2) << 7) + ((i & 1) << 5);
      const scale = scratch + ((i & 2) << 4) + ((i & 1) << 2);
      const bits = v128.load(qh);
      const q2 = v128.or(v128.and(i16x8.shr_u(v128.load(ql), 4), nibble), v128.and(bits, upper));
      const q3 = v128.or(v128.and(i16x8.shr_u(v128.load(ql, 32), 4), nibble), v128.and(i16x8.shr_u(bits, 2), upper));
      sum = madd(dot16(q2, at + 128), v128.load32_splat(scale, 16), sum);
      odd = madd(dot16(q3, at + 192), v128.load32_splat(scale, 24), odd);
    }
    x += 512;
    scales += 32;
    sums += 64;
    w += 210;
  }
  return madd(offset, f32x4.splat(-32), f32x4.add(sum, odd));
}
