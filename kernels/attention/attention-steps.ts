// The three steps of a block: scores of its keys, their weights, the weighted sum of its values. Each is there twice, as
// 128-bit operations here and as pairs for engines that join them (attention-wide.ts), the latter called through the table;
// once more for few rows over half floats (attention-few.ts), and in integers over pages of 4 bits (attention-nibbles.ts).
import { KV_F16, KV_Q4, WIDE_ADD, WIDE_SCORES, WIDE_SOFTMAX } from "../abi";
import { addPages, scorePages } from "./attention-block";
import { addFew, readsHalves, scoreFew } from "./attention-few";
import { addNibbles, scoreNibbles } from "./attention-nibbles";
import { weightUnit } from "./attention-queries";
import { VALUE_WIDTH, WIDE, WIDTH } from "./attention-record";
import { CALL, COUNT, MEMBERS, ONES, PAGE, PART, Q, SCORES, STATE, SUMS, UNITS, WORK } from "./attention-scratch";
import { FACTORS, softmaxBlock, WEIGHT_SHIFT } from "./attention-softmax";
import { KEY_BYTES, KEY_TYPE, VALUE_TYPE } from "../kv/slice-record";

// Fewer rows of pages that are widened into memory are left to the narrow tiles, which do not round them up to four.
const LEAST_WIDE_ROWS: i32 = 3;

export function scoreBlock(tile: usize, pages: i32): void {
  const call = load<usize>(tile, CALL);
  const rows = load<i32>(tile, COUNT);
  const width = load<i32>(call, WIDTH);
  const type = load<i32>(load<usize>(tile, PART), KEY_TYPE);
  const q = tile + Q, members = tile + MEMBERS, page = tile + PAGE, scores = tile + SCORES;
  const wide = load<i32>(call, WIDE) != 0;
  if (type == KV_Q4) scoreNibbles(wide, q, tile + UNITS, rows, width, members, pages, page, scores);
  else if (readsHalves(wide, rows, type)) scoreFew(wide, q, rows, width, members, pages, scores);
  else if (wide && rows >= LEAST_WIDE_ROWS) call_indirect<void>(WIDE_SCORES, q, rows, width, members, pages, type, page, scores);
  else scorePages(false, q, rows, width, members, pages, type, page, scores);
}

export function weighBlock(tile: usize, pages: i32): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const rows = load<i32>(tile, COUNT);
  const unit = weightUnit(call, part);
  const shift: f32 = load<i32>(part, VALUE_TYPE) == KV_F16 ? WEIGHT_SHIFT : f32(0);
  const scores = tile + SCORES, state = tile + STATE, work = tile + WORK;
  if (load<i32>(call, WIDE) != 0) call_indirect<void>(WIDE_SOFTMAX, scores, rows, pages, unit, shift, state, work);
  else softmaxBlock(scores, rows, pages, unit, shift, state, work);
}

/** Of the block's slots [low, high); no other slot's value is touched. */
export function addBlock(tile: usize, low: i32, high: i32): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const rows = load<i32>(tile, COUNT);
  const width = load<i32>(call, VALUE_WIDTH);
  const type = load<i32>(part, VALUE_TYPE);
  const keyBytes = load<usize>(part, KEY_BYTES);
  const sums = tile + SUMS, weights = tile + SCORES, factors = tile + STATE + FACTORS, ones = tile + ONES;
  const members = tile + MEMBERS, page = tile + PAGE;
  const wide = load<i32>(call, WIDE) != 0;
  if (type == KV_Q4) {
    addNibbles(wide, sums, rows, width, weights, factors, members, keyBytes, (high + 15) >> 4, page);
  } else if (readsHalves(wide, rows, type)) {
    addFew(wide, sums, rows, width, weights, factors, members, keyBytes, low, high, page);
  } else if (wide && rows >= LEAST_WIDE_ROWS) {
    call_indirect<void>(
      WIDE_ADD, sums, rows, width, weights, factors, ones, members, keyBytes, low, high, type, page,
    );
  } else addPages(false, sums, rows, width, weights, factors, ones, members, keyBytes, low, high, type, page);
}
