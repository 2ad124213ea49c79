// Exact attention over pages with online softmax (FlashAttention; Dao et al. 2022), for decode, prefill and any policy.
//
// A row is one query head of one token: row = t * G + g of a KV head. An item is a tile of up to 64 rows x a KV head x,
// where one sequence alone would not keep all threads busy, a chunk of a range's slots (then ATTENTION_MERGE joins the
// partial results). Which item a thread gets has no influence on the numbers: they depend on the problem only.
//
// Arguments, bytes: 0 out, 4 its row bytes, 8 R query addresses, 12 their row bytes (all at the slice's first head), 16 R,
// 20 spans (i32 [T][R][2]), 24 T, 28 D, 32 Dv, 36 G, 40 heads, 44 table, 48 offset of the first member in a page, 52 bytes
// of a member, 56 bytes of its keys, 60 key type, 64 value type, 68 scale (f32), 72 scratch, 76 tiles, 80 chunks or 0,
// 84 chunks' descriptions (i32 [chunks][3]: range, first slot, end), 88 partial results, 92 whether the wide module's
// functions (attention-wide.ts) are in the table, 96 what is done to scores (attention-adjust.ts) or 0, 100 sinks (f32
// [heads * G]) or 0.
import {
  BLOCK_SLOTS, COUNTER, KV_F16, MAX_HEAD_WIDTH, SCRATCH_BYTES, TILE_ROWS, WIDE_ADD, WIDE_SCORES, WIDE_SOFTMAX,
} from "./abi";
import { adjustBlock, startWithSinks } from "./attention-adjust";
import { addPages, scorePages } from "./attention-block";
import {
  FACTORS, LEAST, LOG2E, softmaxBlock, TOTALS, WEIGHT_SHIFT, WEIGHT_UNIT, WORK_BYTES,
} from "./attention-softmax";
import { SCORE_STRIDE } from "./attention-tile";
import { writePartial, writeRows } from "./attention-write";
import { HALF_UNIT } from "./kv-page";

// Of the 2^112 that keys from half floats lack, the queries carry this part and the softmax the rest: neither overflows.
const QUERY_UNIT: f32 = 1.8446744073709552e19;

// The scratch of a thread: queries and sums [64][512], one page as f32, scores [64][64], then a word per row of each.
const SUMS: usize = TILE_ROWS * MAX_HEAD_WIDTH * 4;
const PAGE: usize = SUMS * 2;
const SCORES: usize = PAGE + 16 * MAX_HEAD_WIDTH * 4;
// Maxima, totals and factors (see attention-softmax.ts), then ones.
const STATE: usize = SCORES + TILE_ROWS * SCORE_STRIDE;
const ONES: usize = STATE + TILE_ROWS * 12;
// Addresses of the block's pages, what fetchPages read, and what softmaxBlock works with.
const MEMBERS: usize = ONES + TILE_ROWS * 4;
const FETCHED: usize = MEMBERS + (BLOCK_SLOTS >> 4) * 4;
const WORK: usize = FETCHED + 16;

// Fewer rows are left to the narrow tiles, which do not round them up to four.
const LEAST_WIDE_ROWS: i32 = 3;

export function attention(args: usize, thread: i32, threads: i32): void {
  if (WORK + WORK_BYTES > usize(SCRATCH_BYTES)) ERROR("Attention's scratch is larger than SCRATCH_BYTES.");
  const tiles = load<i32>(args, 76);
  const heads = load<i32>(args, 40);
  const chunks = load<i32>(args, 80);
  const scratch = load<usize>(args, 72) + usize(thread) * SCRATCH_BYTES;
  for (let i: usize = 0; i < usize(TILE_ROWS); i++) {
    store<f32>(scratch + i * 4, 1, ONES);
    store<f32>(scratch + i * 4, 1, STATE + FACTORS);
  }
  const items = tiles * heads * max(chunks, 1);
  for (;;) {
    // Later tiles see more and come first, so that the last items are small and threads end together.
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) return;
    const unit = item / tiles;
    attendTile(args, tiles - 1 - (item % tiles), unit % heads, unit / heads, scratch);
  }
}

