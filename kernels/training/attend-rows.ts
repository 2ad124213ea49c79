// Exact attention over rows for training (FlashAttention; Dao et al. 2022): as attention.ts, but keys and values are
// f32 rows of the step, the plan of visits names the pages that a tile sees, and the log of each row's denominator is
// kept for the way back.
//
// Arguments: 0 record (attend-record.ts), 4 scratch of all threads. An item is a tile of one KV head; which thread
// works on it has no influence on the numbers.
import {
  BIAS_NONE, BLOCK_SLOTS, COUNTER, KV_F32, MAX_HEAD_WIDTH, SCRATCH_BYTES, TILE_ROWS, WIDE_ADD, WIDE_BLOCK_SCORES,
  WIDE_SOFTMAX,
} from "../abi";
import {
  BIAS, GROUP, HEADS, KEY_COLUMNS, LOG_STRIDE, LOG_SUMS, OUT, OUT_STRIDE, PAGES, Q, Q_STRIDE, ROWS, SCALE, SINKS,
  SOFTCAP, TILE_HEIGHT, TILE_STARTS, TILES, VALUE_ROWS, VALUE_WIDTH, VISIT_BYTES, VISIT_WHOLE, VISITS, WIDE,
  WIDTH,
} from "./attend-record";
import { biasPage, maskPage, seenBits } from "./attend-seen";
import { capScores, startWithSinks } from "../attention/attention-adjust";
import { FACTORS, LEAST, LOG2E, softmaxBlock, TOTALS, WORK_BYTES } from "../attention/attention-softmax";
import { addValues, SCORE_STRIDE, scorePage } from "../attention/attention-tile";

const LN2: f64 = 0.6931471805599453;
const BLOCK_PAGES: i32 = BLOCK_SLOTS >> 4;

// The scratch of a thread: queries and sums [64][512], scores [64][64], then a word per row of each.
const SUMS: usize = TILE_ROWS * MAX_HEAD_WIDTH * 4;
const SCORES: usize = SUMS * 2;
// Maxima, totals and factors (see attention-softmax.ts).
const STATE: usize = SCORES + TILE_ROWS * SCORE_STRIDE;
const ONES: usize = STATE + TILE_ROWS * 12;
const BITS: usize = ONES + TILE_ROWS * 4;
/** The address of a page, as addWide takes it. */
const MEMBER: usize = BITS + TILE_ROWS * 4;
const WORK: usize = MEMBER + 64;

export function attendRows(args: usize, thread: i32, threads: i32): void {
  if (WORK + WORK_BYTES > usize(SCRATCH_BYTES)) ERROR("Attention's scratch is larger than SCRATCH_BYTES.");
  const call = load<usize>(args);
  const scratch = load<usize>(args, 4) + usize(thread) * SCRATCH_BYTES;
  for (let i: usize = 0; i < usize(TILE_ROWS); i++) {
    store<f32>(scratch + i * 4, 1, ONES);
    store<f32>(scratch + i * 4, 1, STATE + FACTORS);
  }
  const tiles = load<i32>(call, TILES);
  const items = tiles * load<i32>(call, HEADS);
  for (;;) {
    // Later tiles mostly see more and come first, so that the last items are small and threads end together.
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) return;
    attendTile(call, tiles - 1 - (item % tiles), item / tiles, scratch);
  }
}

function attendTile(call: usize, tile: i32, head: i32, scratch: usize): void {
  const height = load<i32>(call, TILE_HEIGHT);
  const first = tile * height;
  const rows = min(height, load<i32>(call, ROWS) - first);
  memory.fill(scratch + SUMS, 0, usize(rows * load<i32>(call, VALUE_WIDTH)) * 4);
  for (let i: usize = 0; i < usize(rows); i++) {
    store<f32>(scratch + i * 4, LEAST, STATE);
    store<f32>(scratch + i * 4, 0, STATE + TOTALS);
  }
  const sinks = load<usize>(call, SINKS);
  if (sinks != 0) startWithSinks(sinks, 1, load<i32>(call, GROUP), first, rows, head, scratch + STATE);
  const width = load<i32>(call, WIDTH);
  const scale = load<f32>(call, SCALE);
  packTile(call, load<usize>(call, Q), load<usize>(call, Q_STRIDE), width, scale, first, rows, head, scratch);
  const starts = load<usize>(call, TILE_STARTS) + usize(tile) * 4;
  const end = load<i32>(starts, 4);
  for (let visit = load<i32>(starts); visit < end; visit += BLOCK_PAGES) {
    const block = load<usize>(call, VISITS) + usize(visit) * VISIT_BYTES;
    attendBlock(call, block, min(end - visit, BLOCK_PAGES), first, rows, head, scratch);
  }
  writeTile(call, first, rows, head, scratch);
}

/** Rows of a tile, [rows][width], from the columns of their heads in `from`; times `factor`. */
export function packTile(
  call: usize, from: usize, stride: usize, width: i32, factor: f32, first: i32, rows: i32, head: i32, to: usize,
): void {
  const group = load<i32>(call, GROUP);
  const factors = f32x4.splat(factor);
  for (let row = first; row < first + rows; row++) {
    const t = row / group;
    const at = from + usize(t) * stride + usize((head * group + row - t * group) * width) * 4;
    const bytes = usize(width) * 4;
    for (let d: usize = 0; d < bytes; d += 16) v128.store(to + d, f32x4.mul(v128.load(at + d), factors));
    to += bytes;
  }
}

