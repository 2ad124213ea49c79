// A block of a tile over pages of 4 bits, which are read as they are, by products of integers: queries, and weights times the
// scales of their values, are rounded to 16 bits, the largest of a row (and of a block of slots and dims) being 32,767. So
// each number is off by at most 2^-16 of that largest one. A token's key scales go into its scores, its value scales into its
// weights. Slots outside of [low, high) have weights of zero, and no scale in a page is an infinity or NaN.
import { BLOCK_SLOTS, WIDE_ADD_NIBBLES, WIDE_SCORE_NIBBLES, WIDE_WEIGH_NIBBLES } from "../abi";
import { addNibbles2, PAGE_BYTES, ROW_BYTES, scoreNibbles2 } from "./attention-nibbles-tile";
import { SCORE_STRIDE } from "./attention-tile";
import { blocksOf, keyWords, valuesAsF32, widenScales } from "../kv/q4";
import { madd } from "../vector/simd";

const LARGEST: f32 = 32767;
/** 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits. */
const ROUND: f32 = 12582912;
const INFINITE: i32 = 0x7f800000;
/** Dims that share a scale. */
const BLOCK: i32 = 32;

// The memory that addNibbles works with.
const LANES: usize = 0; // f32 [4][16]
const SCALES: usize = 256; // f32 [slots]
const UNITS: usize = SCALES + BLOCK_SLOTS * 4; // f32 [rows]
const PACKED: usize = UNITS + 256;

/** Rows that a product takes; a tile's are rounded up to a multiple of four (attention-scratch.ts). */
// @ts-ignore: decorator
@inline
function stepOf(wide: bool): i32 {
  return wide ? 4 : 2;
}

/** Bytes of a row of packed queries: pairs of the dims d and d + 4, for each eight dims 0 to 3. */
// @ts-ignore: decorator
@inline
function packedBytes(width: i32): usize {
  return usize((width + 7) >> 3) << 4;
}

/**
 * Packs f32 queries [rows][D] where they lie, `all` rows (those from `rows` on become zeros), and writes their units. One that
 * is not finite has NaN as its unit. `spare` is memory for a row.
 */
export function packNibbles(q: usize, rows: i32, all: i32, width: i32, units: usize, spare: usize): void {
  const bytes = usize(width) * 4;
  const packed = packedBytes(width);
  const mask = i32x4.splat(0xffff), round = f32x4.splat(ROUND);
  v128.store(spare + bytes, i32x4.splat(0));
  let from = q, out = q;
  for (let row = 0; row < rows; row++) {
    memory.copy(spare, from, bytes);
    from += bytes;
    let most = i32x4.splat(0);
    for (let at = spare; at < spare + bytes; at += 16) most = i32x4.max_s(most, f32x4.abs(v128.load(at)));
    const largest = largestOf(most);
    store<f32>(units + usize(row) * 4, reinterpret<i32>(largest) < INFINITE ? largest / LARGEST : NaN);
    const inverse = f32x4.splat(inverseOf(largest));
    let at = spare;
    for (const end = out + packed; out < end; out += 16) {
      const low = madd(v128.load(at), inverse, round), high = madd(v128.load(at, 16), inverse, round);
      v128.store(out, v128.or(v128.and(low, mask), i32x4.shl(high, 16)));
      at += 32;
    }
  }
  memory.fill(out, 0, usize(all - rows) * packed);
  memory.fill(units + usize(rows) * 4, 0, usize(all - rows) * 4);
}

/** The largest of four numbers whose bits are compared, so that NaN is above all. */
function largestOf(most: v128): f32 {
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  return f32x4.extract_lane(most, 0);
}

/** What numbers up to `largest` are multiplied by to become integers; 0 where there is nothing to multiply. */
// @ts-ignore: decorator
@inline
function inverseOf(largest: f32): f32 {
  return largest > 0 ? LARGEST / largest : 0;
}

/** As scorePages in attention-block.ts; `q` and `units` as packNibbles leaves them. `scales` is memory for f32 [blocks][16]. */
export function scoreNibbles(
  wide: bool, q: usize, units: usize, rows: i32, width: i32, members: usize, pages: i32, scales: usize, scores: usize,
): void {
  const step = stepOf(wide);
  const stride = packedBytes(width);
  for (let page: usize = 0; page < usize(pages); page++) {
    const keys = load<usize>(members + page * 4);
    for (let block: usize = 0; block < usize(blocksOf(width)); block++) {
      widenScales(keys + keyWords(width) + block * 32, scales + block * 64);
    }
    let at = scores + page * 64;
    for (let row = 0; row < rows; row += step) {
      clear(at, step);
      const own = q + usize(row) * stride, unit = units + usize(row) * 4;
      if (wide) call_indirect<void>(WIDE_SCORE_NIBBLES, own, stride, keys, scales, unit, at);
      else scoreNibbles2(own, stride, keys, scales, unit, at);
      at += usize(step) * SCORE_STRIDE;
    }
  }
}

function clear(scores: usize, rows: i32): void {
  const zero = i32x4.splat(0);
  for (; rows > 0; rows--) {
    v128.store(scores, zero);
    v128.store(scores, zero, 16);
    v128.store(scores, zero, 32);
    v128.store(scores, zero, 48);
    scores += SCORE_STRIDE;
  }
}

