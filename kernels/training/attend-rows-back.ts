// The derivatives of attention (FlashAttention; Dao et al. 2022, algorithm 4): tile by tile the weights are computed
// anew from the logs of the denominators, so that memory is linear in the rows. With p the weights, delta[row] = out .
// dOut:
//   dv += p^T dOut;  ds = p (dOut v^T - delta);  dq += ds k scale;  dk += ds^T q scale.
//
// Arguments: 0 record (attend-record.ts), 4 scratch of all threads. An item is a chunk of tiles of one KV head: it adds
// to the dq of its rows and sums dk, dv and the gradients of sinks and biases in partial results of its own, which
// attend-merge.ts adds up in their order. Which thread works on it has no influence on the numbers.
import {
  BIAS_NONE, BLOCK_SLOTS, COUNTER, SCRATCH_BYTES, TILE_ROWS, WIDE_ROW_SCORES, WIDE_TO_KEYS, WIDE_TO_ROWS, WIDE_WEIGHTS,
} from "../abi";
import {
  BIAS, CHUNK_SLOTS, CHUNK_TILES, CHUNKS, D_OUT, DQ, GROUP, HEADS, KEY_COLUMNS, KEY_ROWS, LOG_STRIDE, LOG_SUMS, OUT,
  OUT_STRIDE, PAGES, PARTIALS, Q, Q_STRIDE, REACH, ROWS, SCALE, SINK_PARTIALS, SINKS, SOFTCAP, TABLE_PARTIALS,
  TILE_HEIGHT, TILE_STARTS, VALUE_COLUMNS, VALUE_WIDTH, VISIT_BYTES, VISITS, WIDE, WIDTH,
} from "./attend-record";
import { endRow, firstRow, isWhole, packTile } from "./attend-rows";
import { biasPage, seenBits } from "./attend-seen";
import { addToKeys, addToRows, PAGE_STRIDE, scoreRows } from "./attend-tiles";
import { shiftOf, throughCap, WEIGH_BYTES, weighRows, writeWeighConstants } from "./attend-weights";
import { capScores } from "../attention/attention-adjust";
import { sum4 } from "../vector/simd";

// The scratch of a thread: [64][16] of scores, scores with biases, weights, derivatives; a word for each row; then
// queries, dOut and dq of the tile, [rows][width] each (TypeScript chooses the rows so that they fit).
const MATRIX: usize = TILE_ROWS * PAGE_STRIDE;
const BIASED: usize = MATRIX;
const WEIGHTS: usize = 2 * MATRIX;
const DERIVATIVES: usize = 3 * MATRIX;
const SHIFTS: usize = 4 * MATRIX;
const DELTAS: usize = SHIFTS + TILE_ROWS * 4;
const BITS: usize = DELTAS + TILE_ROWS * 4;
const WORK: usize = BITS + TILE_ROWS * 4;
const QUERIES: usize = WORK + WEIGH_BYTES;

export function attendRowsBack(args: usize, thread: i32, threads: i32): void {
  const call = load<usize>(args);
  const scratch = load<usize>(args, 4) + usize(thread) * SCRATCH_BYTES;
  const chunks = load<i32>(call, CHUNKS);
  const items = chunks * load<i32>(call, HEADS);
  writeWeighConstants(scratch + WORK);
  for (;;) {
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) return;
    backChunk(call, chunks - 1 - (item % chunks), item / chunks, scratch);
  }
}

/** Where the partial dk and dv of a slot lie. */
// @ts-ignore: decorator
@inline
export function partialOf(call: usize, head: i32, slot: i32): usize {
  const slots = load<i32>(load<usize>(call, CHUNK_SLOTS) + usize(load<i32>(call, CHUNKS)) * 4);
  const width = load<i32>(call, WIDTH) + load<i32>(call, VALUE_WIDTH);
  return load<usize>(call, PARTIALS) + usize(head * slots + slot) * usize(width) * 64;
}

/** Where the partial gradients of the biases of a KV head's query heads lie. */
// @ts-ignore: decorator
@inline
export function tablePartialOf(call: usize, chunk: i32, head: i32): usize {
  const width = 2 * (load<i32>(call, REACH) + BLOCK_SLOTS);
  const rows = (chunk * load<i32>(call, HEADS) + head) * load<i32>(call, GROUP);
  return load<usize>(call, TABLE_PARTIALS) + usize(rows * width) * 4;
}

