// The cache in 8 bits: value = scale * q, |q| <= 127, one scale for a token and a group of 32 dims (the last may be smaller);
// see kv-page. Keys i8 [D][16], then f32 scales [groups][16]; values i8 [16][Dv], then f32 scales [16][groups].

import { max4 } from "../vector/simd";

const GROUP = 32;
/** Bits of f32 from which on a magnitude does not fit: the largest of a group times what it is scaled by may be infinite. */
// @ts-ignore: decorator
@inline
export const RANGE: i32 = 0x7f7fff00;

// @ts-ignore: decorator
@inline
function groupsOf(width: i32): i32 {
  return (width + GROUP - 1) / GROUP;
}

/** `scratch` holds 32 bytes. */
export function storeKey(keys: usize, width: i32, place: i32, row: usize, scratch: usize): void {
  let scales = keys + usize(width) * 16 + usize(place) * 4;
  let at = keys + usize(place);
  for (let d = 0; d < width; d += GROUP) {
    const count = min(GROUP, width - d);
    store<f32>(scales, quantiseGroup(row + usize(d) * 4, count, scratch));
    scales += 64;
    for (let i = 0; i < count; i++) {
      store<u8>(at, load<u8>(scratch + usize(i)));
      at += 16;
    }
  }
}

export function storeValue(values: usize, width: i32, place: i32, row: usize): void {
  let scales = values + usize(width) * 16 + usize(place * groupsOf(width)) * 4;
  const out = values + usize(place) * width;
  for (let d = 0; d < width; d += GROUP) {
    store<f32>(scales, quantiseGroup(row + usize(d) * 4, min(GROUP, width - d), out + usize(d)));
    scales += 4;
  }
}

/** Quantises `count` (a multiple of 4) numbers to i8; returns the scale. */
function quantiseGroup(row: usize, count: i32, out: usize): f32 {
  let most = f32x4.splat(0);
  for (let i: usize = 0; i < usize(count); i += 4) most = f32x4.max(most, f32x4.abs(v128.load(row + i * 4)));
  const scale = max4(most) / 127;
  // The scale of a group with a NaN is NaN, so that all of it reads as NaN.
  const inverse = f32x4.splat(scale > 0 ? 1 / scale : 0);
  for (let i: usize = 0; i < usize(count); i += 4) {
    let q = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(row + i * 4), inverse)));
    q = i16x8.narrow_i32x4_s(q, q);
    v128.store32_lane(out + i, i8x16.narrow_i16x8_s(q, q), 0);
  }
  return scale;
}

export function loadKey(keys: usize, width: i32, place: i32, out: usize): void {
  const scales = keys + usize(width) * 16;
  for (let d = 0; d < width; d++) {
    const x = f32(load<i8>(keys + usize(d * 16 + place))) * load<f32>(scales + usize((d / GROUP) * 16 + place) * 4);
    store<f32>(out + usize(d) * 4, x);
  }
}

export function copyValue(from: usize, to: usize, width: i32, place: i32): void {
  const offset = usize(place * width);
  memory.copy(to + offset, from + offset, usize(width));
  const groups = groupsOf(width);
  const scales = usize(width * 16 + place * groups * 4);
  memory.copy(to + scales, from + scales, usize(groups) * 4);
}

export function keysAsF32(keys: usize, width: i32, out: usize): void {
  let scales = keys + usize(width) * 16;
  for (let d = 0; d < width; d += GROUP) {
    const a = v128.load(scales);
    const b = v128.load(scales, 16);
    const c = v128.load(scales, 32);
    const e = v128.load(scales, 48);
    scales += 64;
    const end = keys + usize(min(GROUP, width - d)) * 16;
    let to = out + usize(d) * 64;
    for (let from = keys; from < end; from += 16) {
      const bytes = v128.load(from);
      const low = i16x8.extend_low_i8x16_s(bytes);
      const high = i16x8.extend_high_i8x16_s(bytes);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), a));
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), b), 16);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), c), 32);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), e), 48);
      to += 64;
    }
    keys = end;
  }
}

export function valuesAsF32(values: usize, width: i32, first: i32, last: i32, out: usize): void {
  let scales = values + usize(width) * 16 + usize(first * groupsOf(width)) * 4;
  for (let place = first; place < last; place++) {
    const from = values + usize(place) * width;
    const to = out + usize(place) * width * 4;
    for (let d: usize = 0; d < usize(width); d += GROUP) {
      const scale = v128.load32_splat(scales);
      scales += 4;
      const end = min(d + GROUP, usize(width));
      let i = d;
      for (; i + 8 <= end; i += 8) {
        const eight = i16x8.extend_low_i8x16_s(v128.load64_zero(from + i));
        v128.store(to + i * 4, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(eight)), scale));
        v128.store(to + i * 4, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(eight)), scale), 16);
      }
      if (i < end) {
        const quad = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from + i)));
        v128.store(to + i * 4, f32x4.mul(f32x4.convert_i32x4_s(quad), scale));
      }
    }
  }
}
