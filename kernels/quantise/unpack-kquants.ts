// The k-quants, unpacked: super-blocks of 256, eight blocks of 32. Q4_K and Q5_K have a scale and an offset for each 32;
// Q2_K, Q3_K and Q6_K have a scale for each 16, which is multiplied into the integers (at most 32 * 128), so that their
// blocks of 32 all have the super-block's scale. Layouts as in src/quant; `S` as in unpack-blocks.

import { loadHalf } from "../linear/linear-simd";
import { emit8, emitOffset, emitScale, high4, low4 } from "./unpack-blocks";

/** The eight 6-bit scales of Q4_K and Q5_K, a byte each, from the 12 bytes at `at`. */
// @ts-ignore: decorator
@inline
export function sixBitScales(at: usize): u64 {
  const first = load<u32>(at);
  const upper = (load<u32>(at, 8) & 0x0f0f0f0f) | ((first >> 2) & 0x30303030);
  return <u64>(first & 0x3f3f3f3f) | ((<u64>upper) << 32);
}

/** The eight 6-bit minima. */
// @ts-ignore: decorator
@inline
export function sixBitMinima(at: usize): u64 {
  const first = load<u32>(at, 4);
  const upper = ((load<u32>(at, 8) >> 4) & 0x0f0f0f0f) | ((first >> 2) & 0x30303030);
  return <u64>(first & 0x3f3f3f3f) | ((<u64>upper) << 32);
}

// @ts-ignore: decorator
@inline
function byteOf(bytes: u64, j: usize): f32 {
  return <f32>(<i32>((bytes >> (<u64>j << 3)) & 255));
}

export function unpackQ4K<S>(block: usize, out: usize, scales: usize, offsets: usize): void {
  const d = loadHalf(block);
  const dmin = loadHalf(block + 2);
  const factors = sixBitScales(block + 4);
  const minima = sixBitMinima(block + 4);
  for (let j: usize = 0; j < 8; j += 2) {
    const low = d * byteOf(factors, j);
    const high = d * byteOf(factors, j + 1);
    const lowOffset = -dmin * byteOf(minima, j);
    const highOffset = -dmin * byteOf(minima, j + 1);
    emitScale<S>(scales + (j << 2), low);
    emitScale<S>(scales + (j << 2) + 4, high);
    emitOffset<S>(offsets + (j << 3), lowOffset);
    emitOffset<S>(offsets + (j << 3) + 8, highOffset);
    for (let i: usize = 0; i < 32; i += 8) {
      const bytes = v128.load8x8_u(block + (j << 4) + i, 16);
      emit8<S>(out, (j << 5) + i, low4(bytes), f32x4.splat(low), f32x4.splat(lowOffset));
      emit8<S>(out, (j << 5) + 32 + i, high4(bytes), f32x4.splat(high), f32x4.splat(highOffset));
    }
  }
}

/** Bit `bit` of each lane, worth 16. */
// @ts-ignore: decorator
@inline
function fifth(bits: v128, bit: usize): v128 {
  return i16x8.shl(v128.and(i16x8.shr_u(bits, <i32>bit), i16x8.splat(1)), 4);
}

export function unpackQ5K<S>(block: usize, out: usize, scales: usize, offsets: usize): void {
  const d = loadHalf(block);
  const dmin = loadHalf(block + 2);
  const factors = sixBitScales(block + 4);
  const minima = sixBitMinima(block + 4);
  for (let j: usize = 0; j < 8; j += 2) {
    const low = d * byteOf(factors, j);
    const high = d * byteOf(factors, j + 1);
    const lowOffset = -dmin * byteOf(minima, j);
    const highOffset = -dmin * byteOf(minima, j + 1);
    emitScale<S>(scales + (j << 2), low);
    emitScale<S>(scales + (j << 2) + 4, high);
    emitOffset<S>(offsets + (j << 3), lowOffset);
    emitOffset<S>(offsets + (j << 3) + 8, highOffset);
    for (let i: usize = 0; i < 32; i += 8) {
      const bytes = v128.load8x8_u(block + (j << 4) + i, 48);
      const bits = v128.load8x8_u(block + i, 16);
      emit8<S>(out, (j << 5) + i, v128.or(low4(bytes), fifth(bits, j)), f32x4.splat(low), f32x4.splat(lowOffset));
      emit8<S>(
        out,
        (j << 5) + 32 + i,
        v128.or(high4(bytes), fifth(bits, j + 1)),
        f32x4.splat(high),
        f32x4.splat(highOffset),
      );
    }
  }
}

/** All eight scales of a super-block whose own scales are in the integers. */
// @ts-ignore: decorator
@inline
function emitScales<S>(scales: usize, scale: f32): void {
  if (isInteger<S>()) {
    v128.store(scales, f32x4.splat(scale));
    v128.store(scales, f32x4.splat(scale), 16);
  }
}

