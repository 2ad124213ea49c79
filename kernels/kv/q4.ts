// The cache in 4 bits: value = scale * q, -8 <= q <= 7, one f16 scale for a token and a block of 32 dims (the last may be
// smaller), keys rotated by a Hadamard matrix (hadamard.ts); see kv-page, and src/quant/kv/q4.ts for the definition.
//
// Numbers are nibbles in words of 32 bits, low ones first. Keys u32 [D / 8, rounded up][16]: a word has eight dims of a token.
// Values u32 [2][Dv]: a word has eight tokens of a dim, 0 to 3 and 8 to 11 in the first row, 4 to 7 and 12 to 15 in the second.
// So the nibble j of both halves of a word are a pair of 16 bits, dims or tokens apart by 4 or 8, as products of integers take
// them (attention-nibbles.ts). Then f16 scales [blocks][16] of keys and of values.

import { hadamard } from "./hadamard";
import { f16Bits, toF16 } from "../vector/simd";

const BLOCK = 32;

// @ts-ignore: decorator
@inline
export function blocksOf(width: i32): i32 {
  return (width + BLOCK - 1) / BLOCK;
}

/** Bytes of the words of 16 keys: the scales follow. */
// @ts-ignore: decorator
@inline
export function keyWords(width: i32): usize {
  return usize((width + 7) >> 3) << 6;
}

/** `scratch` holds width * 4 bytes. */
export function storeKey(keys: usize, width: i32, place: i32, row: usize, scratch: usize): void {
  memory.copy(scratch, row, usize(width) * 4);
  hadamard(scratch, width, 1);
  const n = f32x4.splat(1 / f32(width & -width));
  let scales = keys + keyWords(width) + usize(place) * 2;
  let at = keys + usize(place) * 4;
  for (let d = 0; d < width; d += BLOCK) {
    const count = min(BLOCK, width - d);
    const from = scratch + usize(d) * 4;
    const end = from + usize(count) * 4;
    for (let x = from; x < end; x += 16) v128.store(x, f32x4.mul(v128.load(x), n));
    const half = scaleOf(from, count);
    store<u16>(scales, half);
    scales += 32;
    const inverse = inverseOf(half);
    for (let x = from; x < end; x += 32) {
      const high = x + 16 < end ? quantised(v128.load(x, 16), inverse) : i32x4.splat(0);
      const bytes = i16x8.narrow_i32x4_s(quantised(v128.load(x), inverse), high);
      store<u32>(at, packed(u64(i64x2.extract_lane(i8x16.narrow_i16x8_s(bytes, bytes), 0))));
      at += 64;
    }
  }
}

/** The low nibbles of eight bytes as a word. */
function packed(bytes: u64): u32 {
  bytes &= 0x0f0f0f0f0f0f0f0f;
  bytes = (bytes | (bytes >> 4)) & 0x00ff00ff00ff00ff;
  bytes = (bytes | (bytes >> 8)) & 0x0000ffff0000ffff;
  return u32(bytes | (bytes >> 16));
}

/** How far up a token's nibble is in its words. */
// @ts-ignore: decorator
@inline
function shiftOf(place: i32): i32 {
  return ((place & 3) + ((place >> 3) << 2)) << 2;
}

/** Where the words of a token's values begin. */
// @ts-ignore: decorator
@inline
function wordsOf(values: usize, width: i32, place: i32): usize {
  return values + usize(((place >> 2) & 1) * width) * 4;
}

export function storeValue(values: usize, width: i32, place: i32, row: usize): void {
  const shift = shiftOf(place);
  const nibble = i32x4.splat(15), others = i32x4.splat(~(15 << shift));
  let scales = values + usize(width) * 8 + usize(place) * 2;
  let at = wordsOf(values, width, place);
  for (let d = 0; d < width; d += BLOCK) {
    const count = min(BLOCK, width - d);
    const half = scaleOf(row, count);
    store<u16>(scales, half);
    scales += 32;
    const inverse = inverseOf(half);
    for (const end = row + usize(count) * 4; row < end; row += 16) {
      const q = i32x4.shl(v128.and(quantised(v128.load(row), inverse), nibble), shift);
      v128.store(at, v128.or(v128.and(v128.load(at), others), q));
      at += 16;
    }
  }
}

