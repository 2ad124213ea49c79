// What some models do to scores before the softmax: a soft cap (Gemma 2), and biases by the distance of query and key, linear
// (ALiBi, 2108.12409) or from a table (T5, 1910.10683); and the logit of each head that has no value (gpt-oss's sinks). A
// pass of its own over a block of scores, entered only by calls that ask for it: the others run the code they would run
// without it.
//
// Entry i of a head's row of biases is that of the distance reach + BLOCK_SLOTS - i, cut to [-reach, reach]: so a block's
// biases are neighbours, however far away it is.
import { BIAS_LINEAR, BIAS_TABLE, BLOCK_SLOTS } from "../abi";
import { scoreUnit } from "./attention-queries";
import { BIAS, BIASES, ENTRIES, GROUP, PLACES, RANGES, REACH, SOFTCAP } from "./attention-record";
import { CALL, COLUMN, COUNT, FIRST, HEAD, PART, SCORES } from "./attention-scratch";
import { LOG2E, TOTALS } from "./attention-softmax";
import { SCORE_STRIDE } from "./attention-tile";
import { TABLE_STRIDE } from "../kv/slice-record";
import { madd } from "../vector/simd";

/** tanh is 1 from here on, to f32. */
const SATURATED: f32 = 9;

// tanh(x) = x P(x^2) / Q(x^2) for |x| <= 9, both of degree 4 with the constant 1, minimax in relative error: 2.1e-8, and
// 3.4e-7 at most in f32 arithmetic. In memory, as V8 makes a vector constant anew in every turn of a loop.
const TANH = memory.data<f32>([
  0.13381171226501465, 0.003495751414448023, 2.061143641185481e-5, 1.3357349892828552e-8,
  0.4671448767185211, 0.02587762661278248, 0.0003285887069068849, 7.777777568662714e-7,
]);

/** The scores of a block's `pages` from `slot` on: made true ones, capped, with the biases of their distances added. */
export function adjustBlock(tile: usize, range: i32, slot: i32, pages: i32): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const first = load<i32>(tile, FIRST), rows = load<i32>(tile, COUNT);
  const cap = load<f32>(call, SOFTCAP);
  const kind = load<i32>(call, BIAS);
  let scores = tile + SCORES;
  let unit = scoreUnit(part);
  if (cap > 0) {
    capScores(scores, scores + usize(rows) * SCORE_STRIDE, unit, cap);
    unit = 1;
  }
  if (kind != BIAS_LINEAR && kind != BIAS_TABLE) return;
  if (load<usize>(part, ENTRIES) != 0) return biasListed(tile, range, slot >> 4, pages, unit);
  const group = load<i32>(call, GROUP), ranges = load<i32>(part, RANGES);
  const places = load<usize>(part, PLACES) + usize(range) * 4;
  const biases = load<usize>(call, BIASES);
  const reach = load<i32>(call, REACH);
  const bytes = usize(pages) * 64;
  for (let row = first; row < first + rows; row++) {
    const t = row / group;
    const h = usize(load<i32>(tile, COLUMN) + row - t * group);
    const distance = load<i32>(places + usize(t * ranges) * 4) - slot;
    if (kind == BIAS_LINEAR) addSlope(scores, scores + bytes, unit, load<f32>(biases + h * 4), distance);
    else addRow(scores, scores + bytes, unit, biases + h * usize(2 * (reach + BLOCK_SLOTS)) * 4, reach, distance);
    scores += SCORE_STRIDE;
  }
}

