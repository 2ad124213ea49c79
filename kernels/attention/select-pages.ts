// The pages that a row reads, by the scores that selectScores left: weights by softmax, summed over the query heads of a KV head,
// and the list of the heaviest. What is found does not depend on the threads: an item is one head's list.
//
// Argument: 0 record (select-record.ts).
import { ADJUSTED, GROUP, MERGED_ROWS, PART_LIST, SCRATCH, SINKS, WIDE } from "./attention-record";
import { roundUp } from "./attention-scratch";
import { exp2Below, FACTORS, LOG2E, softmaxBlock, TOTALS, WORK_BYTES } from "./attention-softmax";
import { SCORE_STRIDE } from "./attention-tile";
import {
  CANDIDATES, CHOSEN, EARLIER, EARLIER_PAGES, ENTRIES, FIRST_PAGE, LANE, LISTS, NEWEST, OLDEST, PART_BYTES, PIECE_QUADS,
  PIECES, QUAD_PAGES, SCORE_BYTES, SCORES, SPANS,
} from "./select-record";
import { SCORE_UNIT, TILE } from "./select-scores";
import { COUNTER, SCRATCH_BYTES, WIDE_SOFTMAX } from "../abi";
import { headOf, tableOf } from "../kv/slice";
import { HEADS } from "../kv/slice-record";
import { madd, max4 } from "../vector/simd";

// A thread's scratch memory: what softmaxBlock works with, its state, a histogram.
const STATE: usize = (WORK_BYTES + 63) & ~63;
const HISTOGRAM: usize = STATE + 3 * FACTORS;
const DIGITS: i32 = 2048;
/** Weights of which the largest is looked at first, where many more are left than are chosen. */
const RUN: i32 = 16;

export function selectPages(args: usize, thread: i32, threads: i32): void {
  if (HISTOGRAM + usize(DIGITS) * 4 > usize(SCRATCH_BYTES)) ERROR("The scratch of weights is larger than SCRATCH_BYTES.");
  const call = load<usize>(args);
  const scratch = load<usize>(call, SCRATCH) + usize(thread) * SCRATCH_BYTES;
  const items = load<i32>(call, MERGED_ROWS);
  let part = load<usize>(call, PART_LIST);
  let start = 0;
  for (;;) {
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) return;
    while (item >= start + load<i32>(part, HEADS)) {
      start += load<i32>(part, HEADS);
      part += PART_BYTES;
    }
    listPages(call, part, item - start, scratch);
  }
}

function listPages(call: usize, part: usize, head: i32, scratch: usize): void {
  const scores = load<usize>(part, SCORES) + usize(head) * load<usize>(part, SCORE_BYTES);
  const quadBytes = usize(roundUp(load<i32>(call, GROUP))) * SCORE_STRIDE;
  const taken = usize(head * (load<i32>(part, EARLIER_PAGES) + load<i32>(part, CHOSEN))) * 4;
  const lists = load<usize>(part, LISTS) + taken;
  const entries = load<usize>(part, ENTRIES) + taken;
  const weights = scores + usize(load<i32>(part, PIECES) * PIECE_QUADS) * quadBytes;
  const count = listEarlier(part, head, lists, entries);
  weighPages(call, part, head, scores, quadBytes, weights, scratch);
  // Nobody needs the scores any more.
  listHeaviest(part, head, weights, scores, scratch + HISTOGRAM, lists + usize(count) * 4, entries + usize(count) * 4);
}

/** All pages of the ranges before the newest; returns how many. */
function listEarlier(part: usize, head: i32, lists: usize, entries: usize): i32 {
  const table = tableOf(part, head);
  let span = load<usize>(part, SPANS);
  let count: usize = 0;
  for (let i = load<i32>(part, EARLIER); i > 0; i--) {
    const first = load<i32>(span), end = load<i32>(span, 4);
    for (let page = first >> 4; first < end && page * 16 < end; page++) {
      store<usize>(lists + count * 4, load<usize>(table + usize(page) * 4));
      store<i32>(entries + count * 4, page);
      count++;
    }
    span += 8;
  }
  return i32(count);
}