/** The scale of a block of `count` (a multiple of 4) numbers as bits of f16: the largest in magnitude is -8 times it. */
function scaleOf(row: usize, count: i32): u16 {
  let most = v128.load(row), least = most;
  for (let i: usize = 4; i < usize(count); i += 4) {
    const x = v128.load(row + i * 4);
    most = f32x4.max(most, x);
    least = f32x4.min(least, x);
  }
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  least = f32x4.min(least, v128.shuffle<i32>(least, least, 2, 3, 0, 1));
  least = f32x4.min(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  const extreme = v128.bitselect(most, least, f32x4.gt(most, f32x4.neg(least)));
  return u16(i32x4.extract_lane(toF16(f32x4.mul(extreme, f32x4.splat(-0.125))), 0));
}

// @ts-ignore: decorator
@inline
function scaleFrom(half: u16): f32 {
  return f32x4.extract_lane(f16Bits(i32x4.splat(i32(i16(half)))), 0);
}

function inverseOf(half: u16): v128 {
  const scale = scaleFrom(half);
  return f32x4.splat(scale == 0 ? 0 : 1 / scale);
}

// @ts-ignore: decorator
@inline
function quantised(x: v128, inverse: v128): v128 {
  const q = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x, inverse)));
  return i32x4.max_s(i32x4.min_s(q, i32x4.splat(7)), i32x4.splat(-8));
}

export function loadKey(keys: usize, width: i32, place: i32, out: usize): void {
  const scales = keys + keyWords(width) + usize(place) * 2;
  for (let d = 0; d < width; d++) {
    const word = load<i32>(keys + usize((d >> 3) * 16 + place) * 4);
    const q = (word << (28 - ((d & 7) << 2))) >> 28;
    store<f32>(out + usize(d) * 4, f32(q) * scaleFrom(load<u16>(scales + usize(d / BLOCK) * 32)));
  }
  hadamard(out, width, 1);
}

export function copyValue(from: usize, to: usize, width: i32, place: i32): void {
  const nibbles = i32x4.splat(15 << shiftOf(place));
  const words = wordsOf(0, width, place);
  for (let at = words; at < words + usize(width) * 4; at += 16) {
    v128.store(to + at, v128.bitselect(v128.load(from + at), v128.load(to + at), nibbles));
  }
  for (let block = 0; block < blocksOf(width); block++) {
    const at = usize(width * 8 + block * 32 + place * 2);
    store<u16>(to + at, load<u16>(from + at));
  }
}

/** The 16 scales of a block as f32. */
export function widenScales(halves: usize, out: usize): void {
  v128.store(out, f16Bits(v128.load16x4_s(halves)));
  v128.store(out, f16Bits(v128.load16x4_s(halves, 8)), 16);
  v128.store(out, f16Bits(v128.load16x4_s(halves, 16)), 32);
  v128.store(out, f16Bits(v128.load16x4_s(halves, 24)), 48);
}

/** Nibbles that stand `left` bits below the top of a word, times their scales. */
// @ts-ignore: decorator
@inline
function numbers(words: v128, left: i32, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(words, left), 28)), scale);
}

/** Rotated, as they are stored. */
export function keysAsF32(keys: usize, width: i32, out: usize): void {
  const scales = keys + keyWords(width);
  for (let d = 0; d < width; d++) {
    const words = keys + (usize(d >> 3) << 6);
    const halves = scales + usize(d / BLOCK) * 32;
    const left = 28 - ((d & 7) << 2);
    v128.store(out, numbers(v128.load(words), left, f16Bits(v128.load16x4_s(halves))));
    v128.store(out, numbers(v128.load(words, 16), left, f16Bits(v128.load16x4_s(halves, 8))), 16);
    v128.store(out, numbers(v128.load(words, 32), left, f16Bits(v128.load16x4_s(halves, 16))), 32);
    v128.store(out, numbers(v128.load(words, 48), left, f16Bits(v128.load16x4_s(halves, 24))), 48);
    out += 64;
  }
}

/** In their own basis. */
export function ownKeysAsF32(keys: usize, width: i32, out: usize): void {
  keysAsF32(keys, width, out);
  hadamard(out, width, 16);
}

export function valuesAsF32(values: usize, width: i32, first: i32, last: i32, out: usize): void {
  for (let place = first; place < last; place++) {
    const words = wordsOf(values, width, place);
    const left = 28 - shiftOf(place);
    const scales = values + usize(width) * 8 + usize(place) * 2;
    const to = out + usize(place * width) * 4;
    for (let d = 0; d < width; d += 4) {
      const scale = f32x4.splat(scaleFrom(load<u16>(scales + usize(d / BLOCK) * 32)));
      v128.store(to + usize(d) * 4, numbers(v128.load(words + usize(d) * 4), left, scale));
    }
  }
}