export function unpackQ2K<S>(block: usize, out: usize, scales: usize, offsets: usize): void {
  const d = loadHalf(block + 80);
  const dmin = loadHalf(block + 82);
  emitScales<S>(scales, d);
  for (let j: usize = 0; j < 16; j++) {
    const byte = <i32>load<u8>(block + j);
    const offset = -dmin * <f32>(byte >> 4);
    if (isInteger<S>()) store<f32>(offsets + (j << 2), offset);
    const factor = i16x8.splat(<i16>(byte & 15));
    const at = block + ((j >> 3) << 5) + ((j & 1) << 4);
    for (let i: usize = 0; i < 16; i += 8) {
      const q = v128.and(i16x8.shr_u(v128.load8x8_u(at + i, 16), <i32>(j & 6)), i16x8.splat(3));
      emit8<S>(out, (j << 4) + i, i16x8.mul(q, factor), f32x4.splat(d), f32x4.splat(offset));
    }
  }
}

/** The 6-bit scale of 16 elements of Q3_K, from the 12 bytes at `at`. */
// @ts-ignore: decorator
@inline
export function scaleQ3K(at: usize, j: usize): i32 {
  const low = (<i32>load<u8>(at + (j & 7)) >> (j < 8 ? 0 : 4)) & 15;
  const high = (<i32>load<u8>(at + (j & 3), 8) >> <i32>((j >> 2) << 1)) & 3;
  return (low | (high << 4)) - 32;
}

export function unpackQ3K<S>(block: usize, out: usize, scales: usize): void {
  const d = loadHalf(block + 108);
  emitScales<S>(scales, d);
  for (let j: usize = 0; j < 16; j++) {
    const factor = i16x8.splat(<i16>scaleQ3K(block + 96, j));
    const thirds = block + ((j & 1) << 4);
    const at = thirds + ((j >> 3) << 5);
    for (let i: usize = 0; i < 16; i += 8) {
      const low = v128.and(i16x8.shr_u(v128.load8x8_u(at + i, 32), <i32>(j & 6)), i16x8.splat(3));
      const third = v128.and(i16x8.shr_u(v128.load8x8_u(thirds + i), <i32>(j >> 1)), i16x8.splat(1));
      const q = i16x8.sub(v128.or(low, i16x8.shl(third, 2)), i16x8.splat(4));
      emit8<S>(out, (j << 4) + i, i16x8.mul(q, factor), f32x4.splat(d), f32x4.splat(0));
    }
  }
}

/** Sixteen 6-bit integers, less 32, as bytes in one vector: times their scale. */
// @ts-ignore: decorator
@inline
function emit16Q6K<S>(block: usize, out: usize, j: usize, q: v128, d: v128): void {
  const factor = i16x8.splat(<i16>load<i8>(block + j, 192));
  const centred = i8x16.sub(q, i8x16.splat(32));
  const zero = f32x4.splat(0);
  emit8<S>(out, j << 4, i16x8.mul(i16x8.extend_low_i8x16_s(centred), factor), d, zero);
  emit8<S>(out, (j << 4) + 8, i16x8.mul(i16x8.extend_high_i8x16_s(centred), factor), d, zero);
}

export function unpackQ6K<S>(block: usize, out: usize, scales: usize): void {
  const scale = loadHalf(block + 208);
  emitScales<S>(scales, scale);
  const d = f32x4.splat(scale);
  const nibble = i8x16.splat(15);
  const upper = i8x16.splat(48);
  for (let i: usize = 0; i < 4; i++) {
    // Sixteen columns of a half of 128: elements c, c + 32, c + 64, c + 96 of it.
    const half = i >> 1;
    const at = block + (half << 6) + ((i & 1) << 4);
    const lower0 = v128.load(at);
    const lower1 = v128.load(at, 32);
    const bits = v128.load(block + (half << 5) + ((i & 1) << 4), 128);
    const j = (half << 3) + (i & 1);
    const q0 = v128.or(v128.and(lower0, nibble), v128.and(i16x8.shl(bits, 4), upper));
    const q1 = v128.or(v128.and(lower1, nibble), v128.and(i16x8.shl(bits, 2), upper));
    const q2 = v128.or(v128.and(i16x8.shr_u(lower0, 4), nibble), v128.and(bits, upper));
    const q3 = v128.or(v128.and(i16x8.shr_u(lower1, 4), nibble), v128.and(i16x8.shr_u(bits, 2), upper));
    emit16Q6K<S>(block, out, j, q0, d);
    emit16Q6K<S>(block, out, j + 2, q1, d);
    emit16Q6K<S>(block, out, j + 4, q2, d);
    emit16Q6K<S>(block, out, j + 6, q3, d);
  }
}
