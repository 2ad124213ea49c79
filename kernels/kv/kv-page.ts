// How one member (a KV head of a layer) lies in a page of 16 tokens: keys [D][16], whose lanes are tokens, then values
// [16][Dv], whose lanes are dims. Widths are multiples of 4. Each cache type is a file; this one picks it.
// src/quant/kv/ has the same sizes, and the definition of what is stored.
import { KV_F16, KV_F32, KV_Q4, MISFIT_NUMBER, MISFIT_RANGE } from "../abi";
import * as half from "./f16";
import * as single from "./f32";
import * as nibbles from "./q4";
import * as bytes from "./q8";

const INFINITE: i32 = 0x7f800000;

/** Bits of f32 from which on a magnitude does not fit. */
function rangeOf(type: i32): i32 {
  if (type == KV_F32) return single.RANGE;
  if (type == KV_F16 || type == KV_Q4) return half.RANGE;
  return bytes.RANGE;
}

/** How the worst of `width` numbers does not fit into a cache of this type: MISFIT_RANGE, MISFIT_NUMBER, or 0. */
export function misfitOf(row: usize, type: i32, width: i32): i32 {
  // Magnitudes compared as integers: in the same order, and NaN is above all numbers.
  let most = i32x4.splat(0);
  for (const end = row + usize(width) * 4; row < end; row += 16) most = i32x4.max_s(most, f32x4.abs(v128.load(row)));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  const bits = i32x4.extract_lane(most, 0);
  if (bits >= INFINITE) return MISFIT_NUMBER;
  return bits >= rangeOf(type) ? MISFIT_RANGE : 0;
}

/** Writes one token's key. `scratch` holds width * 4 bytes. */
export function storeKey(keys: usize, type: i32, width: i32, place: i32, row: usize, scratch: usize): void {
  if (type == KV_F32) single.storeKey(keys, width, place, row);
  else if (type == KV_F16) half.storeKey(keys, width, place, row, scratch);
  else if (type == KV_Q4) nibbles.storeKey(keys, width, place, row, scratch);
  else bytes.storeKey(keys, width, place, row, scratch);
}

/** Writes one token's value. */
export function storeValue(values: usize, type: i32, width: i32, place: i32, row: usize): void {
  if (type == KV_F32) single.storeValue(values, width, place, row);
  else if (type == KV_F16) half.storeValue(values, width, place, row);
  else if (type == KV_Q4) nibbles.storeValue(values, width, place, row);
  else bytes.storeValue(values, width, place, row);
}

/** Reads one token's key as f32, in its own basis. */
export function loadKey(keys: usize, type: i32, width: i32, place: i32, out: usize): void {
  if (type == KV_F32) single.loadKey(keys, width, place, out);
  else if (type == KV_F16) half.loadKey(keys, width, place, out);
  else if (type == KV_Q4) nibbles.loadKey(keys, width, place, out);
  else bytes.loadKey(keys, width, place, out);
}

/** Copies one token's value from one page to another of the same layout. */
export function copyValue(from: usize, to: usize, type: i32, width: i32, place: i32): void {
  if (type == KV_F32) single.copyValue(from, to, width, place);
  else if (type == KV_F16) half.copyValue(from, to, width, place);
  else if (type == KV_Q4) nibbles.copyValue(from, to, width, place);
  else bytes.copyValue(from, to, width, place);
}

/**
 * All 16 keys as f32 [D][16]: the page itself when it is f32, else `out`. Half floats come out divided by HALF_UNIT. Not of pages
 * of 4 bits, which attention reads as they are (attention-nibbles.ts).
 */
export function keysAsF32(keys: usize, type: i32, width: i32, out: usize): usize {
  if (type == KV_F32) return keys;
  if (type == KV_F16) half.keysAsF32(keys, width, out);
  else bytes.keysAsF32(keys, width, out);
  return out;
}

/** The same, of every type; keys of 4 bits in their own basis, not rotated. */
export function ownKeysAsF32(keys: usize, type: i32, width: i32, out: usize): usize {
  if (type != KV_Q4) return keysAsF32(keys, type, width, out);
  nibbles.ownKeysAsF32(keys, width, out);
  return out;
}

/**
 * The values of places [first, last) as f32 rows: the page itself when it is f32, else in `out`, at the same places. Half
 * floats come out divided by HALF_UNIT. Not of pages of 4 bits.
 */
export function valuesAsF32(values: usize, type: i32, width: i32, first: i32, last: i32, out: usize): usize {
  if (type == KV_F32) return values;
  if (type == KV_F16) half.valuesAsF32(values, width, first, last, out);
  else bytes.valuesAsF32(values, width, first, last, out);
  return out;
}