/** The candidates' weights: the sums over query heads of the softmax of their scores. */
function weighPages(
  call: usize, part: usize, head: i32, scores: usize, quadBytes: usize, weights: usize, scratch: usize,
): void {
  const group = load<i32>(call, GROUP);
  const quads = (load<i32>(part, LANE) + load<i32>(part, CANDIDATES) + QUAD_PAGES - 1) / QUAD_PAGES;
  const end = usize(quads) * quadBytes;
  const state = scratch + STATE;
  const unit: f32 = load<i32>(call, ADJUSTED) != 0 ? LOG2E : LOG2E * SCORE_UNIT;
  const wide = load<i32>(call, WIDE) != 0;
  let sinks = load<usize>(call, SINKS);
  if (sinks != 0) sinks += usize(headOf(part, head) * group) * 4;
  for (let g = 0; g < group; g += TILE) {
    const rows = min(group - g, TILE);
    const tile = scores + usize(g) * SCORE_STRIDE;
    for (let row: usize = 0; row < usize(rows); row++) {
      openRow(tile + row * SCORE_STRIDE, end, quadBytes, unit, sinks == 0 ? 0 : sinks + (usize(g) + row) * 4, state + row * 4);
    }
    for (let quad: usize = 0; quad < end; quad += quadBytes) {
      if (wide) call_indirect<void>(WIDE_SOFTMAX, tile + quad, rows, 4, unit, f32(0), state, scratch);
      else softmaxBlock(tile + quad, rows, 4, unit, 0, state, scratch);
    }
    invertTotals(state, rows);
    let sums = weights;
    for (let quad: usize = 0; quad < end; quad += quadBytes) {
      sumRows(sums, tile + quad, g == 0, rows, state + FACTORS);
      sums += SCORE_STRIDE;
    }
  }
}

/** The largest of all a row's scores, known before its weights: so they all are shares of the same total. */
function openRow(row: usize, bytes: usize, quadBytes: usize, unit: f32, sink: usize, state: usize): void {
  let a = f32x4.splat(-Infinity), b = a, c = a, d = a;
  for (const end = row + bytes; row < end; row += quadBytes) {
    for (let at = row; at < row + SCORE_STRIDE; at += 64) {
      a = f32x4.pmax(a, v128.load(at));
      b = f32x4.pmax(b, v128.load(at, 16));
      c = f32x4.pmax(c, v128.load(at, 32));
      d = f32x4.pmax(d, v128.load(at, 48));
    }
  }
  let most = max4(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d))) * unit;
  let total: f32 = 0;
  if (sink != 0) {
    const logit = load<f32>(sink) * LOG2E;
    most = max(most, logit);
    total = exp2Below(logit - most);
  }
  store<f32>(state, most);
  store<f32>(state, total, TOTALS);
  store<f32>(state, 1, FACTORS);
}

/** Each row's share of its total, in the place of its factor. */
function invertTotals(state: usize, rows: i32): void {
  for (const end = state + usize(rows) * 4; state < end; state += 4) store<f32>(state, 1 / load<f32>(state, TOTALS), FACTORS);
}

/** Adds a quad's rows, each times its share, to `sums` (`first`: they begin). What is no number becomes 0. */
function sumRows(sums: usize, rows: usize, first: bool, count: i32, shares: usize): void {
  for (let at: usize = 0; at < SCORE_STRIDE; at += 16) {
    let sum = first ? f32x4.splat(0) : v128.load(sums + at);
    for (let row: usize = 0; row < usize(count); row++) {
      sum = madd(v128.load(rows + row * SCORE_STRIDE + at), v128.load32_splat(shares + row * 4), sum);
    }
    v128.store(sums + at, v128.and(sum, f32x4.eq(sum, sum)));
  }
}

/**
 * The candidates at both ends, and the heaviest of the others, of equal ones the earlier, in text order. Weights are not negative,
 * so their bits are in their order. `spare`: memory for as many numbers as there are candidates.
 */