function backChunk(call: usize, chunk: i32, head: i32, scratch: usize): void {
  const slots = load<usize>(call, CHUNK_SLOTS) + usize(chunk) * 4;
  const partials = partialOf(call, head, load<i32>(slots));
  memory.fill(partials, 0, partialOf(call, head, load<i32>(slots, 4)) - partials);
  const group = load<i32>(call, GROUP);
  const sinks = load<usize>(call, SINK_PARTIALS);
  const sinkSums = sinks == 0 ? 0 : sinks + usize((chunk * load<i32>(call, HEADS) + head) * group) * 4;
  if (sinkSums != 0) memory.fill(sinkSums, 0, usize(group) * 4);
  let biases: usize = 0;
  if (load<usize>(call, TABLE_PARTIALS) != 0) {
    biases = tablePartialOf(call, chunk, head);
    memory.fill(biases, 0, tablePartialOf(call, chunk, head + 1) - biases);
  }
  const tiles = load<usize>(call, CHUNK_TILES) + usize(chunk) * 4;
  const end = load<i32>(tiles, 4);
  for (let tile = load<i32>(tiles); tile < end; tile++) backTile(call, tile, head, sinkSums, biases, scratch);
}

function backTile(call: usize, tile: i32, head: i32, sinkSums: usize, biases: usize, scratch: usize): void {
  const height = load<i32>(call, TILE_HEIGHT);
  const first = tile * height;
  const rows = min(height, load<i32>(call, ROWS) - first);
  const width = load<i32>(call, WIDTH);
  const valueWidth = load<i32>(call, VALUE_WIDTH);
  const dOut = scratch + QUERIES + usize(rows * width) * 4;
  const dq = dOut + usize(rows * valueWidth) * 4;
  const q = scratch + QUERIES;
  const scale = load<f32>(call, SCALE);
  packTile(call, load<usize>(call, Q), load<usize>(call, Q_STRIDE), width, scale, first, rows, head, q);
  packTile(call, load<usize>(call, D_OUT), load<usize>(call, OUT_STRIDE), valueWidth, 1, first, rows, head, dOut);
  memory.fill(dq, 0, usize(rows * width) * 4);
  prepareRows(call, first, rows, head, dOut, scratch);
  if (sinkSums != 0) addSinks(call, first, rows, head, sinkSums, scratch);
  const starts = load<usize>(call, TILE_STARTS) + usize(tile) * 4;
  const visits = load<usize>(call, VISITS);
  const end = visits + usize(load<i32>(starts, 4)) * VISIT_BYTES;
  for (let visit = visits + usize(load<i32>(starts)) * VISIT_BYTES; visit < end; visit += VISIT_BYTES) {
    weighVisit(call, visit, first, head, q, dOut, biases, scratch);
    addVisit(call, visit, head, q, dOut, dq, scratch);
  }
  addQueries(call, first, rows, head, dq);
}

/** The rows' logs and deltas. */
function prepareRows(call: usize, first: i32, rows: i32, head: i32, dOut: usize, scratch: usize): void {
  const group = load<i32>(call, GROUP);
  const bytes = usize(load<i32>(call, VALUE_WIDTH)) * 4;
  for (let row = 0; row < rows; row++) {
    const t = usize((first + row) / group);
    const h = usize(head * group + (first + row) % group);
    const log = load<f32>(load<usize>(call, LOG_SUMS) + t * load<usize>(call, LOG_STRIDE) + h * 4);
    const out = load<usize>(call, OUT) + t * load<usize>(call, OUT_STRIDE) + h * bytes;
    let sum = f32x4.splat(0);
    for (let d: usize = 0; d < bytes; d += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(out + d), v128.load(dOut + d)));
    store<f32>(scratch + usize(row) * 4, shiftOf(log), SHIFTS);
    store<f32>(scratch + usize(row) * 4, sum4(sum), DELTAS);
    dOut += bytes;
  }
}

/** A sink's weight is exp(sink - log), its value nothing. */
function addSinks(call: usize, first: i32, rows: i32, head: i32, sums: usize, scratch: usize): void {
  const group = load<i32>(call, GROUP);
  for (let row = 0; row < rows; row++) {
    const t = usize((first + row) / group);
    const g = usize((first + row) % group);
    const h = usize(head * group) + g;
    const log = load<f32>(load<usize>(call, LOG_SUMS) + t * load<usize>(call, LOG_STRIDE) + h * 4);
    const weight = Math.exp(f64(load<f32>(load<usize>(call, SINKS) + h * 4)) - f64(log));
    const at = sums + g * 4;
    store<f32>(at, load<f32>(at) - f32(weight) * load<f32>(scratch + usize(row) * 4, DELTAS));
  }
}

