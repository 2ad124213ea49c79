// How one member (a KV head of a layer) lies in a page of 16 tokens; the only file that knows the layouts.
//
//        keys, lanes are tokens              values, lanes are dims
//  f32   f32 [D][16]                         f32 [16][Dv]
//  f16   u16 [D][16]                         u16 [16][Dv]
//  q8    i8 [D][16], f32 scales [groups][16]  i8 [16][Dv], f32 scales [16][groups]
//
// q8 has one scale per token and group of 32 dims (the last group may be smaller): value = scale * q, |q| <= 127. Widths
// are multiples of 4. A member's values follow its keys. src/backends/wasm/kv-layout.ts computes the same sizes.
import { KV_F16, KV_F32, KV_Q8, MISFIT_NUMBER, MISFIT_RANGE } from "./abi";
import { f16Bits, max4, toF16 } from "./simd";

/** What is missing from half floats that were widened by shifts alone: exponents are not rebased. */
// @ts-ignore: decorator
@inline
export const HALF_UNIT: f32 = 5.192296858534828e33;
/** Sign, exponent and mantissa of a sign-extended half float moved up by 13 bits. */
const HALF_MASK: i32 = 0x8fffe000;

// Bits of f32 from which on a number does not fit: 65520 rounds to a half that is infinite; the largest of a q8 group times
// what it is scaled by may; infinity.
const HALF_RANGE: i32 = 0x477ff000;
const Q8_RANGE: i32 = 0x7f7fff00;
const INFINITE: i32 = 0x7f800000;

/** How the worst of `width` numbers does not fit into a cache of this type: MISFIT_RANGE, MISFIT_NUMBER, or 0. */
export function misfitOf(row: usize, type: i32, width: i32): i32 {
  // Magnitudes compared as integers: in the same order, and NaN is above all numbers.
  let most = i32x4.splat(0);
  for (const end = row + usize(width) * 4; row < end; row += 16) most = i32x4.max_s(most, f32x4.abs(v128.load(row)));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  const bits = i32x4.extract_lane(most, 0);
  if (bits >= INFINITE) return MISFIT_NUMBER;
  return bits >= (type == KV_F16 ? HALF_RANGE : type == KV_Q8 ? Q8_RANGE : INFINITE) ? MISFIT_RANGE : 0;
}

/** Writes one token's key. `scratch` holds width * 4 bytes. */
export function storeKey(keys: usize, type: i32, width: i32, place: i32, row: usize, scratch: usize): void {
  if (type == KV_F32) {
    let at = keys + usize(place) * 4;
    for (let d = 0; d < width; d++) {
      store<f32>(at, load<f32>(row + (usize(d) << 2)));
      at += 64;
    }
  } else if (type == KV_F16) {
    storeValue(scratch, type, width, 0, row);
    let at = keys + usize(place) * 2;
    for (let d = 0; d < width; d++) {
      store<u16>(at, load<u16>(scratch + (usize(d) << 1)));
      at += 32;
    }
  } else {
    storeKeyQ8(keys, width, place, row, scratch);
  }
}

function storeKeyQ8(keys: usize, width: i32, place: i32, row: usize, scratch: usize): void {
  let scales = keys + usize(width) * 16 + usize(place) * 4;
  let at = keys + usize(place);
  for (let d = 0; d < width; d += 32) {
    const count = min(32, width - d);
    store<f32>(scales, quantiseGroup(row + usize(d) * 4, count, scratch));
    scales += 64;
    for (let i = 0; i < count; i++) {
      store<u8>(at, load<u8>(scratch + usize(i)));
      at += 16;
    }
  }
}

