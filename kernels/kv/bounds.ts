// Bounds of a page's keys (Quest, 2406.10774): the largest and the smallest number that each element takes in it, as half floats
// rounded outwards. A block has the bounds of 16 pages for each member: the largest, u16 [D][16 pages], then the smallest.
import { BOUNDED_RANGE, KV_F16, MAX_HEAD_WIDTH, MISFIT_RANGE } from "../abi";
import { HALF_UNIT } from "./f16";
import { ownKeysAsF32 } from "./kv-page";
import { f16Bits, toF16 } from "../vector/simd";

/** The largest finite half float. */
const LARGEST: f32 = 65504;

/**
 * Bounds the first `tokens` keys of a page, whatever is in the places after them. `bounds`: where the block has those of this
 * page's member and place. `scratch`: [MAX_HEAD_WIDTH][18] numbers. MISFIT_RANGE for keys that cannot be bounded, else 0.
 */
export function boundPage(keys: usize, type: i32, width: i32, tokens: i32, bounds: usize, scratch: usize): i32 {
  const largest = scratch + usize(MAX_HEAD_WIDTH) * 64;
  const smallest = largest + usize(width) * 4;
  findExtremes(ownKeysAsF32(keys, type, width, scratch), width, tokens, largest, smallest);
  const unit = f32x4.splat(type == KV_F16 ? HALF_UNIT : f32(1));
  let most = f32x4.splat(0);
  for (let d: usize = 0; d < usize(width) * 4; d += 4 * 4) {
    const high = f32x4.mul(v128.load(largest + d), unit), low = f32x4.mul(v128.load(smallest + d), unit);
    storeColumn(bounds + d * 8, ceilToF16(high));
    storeColumn(bounds + usize(width) * 32 + d * 8, negated(ceilToF16(f32x4.neg(low))));
    most = f32x4.max(most, f32x4.max(f32x4.abs(high), f32x4.abs(low)));
  }
  const beyond = type != KV_F16 && v128.any_true(f32x4.ge(most, f32x4.splat(f32(BOUNDED_RANGE))));
  return beyond ? MISFIT_RANGE : 0;
}

/** Of the first `tokens` of 16 numbers for each element. */
function findExtremes(keys: usize, width: i32, tokens: i32, largest: usize, smallest: usize): void {
  const end = i32x4.splat(tokens);
  const seen0 = i32x4.lt_s(i32x4(0, 1, 2, 3), end), seen1 = i32x4.lt_s(i32x4(4, 5, 6, 7), end);
  const seen2 = i32x4.lt_s(i32x4(8, 9, 10, 11), end), seen3 = i32x4.lt_s(i32x4(12, 13, 14, 15), end);
  for (const last = keys + usize(width) * 64; keys < last; keys += 64) {
    const first = v128.load32_splat(keys);
    const a = v128.bitselect(v128.load(keys), first, seen0), b = v128.bitselect(v128.load(keys, 16), first, seen1);
    const c = v128.bitselect(v128.load(keys, 32), first, seen2), e = v128.bitselect(v128.load(keys, 48), first, seen3);
    let high = f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, e));
    let low = f32x4.pmin(f32x4.pmin(a, b), f32x4.pmin(c, e));
    high = f32x4.pmax(high, v128.shuffle<i32>(high, high, 2, 3, 0, 1));
    low = f32x4.pmin(low, v128.shuffle<i32>(low, low, 2, 3, 0, 1));
    v128.store32_lane(largest, f32x4.pmax(high, v128.shuffle<i32>(high, high, 1, 0, 3, 2)), 0);
    v128.store32_lane(smallest, f32x4.pmin(low, v128.shuffle<i32>(low, low, 1, 0, 3, 2)), 0);
    largest += 4;
    smallest += 4;
  }
}

/** The smallest finite half floats that are not below the numbers, in the low 16 bits of each lane; LARGEST for what is beyond. */
// @ts-ignore: decorator
@inline
function ceilToF16(x: v128): v128 {
  const nearest = toF16(x);
  const back = f16Bits(i32x4.shr_s(i32x4.shl(nearest, 16), 16));
  const below = f32x4.lt(back, f32x4.pmin(x, f32x4.splat(LARGEST)));
  // Halves of both signs as integers in their order, of which -1 in `below` takes one away.
  const size = v128.and(nearest, i32x4.splat(0x7fff));
  const ordered = v128.bitselect(size, i32x4.neg(size), i32x4.eq(size, nearest));
  const next = i32x4.sub(ordered, below);
  return v128.bitselect(negated(i32x4.neg(next)), next, i32x4.lt_s(next, i32x4.splat(0)));
}

// @ts-ignore: decorator
@inline
function negated(halves: v128): v128 {
  return v128.xor(halves, i32x4.splat(0x8000));
}

/** Four successive elements' halves of one page. */
// @ts-ignore: decorator
@inline
function storeColumn(at: usize, halves: v128): void {
  v128.store16_lane(at, halves, 0);
  v128.store16_lane(at, halves, 2, 32);
  v128.store16_lane(at, halves, 4, 64);
  v128.store16_lane(at, halves, 6, 96);
}