// What a visit says (see attend-record.ts).
// @ts-ignore: decorator
@inline
export function firstRow(visit: usize): i32 {
  return load<u8>(visit, 4);
}
// @ts-ignore: decorator
@inline
export function endRow(visit: usize): i32 {
  return load<u8>(visit, 5);
}
// @ts-ignore: decorator
@inline
export function isWhole(visit: usize): bool {
  return (load<i32>(visit, 4) & VISIT_WHOLE) != 0;
}

/** Up to four visits, whose pages need not be neighbours. */
function attendBlock(call: usize, block: usize, pages: i32, first: i32, rows: i32, head: i32, scratch: usize): void {
  const end = block + usize(pages) * VISIT_BYTES;
  scoreBlock(call, block, end, rows, head, scratch);
  let scores = scratch + SCORES;
  const cap = load<f32>(call, SOFTCAP);
  if (cap > 0) capScores(scores, scores + usize(rows) * SCORE_STRIDE, 1, cap);
  const biased = load<i32>(call, BIAS) != BIAS_NONE;
  for (let visit = block; visit < end; visit += VISIT_BYTES) {
    const slot = load<i32>(visit) * 16;
    const from = firstRow(visit), to = endRow(visit);
    if (biased) biasPage(call, head, first, from, to, slot, scores, SCORE_STRIDE, 0);
    if (!isWhole(visit)) {
      seenBits(call, first, from, to, slot, scratch + BITS);
      maskPage(scratch + BITS, from, to, rows, scores, SCORE_STRIDE);
    }
    scores += 64;
  }
  const state = scratch + STATE, work = scratch + WORK;
  if (load<i32>(call, WIDE)) {
    call_indirect<void>(WIDE_SOFTMAX, scratch + SCORES, rows, pages, LOG2E, f32(0), state, work);
  } else softmaxBlock(scratch + SCORES, rows, pages, LOG2E, 0, state, work);
  addBlock(call, block, end, rows, head, scratch);
}

function scoreBlock(call: usize, block: usize, end: usize, rows: i32, head: i32, scratch: usize): void {
  const width = load<i32>(call, WIDTH);
  const bytes = usize(width) * 4;
  const keys = load<usize>(call, KEY_COLUMNS) + usize(head * load<i32>(call, PAGES)) * bytes * 16;
  const wide = load<i32>(call, WIDE);
  let scores = scratch + SCORES;
  for (let visit = block; visit < end; visit += VISIT_BYTES) {
    const from = firstRow(visit);
    const page = keys + usize(load<i32>(visit)) * bytes * 16;
    const at = scores + usize(from) * SCORE_STRIDE;
    const count = endRow(visit) - from;
    const q = scratch + usize(from) * bytes;
    if (wide) call_indirect<void>(WIDE_BLOCK_SCORES, q, count, width, page, at);
    else scorePage(q, count, width, page, at);
    scores += 64;
  }
}

/**
 * The first page takes all rows, so that their sums so far shrink; what a row does not see has the weight 0. The wide form
 * takes rows by fours: those that it takes with them see nothing, or are beyond the tile's last.
 */
function addBlock(call: usize, block: usize, end: usize, rows: i32, head: i32, scratch: usize): void {
  const width = load<i32>(call, VALUE_WIDTH);
  const bytes = usize(width) * 4;
  const values = load<usize>(call, VALUE_ROWS) + usize(head * load<i32>(call, PAGES)) * bytes * 16;
  let weights = scratch + SCORES;
  const wide = load<i32>(call, WIDE);
  const ones = scratch + ONES;
  let factors = scratch + STATE + FACTORS;
  let from = 0, to = rows;
  for (let visit = block; visit < end; visit += VISIT_BYTES) {
    const page = values + usize(load<i32>(visit)) * bytes * 16;
    if (wide) from &= ~3;
    const at = weights + usize(from) * SCORE_STRIDE;
    const sums = scratch + SUMS + usize(from) * bytes;
    if (wide) {
      store<usize>(scratch, page, MEMBER);
      call_indirect<void>(
        WIDE_ADD, sums, to - from, width, at, factors, ones, scratch + MEMBER, usize(0), 0, 16, KV_F32, scratch,
      );
    } else addValues(sums, to - from, width, at, factors, page, 0, 16);
    factors = ones;
    weights += 64;
    from = firstRow(visit + VISIT_BYTES);
    to = endRow(visit + VISIT_BYTES);
  }
}

/** Sums divided by totals, and the logs of the totals; a row that saw nothing becomes zeros and -inf. */
function writeTile(call: usize, first: i32, rows: i32, head: i32, scratch: usize): void {
  const width = load<i32>(call, VALUE_WIDTH);
  const group = load<i32>(call, GROUP);
  let from = scratch + SUMS;
  for (let row = 0; row < rows; row++) {
    const t = (first + row) / group;
    const h = head * group + first + row - t * group;
    const state = scratch + STATE + usize(row) * 4;
    const total = load<f32>(state, TOTALS);
    const log: f64 = total > 0 ? f64(load<f32>(state)) * LN2 + Math.log(f64(total)) : -Infinity;
    store<f32>(load<usize>(call, LOG_SUMS) + usize(t) * load<usize>(call, LOG_STRIDE) + usize(h) * 4, f32(log));
    const inverse = f32x4.splat(total > 0 ? f32(1) / total : 0);
    let out = load<usize>(call, OUT) + usize(t) * load<usize>(call, OUT_STRIDE) + usize(h * width) * 4;
    for (const end = from + usize(width) * 4; from < end; from += 16) {
      v128.store(out, f32x4.mul(v128.load(from), inverse));
      out += 16;
    }
  }
}