function attendTile(args: usize, tile: i32, head: i32, chunk: i32, scratch: usize): void {
  const first = tile * TILE_ROWS;
  const rows = min(TILE_ROWS, load<i32>(args, 24) * load<i32>(args, 36) - first);
  memory.fill(scratch + SUMS, 0, usize(roundUp(rows) * load<i32>(args, 32)) * 4);
  for (let i: usize = 0; i < usize(rows); i++) {
    store<f32>(scratch + i * 4, LEAST, STATE);
    store<f32>(scratch + i * 4, 0, STATE + TOTALS);
  }
  const sinks = load<usize>(args, 100);
  if (sinks != 0 && chunk == 0) {
    const one = load<i32>(args, 64) == KV_F16 ? WEIGHT_UNIT : f32(1);
    startWithSinks(sinks, one, load<i32>(args, 36), first, rows, head, scratch + STATE);
  }
  if (load<i32>(args, 80) == 0) {
    const ranges = load<i32>(args, 16);
    for (let range = 0; range < ranges; range++) attendRange(args, range, 0, i32.MAX_VALUE, first, rows, head, scratch);
    writeRows(args, first, rows, head, scratch + SUMS, scratch + STATE);
  } else {
    const part = load<usize>(args, 84) + usize(chunk) * 12;
    attendRange(args, load<i32>(part), load<i32>(part, 4), load<i32>(part, 8), first, rows, head, scratch);
    writePartial(args, chunk, part, first, rows, head, scratch + SUMS, scratch + STATE);
  }
}

/** The slots of one range, cut to [from, to), for all rows of the tile. */
function attendRange(
  args: usize, range: i32, from: i32, to: i32, first: i32, rows: i32, head: i32, scratch: usize,
): void {
  const group = load<i32>(args, 36);
  const spanBytes = usize(load<i32>(args, 16)) * 8;
  const spans = load<usize>(args, 20) + usize(range) * 8;
  let low = to;
  let high = from;
  let innerLow = from;
  let innerHigh = to;
  const last = (first + rows - 1) / group;
  for (let t = first / group; t <= last; t++) {
    const span = spans + usize(t) * spanBytes;
    const lo = max(load<i32>(span), from);
    const hi = min(load<i32>(span, 4), to);
    innerLow = max(innerLow, lo);
    innerHigh = min(innerHigh, hi);
    if (lo >= hi) continue;
    low = min(low, lo);
    high = max(high, hi);
  }
  if (low >= high) return;
  packQueries(args, range, first, rows, head, scratch);
  const adjust = load<usize>(args, 96);
  for (let slot = low & ~15; slot < high; slot += BLOCK_SLOTS) {
    const end = min(slot + BLOCK_SLOTS, high);
    const pages = (end - slot + 15) >> 4;
    fetchPages(args, slot >> 4, pages, head, scratch);
    scoreBlock(args, pages, rows, scratch);
    if (adjust != 0) {
      const ranges = load<i32>(args, 16);
      adjustBlock(adjust, scoreUnit(args), range, ranges, group, first, rows, head, slot, pages, scratch + SCORES);
    }
    if (slot < innerLow || slot + pages * 16 > innerHigh) {
      maskBlock(spans, spanBytes, group, first, rows, slot, pages, from, to, scratch + SCORES);
    }
    weighBlock(args, pages, rows, scratch);
    addBlock(args, max(low - slot, 0), end - slot, rows, scratch);
  }
}

// @ts-ignore: decorator
@inline
function roundUp(rows: i32): i32 {
  return (rows + 3) & ~3;
}

// @ts-ignore: decorator
@inline
function isWide(args: usize, rows: i32): bool {
  return rows >= LEAST_WIDE_ROWS && load<i32>(args, 92) != 0;
}

/**
 * Lists the addresses of a block's pages, and, if this tile alone reads them, reads a word of every cache line of them, so
 * that their transfers from memory overlap: a long cache is read once per token, its pages lie scattered, and the
 * arithmetic alone leaves a core waiting at the start of each. What was read has no meaning; storing it keeps the reads
 * from being removed.
 */
function fetchPages(args: usize, page: i32, pages: i32, head: i32, scratch: usize): void {
  const bytes = load<usize>(args, 52);
  let any = 0;
  for (let i = 0; i < pages; i++) {
    const start = load<usize>(load<usize>(args, 44) + usize(page + i) * 4);
    const member = start + load<usize>(args, 48) + usize(head) * bytes;
    store<usize>(scratch + usize(i) * 4, member, MEMBERS);
    const end = load<i32>(args, 76) == 1 ? member + bytes : member;
    for (let at = member; at < end; at += 64) any |= load<i32>(at);
  }
  store<i32>(scratch, any, FETCHED);
}

/**
 * Whether log2(e) enters with the maximum: where one rounding does both, or where scores are adjusted, which must be true
 * ones. Else it is in the queries: each is the more exact one there.
 */
// @ts-ignore: decorator
@inline
function withMaximum(args: usize): bool {
  return ASC_FEATURE_RELAXED_SIMD || load<usize>(args, 96) != 0;
}

/** What the scores of packed queries lack. */
// @ts-ignore: decorator
@inline
function scoreUnit(args: usize): f32 {
  return load<i32>(args, 60) == KV_F16 ? HALF_UNIT / QUERY_UNIT : f32(1);
}

