// The formats with blocks of 32, unpacked: 32 integers with one scale, and one offset where the format has one
// (w = scale * q + offset). Layouts as in src/quant. `S` picks what is written: i16 keeps integers, scale and offset
// apart for the matrix products, f32 writes finished weights for embeddings. Functions unpack `columns` weights, from `block`
// on; scales are f32 for each 32 weights, offsets f32 for each 16 (written only by formats that have them).

import { loadExponent, loadHalf } from "../linear/linear-simd";
import { madd } from "../vector/simd";

/** Elements k .. k+7 of the output: integers, or floats scaled and shifted. */
// @ts-ignore: decorator
@inline
export function emit8<S>(out: usize, k: usize, q: v128, scale: v128, offset: v128): void {
  if (isInteger<S>()) {
    v128.store(out + (k << 1), q);
  } else {
    const at = out + (k << 2);
    v128.store(at, madd(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(q)), scale, offset));
    v128.store(at, madd(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(q)), scale, offset), 16);
  }
}

/** A block of 32: its scale, and its offset for both halves of 16. */
// @ts-ignore: decorator
@inline
export function emitScale<S>(scales: usize, scale: f32): void {
  if (isInteger<S>()) store<f32>(scales, scale);
}

// @ts-ignore: decorator
@inline
export function emitOffset<S>(offsets: usize, offset: f32): void {
  if (isInteger<S>()) {
    store<f32>(offsets, offset);
    store<f32>(offsets, offset, 4);
  }
}

// @ts-ignore: decorator
@inline
export function low4(bytes: v128): v128 {
  return v128.and(bytes, i16x8.splat(15));
}

// @ts-ignore: decorator
@inline
export function high4(bytes: v128): v128 {
  return i16x8.shr_u(bytes, 4);
}

export function unpackQ8_0<S>(block: usize, columns: i32, out: usize, scales: usize): void {
  const zero = f32x4.splat(0);
  for (let k = 0; k < columns; k += 32) {
    const scale = loadHalf(block);
    emitScale<S>(scales, scale);
    const s = f32x4.splat(scale);
    for (let i: usize = 0; i < 32; i += 8) emit8<S>(out, i, v128.load8x8_s(block + i, 2), s, zero);
    block += 34;
    out += 32 * sizeof<S>();
    scales += 4;
  }
}

export function unpackQ4_0<S>(block: usize, columns: i32, out: usize, scales: usize): void {
  const zero = f32x4.splat(0);
  const middle = i16x8.splat(8);
  for (let k = 0; k < columns; k += 32) {
    const scale = loadHalf(block);
    emitScale<S>(scales, scale);
    const s = f32x4.splat(scale);
    for (let i: usize = 0; i < 16; i += 8) {
      const bytes = v128.load8x8_u(block + i, 2);
      emit8<S>(out, i, i16x8.sub(low4(bytes), middle), s, zero);
      emit8<S>(out, i + 16, i16x8.sub(high4(bytes), middle), s, zero);
    }
    block += 18;
    out += 32 * sizeof<S>();
    scales += 4;
  }
}

export function unpackQ4_1<S>(block: usize, columns: i32, out: usize, scales: usize, offsets: usize): void {
  for (let k = 0; k < columns; k += 32) {
    const scale = loadHalf(block);
    const offset = loadHalf(block + 2);
    emitScale<S>(scales, scale);
    emitOffset<S>(offsets, offset);
    const s = f32x4.splat(scale);
    const o = f32x4.splat(offset);
    for (let i: usize = 0; i < 16; i += 8) {
      const bytes = v128.load8x8_u(block + i, 4);
      emit8<S>(out, i, low4(bytes), s, o);
      emit8<S>(out, i + 16, high4(bytes), s, o);
    }
    block += 20;
    out += 32 * sizeof<S>();
    scales += 4;
    offsets += 8;
  }
}

/** Bits k .. k+7 of the 32 fifth bits, each worth 16 in its lane. */
// @ts-ignore: decorator
@inline
function fifth8(bits: u32, k: usize): v128 {
  const masks = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  const set = i16x8.eq(v128.and(i16x8.splat(<i16>((bits >> <u32>k) & 255)), masks), masks);
  return v128.and(set, i16x8.splat(16));
}

export function unpackQ5_0<S>(block: usize, columns: i32, out: usize, scales: usize): void {
  const zero = f32x4.splat(0);
  const middle = i16x8.splat(16);
  for (let k = 0; k < columns; k += 32) {
    const scale = loadHalf(block);
    const bits = load<u32>(block, 2);
    emitScale<S>(scales, scale);
    const s = f32x4.splat(scale);
    for (let i: usize = 0; i < 16; i += 8) {
      const bytes = v128.load8x8_u(block + i, 6);
      emit8<S>(out, i, i16x8.sub(v128.or(low4(bytes), fifth8(bits, i)), middle), s, zero);
      emit8<S>(out, i + 16, i16x8.sub(v128.or(high4(bytes), fifth8(bits, i + 16)), middle), s, zero);
    }
    block += 22;
    out += 32 * sizeof<S>();
    scales += 4;
  }
}

export function unpackQ5_1<S>(block: usize, columns: i32, out: usize, scales: usize, offsets: usize): void {
  for (let k = 0; k < columns; k += 32) {
    const scale = loadHalf(block);
    const offset = loadHalf(block + 2);
    const bits = load<u32>(block, 4);
    emitScale<S>(scales, scale);
    emitOffset<S>(offsets, offset);
    const s = f32x4.splat(scale);
    const o = f32x4.splat(offset);
    for (let i: usize = 0; i < 16; i += 8) {
      const bytes = v128.load8x8_u(block + i, 8);
      emit8<S>(out, i, v128.or(low4(bytes), fifth8(bits, i)), s, o);
      emit8<S>(out, i + 16, v128.or(high4(bytes), fifth8(bits, i + 16)), s, o);
    }
    block += 24;
    out += 32 * sizeof<S>();
    scales += 4;
    offsets += 8;
  }
}

/** Nibbles that name one of 16 levels. */
// @ts-ignore: decorator
@inline
function emitLevels<S>(out: usize, levels: v128, bytes: v128, scale: v128): void {
  const zero = f32x4.splat(0);
  const low = v128.swizzle(levels, v128.and(bytes, i8x16.splat(15)));
  const high = v128.swizzle(levels, i8x16.shr_u(bytes, 4));
  emit8<S>(out, 0, i16x8.extend_low_i8x16_s(low), scale, zero);
  emit8<S>(out, 8, i16x8.extend_high_i8x16_s(low), scale, zero);
  emit8<S>(out, 16, i16x8.extend_low_i8x16_s(high), scale, zero);
  emit8<S>(out, 24, i16x8.extend_high_i8x16_s(high), scale, zero);
}

export function unpackIq4Nl<S>(block: usize, columns: i32, out: usize, scales: usize): void {
  const levels = i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  for (let k = 0; k < columns; k += 32) {
    const scale = loadHalf(block);
    emitScale<S>(scales, scale);
    emitLevels<S>(out, levels, v128.load(block, 2), f32x4.splat(scale));
    block += 18;
    out += 32 * sizeof<S>();
    scales += 4;
  }
}

export function unpackMxfp4<S>(block: usize, columns: i32, out: usize, scales: usize): void {
  const levels = i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  for (let k = 0; k < columns; k += 32) {
    const scale = loadExponent(block);
    emitScale<S>(scales, scale);
    emitLevels<S>(out, levels, v128.load(block, 1), f32x4.splat(scale));
    block += 17;
    out += 32 * sizeof<S>();
    scales += 4;
  }
}