function listHeaviest(
  part: usize, head: i32, weights: usize, spare: usize, histogram: usize, lists: usize, entries: usize,
): void {
  const lane = load<i32>(part, LANE), count = load<i32>(part, CANDIDATES);
  const oldest = lane + load<i32>(part, OLDEST), newest = lane + count - load<i32>(part, NEWEST);
  let left = load<i32>(part, CHOSEN) - load<i32>(part, OLDEST) - load<i32>(part, NEWEST);
  // Of those that weigh `least` so many are still to be taken; without any to choose, nothing is heavier.
  let least = i32.MAX_VALUE;
  if (left > 0) {
    let from = weights + usize(oldest) * 4, end = weights + usize(newest) * 4;
    // So many that there are no fewer maxima than are to be taken.
    if (newest - oldest >= max(left * 2, 4) * RUN) {
      end = gather(from, end, leastOf(spare, writeMaxima(from, end, spare), left, histogram), spare);
      from = spare;
    }
    least = leastOf(from, end, left, histogram);
    for (; from < end; from += 4) left -= i32(load<i32>(from) > least);
  }
  const table = tableOf(part, head);
  const first = load<i32>(part, FIRST_PAGE) - lane;
  for (let page = lane; page < lane + count; page++) {
    if (page >= oldest && page < newest) {
      if (page + 4 <= newest && !anyFrom(weights + usize(page) * 4, least)) {
        page += 3;
        continue;
      }
      const bits = load<i32>(weights + usize(page) * 4);
      if (bits < least || (bits == least && left-- <= 0)) continue;
    }
    store<usize>(lists, load<usize>(table + usize(first + page) * 4));
    store<i32>(entries, first + page);
    lists += 4;
    entries += 4;
  }
}

/** Whether any of four numbers has bits from `least` on. */
// @ts-ignore: decorator
@inline
function anyFrom(at: usize, least: i32): bool {
  return v128.any_true(i32x4.ge_s(v128.load(at), i32x4.splat(least)));
}

/**
 * The largest of every RUN numbers, without those left over at the end; returns the end of what it wrote. The k-th largest of
 * these is not above the k-th largest of all: so what lies below it need not be looked at again.
 */
function writeMaxima(from: usize, end: usize, out: usize): usize {
  for (; from + usize(RUN) * 16 <= end; from += usize(RUN) * 16) {
    let most = v128.load(from);
    for (let i: usize = 16; i < usize(RUN) * 16; i += 16) most = i32x4.max_s(most, v128.load(from + i));
    v128.store(out, most);
    out += 16;
  }
  return out;
}

/** Copies the numbers whose bits are not below `least`; returns the end of what it wrote. */
function gather(from: usize, end: usize, least: i32, out: usize): usize {
  while (from < end) {
    if (from + 16 <= end && !anyFrom(from, least)) {
      from += 16;
      continue;
    }
    const bits = load<i32>(from);
    from += 4;
    if (bits < least) continue;
    store<i32>(out, bits);
    out += 4;
  }
  return out;
}

/** The bits of the `left`-th largest number, digit by digit: each is looked at thrice, however large `left` is. */
function leastOf(from: usize, end: usize, left: i32, histogram: usize): i32 {
  let known = 0, least = 0;
  // The sign, then digits of 11, 11 and 9 bits.
  for (let shift = 20; known != -1; shift = max(shift - 11, 0)) {
    memory.fill(histogram, 0, usize(DIGITS) * 4);
    for (let at = from; at < end; at += 4) {
      const bits = load<i32>(at);
      if ((bits & known) != least) continue;
      const counter = histogram + usize((bits & ~known) >> shift) * 4;
      store<i32>(counter, load<i32>(counter) + 1);
    }
    let digit = DIGITS - 1;
    for (;; digit--) {
      const heavier = load<i32>(histogram + usize(digit) * 4);
      if (heavier >= left) break;
      left -= heavier;
    }
    least |= digit << shift;
    known = -1 << shift;
  }
  return least;
}