/** Queries of the tile, scaled, as [rows][D]. One with an infinity is NaN: its scores might all be -inf, as if it saw nothing. */
function packQueries(args: usize, range: i32, first: i32, rows: i32, head: i32, scratch: usize): void {
  const width = load<i32>(args, 28);
  const group = load<i32>(args, 36);
  const stride = load<usize>(args, 12);
  const keyUnit = load<i32>(args, 60) == KV_F16 ? QUERY_UNIT : f32(1);
  const scale = f32x4.splat(load<f32>(args, 68) * ((withMaximum(args) ? f32(1) : LOG2E) * keyUnit));
  const queries = load<usize>(load<usize>(args, 8) + usize(range) * 4);
  let out = scratch;
  for (let row = first; row < first + rows; row++) {
    const t = row / group;
    const from = queries + usize(t) * stride + usize((head * group + row - t * group) * width) * 4;
    const end = from + usize(width) * 4;
    let most = i32x4.splat(0);
    for (let at = from; at < end; at += 16) {
      const query = f32x4.mul(v128.load(at), scale);
      most = i32x4.max_s(most, f32x4.abs(query));
      v128.store(out, query);
      out += 16;
    }
    if (v128.any_true(i32x4.eq(most, f32x4.splat(Infinity)))) fillRow(out - usize(width) * 4, width, NaN);
  }
  memory.fill(out, 0, usize((roundUp(rows) - rows) * width) * 4);
}

function scoreBlock(args: usize, pages: i32, rows: i32, scratch: usize): void {
  const width = load<i32>(args, 28);
  const type = load<i32>(args, 60);
  const members = scratch + MEMBERS;
  const page = scratch + PAGE;
  const scores = scratch + SCORES;
  if (isWide(args, rows)) call_indirect<void>(WIDE_SCORES, scratch, rows, width, members, pages, type, page, scores);
  else scorePages(false, scratch, rows, width, members, pages, type, page, scores);
}

function weighBlock(args: usize, pages: i32, rows: i32, scratch: usize): void {
  const unit = (withMaximum(args) ? LOG2E : f32(1)) * (load<usize>(args, 96) != 0 ? f32(1) : scoreUnit(args));
  const shift: f32 = load<i32>(args, 64) == KV_F16 ? WEIGHT_SHIFT : f32(0);
  const state = scratch + STATE;
  const scores = scratch + SCORES;
  const work = scratch + WORK;
  if (isWide(args, rows)) call_indirect<void>(WIDE_SOFTMAX, scores, rows, pages, unit, shift, state, work);
  else softmaxBlock(scores, rows, pages, unit, shift, state, work);
}

/** Adds the weighted values of the block's slots [low, high); no other slot's value is touched. */
function addBlock(args: usize, low: i32, high: i32, rows: i32, scratch: usize): void {
  const width = load<i32>(args, 32);
  const type = load<i32>(args, 64);
  const keyBytes = load<usize>(args, 56);
  const sums = scratch + SUMS;
  const weights = scratch + SCORES;
  const factors = scratch + STATE + FACTORS;
  const ones = scratch + ONES;
  const members = scratch + MEMBERS;
  const page = scratch + PAGE;
  if (isWide(args, rows)) {
    call_indirect<void>(
      WIDE_ADD, sums, rows, width, weights, factors, ones, members, keyBytes, low, high, type, page,
    );
  } else addPages(false, sums, rows, width, weights, factors, ones, members, keyBytes, low, high, type, page);
}

/** Scores of slots outside of a row's span become -inf. */
function maskBlock(
  spans: usize, spanBytes: usize, group: i32, first: i32, rows: i32, slot: i32, pages: i32, from: i32, to: i32,
  scores: usize,
): void {
  const none = f32x4.splat(-Infinity);
  for (let row = 0; row < rows; row++) {
    const span = spans + usize((first + row) / group) * spanBytes;
    const lo = i32x4.splat(max(load<i32>(span), from));
    const hi = i32x4.splat(min(load<i32>(span, 4), to));
    let slots = i32x4.add(i32x4.splat(slot), i32x4(0, 1, 2, 3));
    const end = scores + usize(pages) * 64;
    for (let at = scores; at < end; at += 16) {
      const seen = v128.and(i32x4.ge_s(slots, lo), i32x4.lt_s(slots, hi));
      v128.store(at, v128.bitselect(v128.load(at), none, seen));
      slots = i32x4.add(slots, i32x4.splat(4));
    }
    scores += SCORE_STRIDE;
  }
}

function fillRow(row: usize, width: i32, x: f32): void {
  for (const end = row + usize(width) * 4; row < end; row += 4) store<f32>(row, x);
}
