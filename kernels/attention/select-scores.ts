// Bounds of scores (Quest, 2406.10774): the largest score that a query can have with any key within a page's bounds is the sum over
// elements of max(q * largest, q * smallest), which is the product of [max(q, 0), min(q, 0)] and the block's [largest, smallest].
// So blocks of bounds are scored by the products of attention, as pages of keys of twice the width, 16 pages at once; then
// scores are capped, and get the largest bias of each page's distances.
//
// Argument: 0 record (select-record.ts). An item is a piece of one head's pages.
import {
  ADJUSTED, BIAS, BIASES, GROUP, ITEMS, PART_LIST, REACH, SCALE, SCRATCH, SOFTCAP, WIDE, WIDTH,
} from "./attention-record";
import { capScores } from "./attention-adjust";
import { scorePages } from "./attention-block";
import { readsHalves, scoreFew } from "./attention-few";
import { QUERY_UNIT } from "./attention-queries";
import { fetchPages } from "./attention-range";
import { roundUp } from "./attention-scratch";
import { SCORE_STRIDE } from "./attention-tile";
import {
  BOUNDS_MEMBER, BOUNDS_MEMBER_BYTES, BOUNDS_TABLE, CANDIDATES, END_ITEM, FIRST_BLOCK, FIRST_ITEM, FIRST_PAGE, LANE, PART_BYTES,
  PIECE_QUADS, PIECES, PLACE, QUAD_PAGES, QUERY, SCORE_BYTES, SCORES,
} from "./select-record";
import { BIAS_LINEAR, BIAS_TABLE, BLOCK_SLOTS, COUNTER, KV_F16, MAX_HEAD_WIDTH, SCRATCH_BYTES } from "../abi";
import { HALF_UNIT } from "../kv/f16";
import { headOf } from "../kv/slice";
import { SLICE_BYTES } from "../kv/slice-record";
import { max4, madd } from "../vector/simd";

/** Query heads that are scored together: as many as read half floats where they lie. */
// @ts-ignore: decorator
@inline
export const TILE: i32 = 16;

/** What scores of packed queries are to be multiplied by. */
// @ts-ignore: decorator
@inline
export const SCORE_UNIT: f32 = HALF_UNIT / QUERY_UNIT;

// A thread's scratch memory: queries [16][2 * 512], a block as f32 [2 * 512][16], addresses of four blocks, what was fetched.
const PAGE: usize = usize(TILE) * 2 * MAX_HEAD_WIDTH * 4;
const MEMBERS: usize = PAGE + 2 * MAX_HEAD_WIDTH * 64;
const FETCHED: usize = MEMBERS + 16;

export function selectScores(args: usize, thread: i32, threads: i32): void {
  if (FIRST_ITEM != SLICE_BYTES) ERROR("A part's own words do not begin where those of its slice end.");
  if (FETCHED + 4 > usize(SCRATCH_BYTES)) ERROR("The scratch of bounds is larger than SCRATCH_BYTES.");
  const call = load<usize>(args);
  const scratch = load<usize>(call, SCRATCH) + usize(thread) * SCRATCH_BYTES;
  const items = load<i32>(call, ITEMS);
  let part = load<usize>(call, PART_LIST);
  for (;;) {
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) return;
    // The items that a thread draws ascend, and so do those of the parts.
    while (item >= load<i32>(part, END_ITEM)) part += PART_BYTES;
    const index = item - load<i32>(part, FIRST_ITEM), pieces = load<i32>(part, PIECES);
    scorePiece(call, part, index / pieces, index % pieces, scratch);
  }
}

function scorePiece(call: usize, part: usize, head: i32, piece: i32, scratch: usize): void {
  const group = load<i32>(call, GROUP), width = load<i32>(call, WIDTH);
  const wide = load<i32>(call, WIDE) != 0;
  const end = load<i32>(part, LANE) + load<i32>(part, CANDIDATES);
  const last = min((piece + 1) * PIECE_QUADS, (end + QUAD_PAGES - 1) / QUAD_PAGES);
  const quadBytes = usize(roundUp(group)) * SCORE_STRIDE;
  const member = load<usize>(part, BOUNDS_MEMBER) + usize(head) * load<usize>(part, BOUNDS_MEMBER_BYTES);
  const blocks = load<usize>(part, BOUNDS_TABLE) + usize(load<i32>(part, FIRST_BLOCK)) * 4;
  const first = headOf(part, head) * group;
  const scores = load<usize>(part, SCORES) + usize(head) * load<usize>(part, SCORE_BYTES);
  const q = scratch, members = scratch + MEMBERS;
  for (let g = 0; g < group; g += TILE) {
    const rows = min(group - g, TILE);
    packSplit(call, load<usize>(part, QUERY) + usize((first + g) * width) * 4, rows, q);
    for (let quad = piece * PIECE_QUADS; quad < last; quad++) {
      const count = min(4, ((end + 15) >> 4) - quad * 4);
      for (let i: usize = 0; i < usize(count); i++) {
        store<usize>(members + i * 4, load<usize>(blocks + usize(quad) * 16 + i * 4) + member);
      }
      const at = scores + usize(quad) * quadBytes + usize(g) * SCORE_STRIDE;
      if (g == 0) fetchPages(members, count, usize(width) * 64, scratch + FETCHED);
      if (readsHalves(wide, rows, KV_F16)) scoreFew(wide, q, rows, width * 2, members, count, at);
      else scorePages(false, q, rows, width * 2, members, count, KV_F16, scratch + PAGE, at);
      if (load<i32>(call, ADJUSTED) != 0) adjustQuad(call, part, first + g, rows, quad, at);
      maskQuad(at, rows, load<i32>(part, LANE) - quad * QUAD_PAGES, end - quad * QUAD_PAGES);
    }
  }
}