/** Weights and derivatives of the rows that see a page. */
function weighVisit(
  call: usize, visit: usize, first: i32, head: i32, q: usize, dOut: usize, biases: usize, scratch: usize,
): void {
  const width = load<i32>(call, WIDTH);
  const valueWidth = load<i32>(call, VALUE_WIDTH);
  const page = load<i32>(visit);
  const from = firstRow(visit), to = endRow(visit);
  const rows = to - from;
  const row = usize(from);
  const index = usize(head * load<i32>(call, PAGES) + page) * 64;
  const columns = load<usize>(call, KEY_COLUMNS) + index * usize(width);
  const values = load<usize>(call, VALUE_COLUMNS) + index * usize(valueWidth);
  const scores = scratch + row * PAGE_STRIDE;
  const words = scratch + row * 4;
  const x = q + row * usize(width) * 4;
  const dx = dOut + row * usize(valueWidth) * 4;
  const wide = load<i32>(call, WIDE);
  if (wide) {
    call_indirect<void>(WIDE_ROW_SCORES, x, rows, width, columns, scores);
    call_indirect<void>(WIDE_ROW_SCORES, dx, rows, valueWidth, values, scores + DERIVATIVES);
  } else {
    scoreRows(x, rows, width, columns, scores);
    scoreRows(dx, rows, valueWidth, values, scores + DERIVATIVES);
  }
  const cap = load<f32>(call, SOFTCAP);
  if (cap > 0) capScores(scores, scores + usize(rows) * PAGE_STRIDE, 1, cap);
  let logits = scores;
  if (load<i32>(call, BIAS) != BIAS_NONE) {
    logits = scores + BIASED;
    memory.copy(logits, scores, usize(rows) * PAGE_STRIDE);
    biasPage(call, head, first, from, to, page * 16, scratch + BIASED, PAGE_STRIDE, 0);
  }
  const whole = isWhole(visit);
  if (!whole) seenBits(call, first, from, to, page * 16, scratch + BITS);
  const bits = whole ? 0 : words + BITS;
  const work = scratch + WORK;
  const weights = scores + WEIGHTS, derivatives = scores + DERIVATIVES;
  if (wide) {
    call_indirect<void>(
      WIDE_WEIGHTS, rows, logits, words + SHIFTS, words + DELTAS, bits, weights, derivatives, work,
    );
  } else weighRows(rows, logits, words + SHIFTS, words + DELTAS, bits, weights, derivatives, work);
  if (biases != 0) biasPage(call, head, first, from, to, page * 16, scratch + DERIVATIVES, PAGE_STRIDE, biases);
  if (cap > 0) throughCap(scores, rows, cap, derivatives);
}

/** What they come to in dq, dk and dv. */
function addVisit(call: usize, visit: usize, head: i32, q: usize, dOut: usize, dq: usize, scratch: usize): void {
  const width = load<i32>(call, WIDTH);
  const valueWidth = load<i32>(call, VALUE_WIDTH);
  const bytes = usize(width) * 4;
  const row = usize(firstRow(visit));
  const rows = endRow(visit) - firstRow(visit);
  const dk = partialOf(call, head, load<i32>(visit, 8));
  const weights = scratch + row * PAGE_STRIDE + WEIGHTS;
  const derivatives = scratch + row * PAGE_STRIDE + DERIVATIVES;
  const keys = load<usize>(call, KEY_ROWS) + usize(head * load<i32>(call, PAGES) + load<i32>(visit)) * 16 * bytes;
  const x = q + row * bytes, dx = dOut + row * usize(valueWidth) * 4;
  if (load<i32>(call, WIDE)) {
    call_indirect<void>(WIDE_TO_KEYS, dk + 16 * bytes, rows, valueWidth, weights, dx);
    call_indirect<void>(WIDE_TO_KEYS, dk, rows, width, derivatives, x);
    call_indirect<void>(WIDE_TO_ROWS, dq + row * bytes, rows, width, derivatives, keys);
  } else {
    addToKeys(dk + 16 * bytes, rows, valueWidth, weights, dx);
    addToKeys(dk, rows, width, derivatives, x);
    addToRows(dq + row * bytes, rows, width, derivatives, keys);
  }
}

/** The tile's dq, times the scale, to the rows' places. */
function addQueries(call: usize, first: i32, rows: i32, head: i32, dq: usize): void {
  const group = load<i32>(call, GROUP);
  const bytes = usize(load<i32>(call, WIDTH)) * 4;
  const scale = f32x4.splat(load<f32>(call, SCALE));
  for (let row = first; row < first + rows; row++) {
    const h = usize(head * group + row % group);
    const to = load<usize>(call, DQ) + usize(row / group) * load<usize>(call, Q_STRIDE) + h * bytes;
    for (let d: usize = 0; d < bytes; d += 16) {
      v128.store(to + d, f32x4.add(v128.load(to + d), f32x4.mul(v128.load(dq + d), scale)));
    }
    dq += bytes;
  }
}
