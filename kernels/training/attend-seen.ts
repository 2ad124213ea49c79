// Which keys of a page the rows of a tile see, and the biases of their distances. A row may see a page through several
// ranges, each with its own distances.
import { BIAS_LINEAR, BLOCK_SLOTS } from "../abi";
import { BIAS, BIASES, GROUP, PLACES, RANGES, REACH, SPANS } from "./attend-record";

/** A bit for each of the page's keys (from `slot` on) in [low, high). */
// @ts-ignore: decorator
@inline
function bitsBetween(low: i32, high: i32, slot: i32): u32 {
  const from = min(max(low - slot, 0), 16);
  const to = min(max(high - slot, 0), 16);
  return from < to ? ((u32(1) << to) - 1) & ~((u32(1) << from) - 1) : 0;
}

/** Four lanes of ones or zeros: those of the keys `first` to `first + 3`. */
// @ts-ignore: decorator
@inline
export function lanesOf(bits: v128, first: i32): v128 {
  const lanes = i32x4.shl(i32x4(1, 2, 4, 8), first);
  return i32x4.eq(v128.and(bits, lanes), lanes);
}

/** Writes a word of bits for each of the rows [from, end) of the tile that begins with row `first`. */
export function seenBits(call: usize, first: i32, from: i32, end: i32, slot: i32, bits: usize): void {
  const group = load<i32>(call, GROUP);
  const ranges = load<i32>(call, RANGES);
  let row = from;
  while (row < end) {
    const t = (first + row) / group;
    const next = min(end, (t + 1) * group - first);
    let span = load<usize>(call, SPANS) + usize(t * ranges) * 8;
    let seen: u32 = 0;
    for (let range = 0; range < ranges; range++) {
      seen |= bitsBetween(load<i32>(span), load<i32>(span, 4), slot);
      span += 8;
    }
    for (; row < next; row++) store<u32>(bits + usize(row) * 4, seen);
  }
}

/** Scores of the rows [from, end) become -inf where their bits are none; all those of the tile's other rows. */
export function maskPage(bits: usize, from: i32, end: i32, rows: i32, scores: usize, stride: usize): void {
  const none = f32x4.splat(-Infinity);
  for (let row = 0; row < rows; row++) {
    const seen = row < from || row >= end ? i32x4.splat(0) : v128.load32_splat(bits + usize(row) * 4);
    const at = scores + usize(row) * stride;
    v128.store(at, v128.bitselect(v128.load(at), none, lanesOf(seen, 0)));
    v128.store(at, v128.bitselect(v128.load(at, 16), none, lanesOf(seen, 4)), 16);
    v128.store(at, v128.bitselect(v128.load(at, 32), none, lanesOf(seen, 8)), 32);
    v128.store(at, v128.bitselect(v128.load(at, 48), none, lanesOf(seen, 12)), 48);
  }
}

/** Where the entries of a page begin in a head's row of biases (see attention-adjust.ts). */
// @ts-ignore: decorator
@inline
function entryOf(reach: i32, distance: i32): usize {
  return usize(reach + BLOCK_SLOTS - min(max(distance, -reach), reach + BLOCK_SLOTS)) * 4;
}

/**
 * Adds the biases of their distances to the scores of a page that the rows [from, end) see, `scores` being the tile's;
 * or, with `gradients` (rows as those of the biases, from this head's on), adds the scores to those.
 */
export function biasPage(
  call: usize, head: i32, first: i32, from: i32, end: i32, slot: i32, scores: usize, stride: usize, gradients: usize,
): void {
  const group = load<i32>(call, GROUP);
  const ranges = load<i32>(call, RANGES);
  const reach = load<i32>(call, REACH);
  const rowBytes = usize(2 * (reach + BLOCK_SLOTS)) * 4;
  const biases = load<usize>(call, BIASES);
  for (let row = from; row < end; row++) {
    const t = (first + row) / group;
    const g = first + row - t * group;
    const at = scores + usize(row) * stride;
    for (let range = 0; range < ranges; range++) {
      const entry = usize(t * ranges + range);
      const span = load<usize>(call, SPANS) + entry * 8;
      const seen = bitsBetween(load<i32>(span), load<i32>(span, 4), slot);
      if (seen == 0) continue;
      const distance = load<i32>(load<usize>(call, PLACES) + entry * 4) - slot;
      const h = usize(head * group + g);
      if (gradients != 0) addEntries(gradients + usize(g) * rowBytes + entryOf(reach, distance), at, seen);
      else if (load<i32>(call, BIAS) == BIAS_LINEAR) addSlope(at, seen, load<f32>(biases + h * 4), distance);
      else addEntries(at, biases + h * rowBytes + entryOf(reach, distance), seen);
    }
  }
}

/** to += from where seen. */
function addEntries(to: usize, from: usize, seen: u32): void {
  const bits = i32x4.splat(seen);
  for (let i: usize = 0; i < 64; i += 16) {
    const x = v128.and(v128.load(from + i), lanesOf(bits, i32(i >> 2)));
    v128.store(to + i, f32x4.add(v128.load(to + i), x));
  }
}

/** Subtracts slope * distance where seen; the distance of the page's first key is given and falls by one for each. */
function addSlope(at: usize, seen: u32, slope: f32, distance: i32): void {
  const bits = i32x4.splat(seen);
  const slopes = f32x4.splat(slope);
  // Integers, for positions are beyond what f32 can count.
  let distances = i32x4.sub(i32x4.splat(distance), i32x4(0, 1, 2, 3));
  for (let i: usize = 0; i < 64; i += 16) {
    const x = v128.and(f32x4.mul(slopes, f32x4.convert_i32x4_s(distances)), lanesOf(bits, i32(i >> 2)));
    v128.store(at + i, f32x4.sub(v128.load(at + i), x));
    distances = i32x4.sub(distances, i32x4.splat(4));
  }
}