/**
 * Queries, scaled: what is positive of each, then what is negative; zeros in the rows that fill up the tile. One with an infinity
 * becomes NaN.
 */
function packSplit(call: usize, query: usize, rows: i32, out: usize): void {
  const bytes = usize(load<i32>(call, WIDTH)) * 4;
  const scale = f32x4.splat(load<f32>(call, SCALE) * QUERY_UNIT);
  const zero = f32x4.splat(0);
  for (let row = 0; row < rows; row++) {
    let most = i32x4.splat(0);
    for (let d: usize = 0; d < bytes; d += 16) {
      const x = f32x4.mul(v128.load(query + d), scale);
      most = i32x4.max_s(most, f32x4.abs(x));
      v128.store(out + d, f32x4.max(x, zero));
      v128.store(out + bytes + d, f32x4.min(x, zero));
    }
    if (v128.any_true(i32x4.eq(most, f32x4.splat(Infinity)))) {
      for (let d: usize = 0; d < bytes; d += 16) v128.store(out + d, f32x4.splat(NaN));
    }
    query += bytes;
    out += 2 * bytes;
  }
  memory.fill(out, 0, usize(roundUp(rows) - rows) * 2 * bytes);
}

/** Makes the scores of a quad's pages true ones, capped, with the largest bias of each page's distances added. */
function adjustQuad(call: usize, part: usize, head: i32, rows: i32, quad: i32, scores: usize): void {
  const cap = load<f32>(call, SOFTCAP);
  let unit: f32 = SCORE_UNIT;
  if (cap > 0) {
    capScores(scores, scores + usize(rows) * SCORE_STRIDE, unit, cap);
    unit = 1;
  }
  const kind = load<i32>(call, BIAS);
  const biases = load<usize>(call, BIASES);
  const reach = load<i32>(call, REACH);
  const page = load<i32>(part, FIRST_PAGE) - load<i32>(part, LANE) + quad * QUAD_PAGES;
  // Of the first page's first slot.
  const distance = load<i32>(part, PLACE) - page * 16;
  for (let row: usize = 0; row < usize(rows); row++) {
    const h = usize(head) + row;
    const at = scores + row * SCORE_STRIDE;
    if (kind == BIAS_LINEAR) addLargestSlope(at, unit, load<f32>(biases + h * 4), distance);
    else if (kind == BIAS_TABLE) addLargestOfRow(at, unit, biases + h * usize(2 * (reach + BLOCK_SLOTS)) * 4, reach, distance);
  }
}

/** Distances fall by 16 from page to page, and by 15 within one: where the slope is positive, its last has the largest bias. */
function addLargestSlope(at: usize, unit: f32, slope: f32, distance: i32): void {
  const units = f32x4.splat(unit), slopes = f32x4.splat(-slope);
  let distances = i32x4.sub(i32x4.splat(distance - (slope >= 0 ? 15 : 0)), i32x4(0, 16, 32, 48));
  for (const end = at + SCORE_STRIDE; at < end; at += 16) {
    v128.store(at, madd(v128.load(at), units, f32x4.mul(slopes, f32x4.convert_i32x4_s(distances))));
    distances = i32x4.sub(distances, i32x4.splat(64));
  }
}

/** `biases`: the head's row, see attention-adjust.ts. */
function addLargestOfRow(at: usize, unit: f32, biases: usize, reach: i32, distance: i32): void {
  for (const end = at + SCORE_STRIDE; at < end; at += 4) {
    const start = reach + BLOCK_SLOTS - min(max(distance, -reach), reach + BLOCK_SLOTS);
    const row = biases + usize(start) * 4;
    const two = f32x4.max(v128.load(row), v128.load(row, 16));
    const most = max4(f32x4.max(two, f32x4.max(v128.load(row, 32), v128.load(row, 48))));
    store<f32>(at, load<f32>(at) * unit + most);
    distance -= 16;
  }
}

/** Scores of pages outside of [low, high), counted within the quad, become -inf. */
function maskQuad(at: usize, rows: i32, low: i32, high: i32): void {
  if (low <= 0 && high >= QUAD_PAGES) return;
  const none = f32x4.splat(-Infinity);
  const start = i32x4.splat(low), end = i32x4.splat(high);
  for (const last = at + usize(rows) * SCORE_STRIDE; at < last; at += SCORE_STRIDE) {
    let pages = i32x4(0, 1, 2, 3);
    for (let i: usize = 0; i < SCORE_STRIDE; i += 16) {
      const seen = v128.and(i32x4.ge_s(pages, start), i32x4.lt_s(pages, end));
      v128.store(at + i, v128.bitselect(v128.load(at + i), none, seen));
      pages = i32x4.add(pages, i32x4.splat(4));
    }
  }
}