/** Writes one token's value. */
export function storeValue(values: usize, type: i32, width: i32, place: i32, row: usize): void {
  if (type == KV_F32) {
    memory.copy(values + usize(place) * width * 4, row, usize(width) * 4);
  } else if (type == KV_F16) {
    const out = values + usize(place) * width * 2;
    for (let d: usize = 0; d < usize(width); d += 4) {
      const half = toF16(v128.load(row + d * 4));
      v128.store64_lane(out + d * 2, i16x8.narrow_i32x4_u(half, half), 0);
    }
  } else {
    const groups = (width + 31) >> 5;
    let scales = values + usize(width) * 16 + usize(place * groups) * 4;
    const out = values + usize(place) * width;
    for (let d = 0; d < width; d += 32) {
      store<f32>(scales, quantiseGroup(row + usize(d) * 4, min(32, width - d), out + usize(d)));
      scales += 4;
    }
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

/** Reads one token's key as f32. */
export function loadKey(keys: usize, type: i32, width: i32, place: i32, out: usize): void {
  for (let d = 0; d < width; d++) {
    const at = usize(d * 16 + place);
    let x: f32;
    if (type == KV_F32) x = load<f32>(keys + at * 4);
    else if (type == KV_F16) x = f32x4.extract_lane(f16Bits(i32x4.splat(load<i16>(keys + at * 2))), 0);
    else x = f32(load<i8>(keys + at)) * load<f32>(keys + usize(width) * 16 + usize((d >> 5) * 16 + place) * 4);
    store<f32>(out + usize(d) * 4, x);
  }
}

/** Copies one token's value from one page to another of the same layout. */
export function copyValue(from: usize, to: usize, type: i32, width: i32, place: i32): void {
  const size = type == KV_F32 ? 4 : type == KV_F16 ? 2 : 1;
  const offset = usize(place * width * size);
  memory.copy(to + offset, from + offset, usize(width * size));
  if (size > 1) return;
  const groups = (width + 31) >> 5;
  const scales = usize(width * 16 + place * groups * 4);
  memory.copy(to + scales, from + scales, usize(groups) * 4);
}

/** All 16 keys as f32 [D][16]: the page itself when it is f32, else `out`. Half floats come out divided by HALF_UNIT. */
export function keysAsF32(keys: usize, type: i32, width: i32, out: usize): usize {
  if (type == KV_F32) return keys;
  if (type == KV_F16) {
    halvesToF32(keys, out, width * 16);
    return out;
  }
  let scales = keys + usize(width) * 16;
  for (let d = 0; d < width; d += 32) {
    const a = v128.load(scales);
    const b = v128.load(scales, 16);
    const c = v128.load(scales, 32);
    const e = v128.load(scales, 48);
    scales += 64;
    const end = keys + usize(min(32, width - d)) * 16;
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
  return out;
}

/**
 * The values of places [first, last) as f32 rows: the page itself when it is f32, else in `out`, at the same places. Half
 * floats come out divided by HALF_UNIT.
 */
export function valuesAsF32(values: usize, type: i32, width: i32, first: i32, last: i32, out: usize): usize {
  if (type == KV_F32) return values;
  if (type == KV_F16) {
    const offset = usize(first) * width;
    halvesToF32(values + offset * 2, out + offset * 4, (last - first) * width);
    return out;
  }
  let scales = values + usize(width) * 16 + usize(first * ((width + 31) >> 5)) * 4;
  for (let place = first; place < last; place++) {
    const from = values + usize(place) * width;
    const to = out + usize(place) * width * 4;
    for (let d: usize = 0; d < usize(width); d += 32) {
      const scale = v128.load32_splat(scales);
      scales += 4;
      const end = min(d + 32, usize(width));
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
  return out;
}

/**
 * `count` (a multiple of 4) half floats to f32, divided by HALF_UNIT: bits moved into place. Written in pairs of vectors,
 * with a mask that is not a constant, for engines that join pairs (see attention-wide.ts).
 */
function halvesToF32(from: usize, out: usize, count: i32): void {
  const end = from + usize(count) * 2;
  const mask = i32x4.splat(HALF_MASK | (count >> 31));
  for (; from + 16 <= end; from += 16) {
    const eight = v128.load(from);
    v128.store(out, v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(eight), 13), mask));
    v128.store(out, v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(eight), 13), mask), 16);
    out += 32;
  }
  if (from < end) v128.store(out, v128.and(i32x4.shl(v128.load16x4_s(from), 13), mask));
}