/** As addPages in attention-block.ts, of whole pages. `work` is memory for a page as f32, 12 KB at least. */
export function addNibbles(
  wide: bool, sums: usize, rows: i32, width: i32, weights: usize, factors: usize, members: usize, keyBytes: usize,
  pages: i32, work: usize,
): void {
  const step = stepOf(wide);
  const columns = width & ~15;
  const scales = keyBytes + usize(width) * 8;
  const packed = work + PACKED, units = work + UNITS;
  for (let block = 0; block < columns; block += BLOCK) {
    for (let page: usize = 0; page < usize(pages); page++) {
      widenScales(load<usize>(members + page * 4) + scales + usize(block), work + SCALES + page * 64);
    }
    if (wide) call_indirect<void>(WIDE_WEIGH_NIBBLES, weights, rows, work + SCALES, pages, packed, units);
    else weighNibbles(weights, rows, work + SCALES, pages, packed, units);
    for (let d = block; d < min(block + BLOCK, columns); d += 16) {
      const offset = keyBytes + usize(d) * 4;
      for (let row: usize = 0; row < usize(rows); row += usize(step)) {
        const own = packed + row * ROW_BYTES, unit = units + row * 4;
        const stride = usize(width) * 4;
        if (wide) call_indirect<void>(WIDE_ADD_NIBBLES, work, own, unit, members, pages, offset, stride);
        else addNibbles2(work, own, unit, members, pages, offset, stride);
        const left = min(usize(step), usize(rows) - row);
        addLanes(sums + row * stride + usize(d) * 4, stride, factors + row * 4, work, left);
      }
    }
  }
  if (columns < width) addRest(sums, rows, width, columns, weights, factors, members, keyBytes, pages, work);
}

/** sums = sums * factor + lanes, 16 of each row. */
function addLanes(sums: usize, stride: usize, factors: usize, lanes: usize, rows: usize): void {
  for (; rows > 0; rows--) {
    const f = v128.load32_splat(factors);
    v128.store(sums, madd(v128.load(sums), f, v128.load(lanes)));
    v128.store(sums, madd(v128.load(sums, 16), f, v128.load(lanes, 16)), 16);
    v128.store(sums, madd(v128.load(sums, 32), f, v128.load(lanes, 32)), 32);
    v128.store(sums, madd(v128.load(sums, 48), f, v128.load(lanes, 48)), 48);
    sums += stride;
    factors += 4;
    lanes += 64;
  }
}

/**
 * Packs rows of weights, times the scales of the slots' values, in pairs of tokens as their nibbles are, and writes their
 * units; rows that round them up to a multiple of four become zeros. In neighbouring pairs of operations.
 */
export function weighNibbles(weights: usize, rows: i32, scales: usize, pages: i32, packed: usize, units: usize): void {
  const mask = i32x4.splat(0xffff | (rows >> 31)), round = f32x4.splat(ROUND);
  const bytes = usize(pages) * 64;
  for (let row: usize = 0; row < usize(rows); row++) {
    const from = weights + row * SCORE_STRIDE;
    let most0 = i32x4.splat(0), most1 = most0;
    for (let at: usize = 0; at < bytes; at += 32) {
      const w0 = v128.load(from + at), w1 = v128.load(from + at, 16);
      const s0 = v128.load(scales + at), s1 = v128.load(scales + at, 16);
      most0 = i32x4.max_s(most0, f32x4.abs(f32x4.mul(w0, s0)));
      most1 = i32x4.max_s(most1, f32x4.abs(f32x4.mul(w1, s1)));
    }
    let out = packed + row * ROW_BYTES;
    v128.store(out, most0);
    v128.store(out, most1, 16);
    const largest = largestOf(i32x4.max_s(v128.load(out), v128.load(out, 16)));
    store<f32>(units + row * 4, largest / LARGEST);
    const inverse = f32x4.splat(inverseOf(largest));
    for (let at: usize = 0; at < bytes; at += 64) {
      const w0 = v128.load(from + at), w1 = v128.load(from + at, 16);
      const w2 = v128.load(from + at, 32), w3 = v128.load(from + at, 48);
      const s0 = v128.load(scales + at), s1 = v128.load(scales + at, 16);
      const s2 = v128.load(scales + at, 32), s3 = v128.load(scales + at, 48);
      const i0 = madd(f32x4.mul(w0, s0), inverse, round), i1 = madd(f32x4.mul(w1, s1), inverse, round);
      const i2 = madd(f32x4.mul(w2, s2), inverse, round), i3 = madd(f32x4.mul(w3, s3), inverse, round);
      v128.store(out, v128.or(v128.and(i0, mask), i32x4.shl(i2, 16)));
      v128.store(out, v128.or(v128.and(i1, mask), i32x4.shl(i3, 16)), 16);
      out += PAGE_BYTES;
    }
  }
  const rest = usize(-rows & 3);
  memory.fill(packed + usize(rows) * ROW_BYTES, 0, rest * ROW_BYTES);
  memory.fill(units + usize(rows) * 4, 0, rest * 4);
}

/** The dims from `columns` on, fewer than 16, in f32: what is left of widths that are not multiples of 16. */
function addRest(
  sums: usize, rows: i32, width: i32, columns: i32, weights: usize, factors: usize, members: usize, keyBytes: usize,
  pages: i32, work: usize,
): void {
  const stride = usize(width) * 4;
  for (let page: usize = 0; page < usize(pages); page++) {
    valuesAsF32(load<usize>(members + page * 4) + keyBytes, width, 0, 16, work);
    for (let row: usize = 0; row < usize(rows); row++) {
      const factor = page == 0 ? v128.load32_splat(factors + row * 4) : f32x4.splat(1);
      const w = weights + row * SCORE_STRIDE + page * 64;
      for (let at = usize(columns) * 4; at < stride; at += 16) {
        let sum = f32x4.mul(v128.load(sums + row * stride + at), factor);
        for (let place: usize = 0; place < 16; place++) {
          sum = madd(v128.load32_splat(w + place * 4), v128.load(work + place * stride + at), sum);
        }
        v128.store(sums + row * stride + at, sum);
      }
    }
  }
}