/** The biases of a block of listed pages, which need not be neighbours: page by page. Of a part of one token. */
function biasListed(tile: usize, range: i32, listed: i32, pages: i32, unit: f32): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const head = usize(load<i32>(tile, HEAD)) * load<usize>(part, TABLE_STRIDE);
  const entries = load<usize>(part, ENTRIES) + head + usize(listed) * 4;
  const place = load<i32>(load<usize>(part, PLACES) + usize(range) * 4);
  const biases = load<usize>(call, BIASES);
  const reach = load<i32>(call, REACH);
  const linear = load<i32>(call, BIAS) == BIAS_LINEAR;
  let scores = tile + SCORES;
  const first = load<i32>(tile, COLUMN) + load<i32>(tile, FIRST);
  for (let h = usize(first); h < usize(first + load<i32>(tile, COUNT)); h++) {
    for (let page: usize = 0; page < usize(pages); page++) {
      const distance = place - load<i32>(entries + page * 4) * 16;
      const at = scores + page * 64;
      if (linear) addSlope(at, at + 64, unit, load<f32>(biases + h * 4), distance);
      else addRow(at, at + 64, unit, biases + h * usize(2 * (reach + BLOCK_SLOTS)) * 4, reach, distance);
    }
    scores += SCORE_STRIDE;
  }
}

/** c tanh(score * unit / c) of all scores in [at, end). */
export function capScores(at: usize, end: usize, unit: f32, cap: f32): void {
  const units = f32x4.splat(unit), inverse = f32x4.splat(1 / cap);
  const most = f32x4.splat(SATURATED * cap), least = f32x4.splat(-SATURATED * cap);
  const one = f32x4.splat(1);
  const p1 = v128.load32_splat(TANH), p2 = v128.load32_splat(TANH, 4);
  const p3 = v128.load32_splat(TANH, 8), p4 = v128.load32_splat(TANH, 12);
  const q1 = v128.load32_splat(TANH, 16), q2 = v128.load32_splat(TANH, 20);
  const q3 = v128.load32_splat(TANH, 24), q4 = v128.load32_splat(TANH, 28);
  for (; at < end; at += 16) {
    // The rounding of 1 / c is in x^2 alone: where the cap does little, the score keeps all its digits.
    const s = f32x4.max(f32x4.min(f32x4.mul(v128.load(at), units), most), least);
    const x = f32x4.mul(s, inverse);
    const y = f32x4.mul(x, x);
    const p = madd(madd(madd(madd(p4, y, p3), y, p2), y, p1), y, one);
    const q = madd(madd(madd(madd(q4, y, q3), y, q2), y, q1), y, one);
    v128.store(at, f32x4.div(f32x4.mul(s, p), q));
  }
}

/** score * unit - slope * distance, where the distance of the first slot is given and falls by one for each. */
function addSlope(at: usize, end: usize, unit: f32, slope: f32, distance: i32): void {
  const units = f32x4.splat(unit), slopes = f32x4.splat(-slope);
  // Integers, for positions are beyond what f32 can count.
  let distances = i32x4.sub(i32x4.splat(distance), i32x4(0, 1, 2, 3));
  for (; at < end; at += 16) {
    v128.store(at, madd(v128.load(at), units, f32x4.mul(slopes, f32x4.convert_i32x4_s(distances))));
    distances = i32x4.sub(distances, i32x4.splat(4));
  }
}

/** score * unit + the bias of its distance in a head's row of biases. */
function addRow(at: usize, end: usize, unit: f32, biases: usize, reach: i32, distance: i32): void {
  const start = reach + BLOCK_SLOTS - min(max(distance, -reach), reach + BLOCK_SLOTS);
  biases += usize(start) * 4;
  const units = f32x4.splat(unit);
  for (; at < end; at += 16) {
    v128.store(at, madd(v128.load(at), units, v128.load(biases)));
    biases += 16;
  }
}

/** Sinks join a row's softmax as its first weight, which is `one`; `sinks` begin at the slice's first head. */
export function startWithSinks(
  sinks: usize, one: f32, group: i32, first: i32, rows: i32, head: i32, state: usize,
): void {
  for (let row = first; row < first + rows; row++) {
    const h = head * group + row % group;
    store<f32>(state, load<f32>(sinks + usize(h) * 4) * LOG2E);
    store<f32>(state, one, TOTALS);
    state += 4;
  }
}
