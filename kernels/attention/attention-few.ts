// A block of a tile of few rows over pages of half floats, which are read as they are: which product does what. Those of
// attention-halves-wide.ts are called through the table; without them one row alone is done so.
import {
  KV_F16, WIDE_ADD_FOUR_ROWS, WIDE_ADD_ONE_ROW, WIDE_ADD_TWO_ROWS, WIDE_SCORE_FOUR_ROWS, WIDE_SCORE_ONE_ROW,
  WIDE_SCORE_TWO_ROWS,
} from "../abi";
import { addHalves1, addHalves2, addHalvesQuad, addLanes, orderLanes, scoreHalves1 } from "./attention-halves";
import { SCORE_STRIDE } from "./attention-tile";

// With more rows a page is widened into memory once for all: measured (docs/log.md).
const MOST_ROWS: i32 = 1;
const MOST_WIDE_ROWS: i32 = 16;

/** Whether a tile of so many rows reads pages of this type as they are. */
// @ts-ignore: decorator
@inline
export function readsHalves(wide: bool, rows: i32, type: i32): bool {
  return type == KV_F16 && rows <= (wide ? MOST_WIDE_ROWS : MOST_ROWS);
}

/**
 * How many rows the next product takes where `left` of `rows` are left: four where only one or three are, for queries are
 * filled up to a multiple of that.
 */
// @ts-ignore: decorator
@inline
function stepOf(rows: i32, left: i32): i32 {
  return left == 2 ? 2 : rows == 1 ? 1 : 4;
}

/** As scorePages in attention-block.ts. */
export function scoreFew(
  wide: bool, q: usize, rows: i32, width: i32, members: usize, pages: i32, scores: usize,
): void {
  const stride = usize(width) * 4;
  for (let page: usize = 0; page < usize(pages); page++) {
    const keys = load<usize>(members + page * 4);
    if (wide) scoreRows(q, stride, rows, keys, scores + page * 64);
    else scoreHalves1(q, stride, keys, scores + page * 64);
  }
  for (const end = scores + usize(rows) * SCORE_STRIDE; scores < end; scores += SCORE_STRIDE) {
    for (let page: usize = 0; page < usize(pages); page++) orderLanes(scores + page * 64);
  }
}

function scoreRows(q: usize, stride: usize, rows: i32, keys: usize, scores: usize): void {
  for (let left = rows; left > 0; ) {
    const step = stepOf(rows, left);
    const slot = step == 1 ? WIDE_SCORE_ONE_ROW : step == 2 ? WIDE_SCORE_TWO_ROWS : WIDE_SCORE_FOUR_ROWS;
    call_indirect<void>(slot, q, stride, keys, scores);
    q += usize(step) * stride;
    scores += usize(step) * SCORE_STRIDE;
    left -= step;
  }
}

/** As addPages in attention-block.ts. `lanes` is memory for 64 numbers. */
export function addFew(
  wide: bool, sums: usize, rows: i32, width: i32, weights: usize, factors: usize, members: usize, keyBytes: usize,
  low: i32, high: i32, lanes: usize,
): void {
  const stride = usize(width) * 4;
  for (let left = rows; left > 0; ) {
    const step = stepOf(rows, left), taken = min(step, left);
    const columns = width & ~15;
    for (let d = 0; d < columns; ) {
      const dims = dimsOf(wide, step, columns - d);
      addDims(dims, lanes, step, weights, members, keyBytes + usize(d) * 2, stride >> 1, low, high);
      for (let row: usize = 0; row < usize(taken); row++) {
        const bytes = usize(dims) * 4;
        addLanes(sums + row * stride + usize(d) * 4, factors + row * 4, lanes + row * bytes, bytes);
      }
      d += dims;
    }
    for (let row = 0; row < taken; row++) {
      for (let d = columns; d < width; d += 4) {
        addHalvesQuad(sums + usize(d) * 4, weights, factors, members, keyBytes + usize(d) * 2, stride >> 1, low, high);
      }
      sums += stride;
      weights += SCORE_STRIDE;
      factors += 4;
    }
    left -= taken;
  }
}

/** How many of the `left` dims (a multiple of 16) the next product takes, of one, two or four rows. */
function dimsOf(wide: bool, rows: i32, left: i32): i32 {
  if (rows == 1 && wide && left >= 64) return 64;
  return rows <= 2 && left >= 32 ? 32 : 16;
}

function addDims(
  dims: i32, lanes: usize, rows: i32, weights: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  if (dims == 64) call_indirect<void>(WIDE_ADD_ONE_ROW, lanes, weights, members, offset, stride, low, high);
  else if (rows == 4) call_indirect<void>(WIDE_ADD_FOUR_ROWS, lanes, weights, members, offset, stride, low, high);
  else if (dims == 16) addHalves2(lanes, weights, usize(rows - 1) * SCORE_STRIDE, members, offset, stride, low, high);
  else if (rows == 1) addHalves1(lanes, weights, members, offset, stride, low, high);
  else call_indirect<void>(WIDE_ADD_TWO_ROWS, lanes, weights, members, offset, stride, low, high);
}
