// Products of many tokens in 16 bits by the wide module (wide-integers.ts): two of linear-panel's panels beside one another,
// sixteen weight rows, meet activations in groups of eight tokens (quantise-pairs). The same bits as there.

import { EIGHTS, WIDE_SIXTEEN } from "../abi";
import { OFFSETS, pack, PANEL, PANEL_COLUMNS, PANEL_ROWS, SCALES } from "./linear-panel";
import { PAIRS_BYTES, PAIRS_SCALES_AT, PAIRS_SUMS_AT } from "../quantise/quantise-pairs";
import { hasOffsets } from "../quantise/unpack";

// Places in a thread's scratch memory, behind linear-panel's: i16 [128][16][2], f32 scales [8][16], f32 offsets [16][16].
const WIDE_PANEL: usize = 20480;
const WIDE_SCALES: usize = 28672;
const WIDE_OFFSETS: usize = 29184;
/** Sums of a tile, f32 [tokens][16]: as many bytes as those of linear-bytes. */
// @ts-ignore: decorator
@inline
export const PAIRS_SUMS: usize = 30720;

/** `count` lines of eight rows to lines of sixteen. */
function spread(from: usize, count: i32, to: usize): void {
  for (const end = from + (<usize>count << 5); from < end; from += 32) {
    const low = v128.load(from);
    const high = v128.load(from, 16);
    v128.store(to, low);
    v128.store(to, high, 16);
    to += 64;
  }
}

/** Columns [first, first + count) of weight rows [row, row + 16) to the wide panel; rows past `last` repeat others. */
function packWide(
  dtype: i32, weight: usize, stride: usize, row: i32, last: i32, first: i32, count: i32, scratch: usize,
): void {
  for (let half = 0; half < 2; half++) {
    const at = row + half * PANEL_ROWS;
    // Rows by eights are a multiple of eight, so eight rows are past the last one or none is.
    pack(dtype, weight, stride, dtype >= EIGHTS ? min(at, last - 7) : at, last, first, count, scratch);
    const lane = <usize>half << 5;
    spread(scratch + PANEL, count >> 1, scratch + WIDE_PANEL + lane);
    spread(scratch + SCALES, count >> 5, scratch + WIDE_SCALES + lane);
    if (hasOffsets(dtype)) spread(scratch + OFFSETS, count >> 4, scratch + WIDE_OFFSETS + lane);
  }
}

/**
 * Products of quantised weight rows [row, row + 16) (rows past `last` repeat others) and `tokens` tokens of the groups at x, to
 * the sums in scratch.
 */
export function pairProducts(
  dtype: i32, weight: usize, weightStride: usize, row: i32, last: i32, columns: i32, x: usize, tokens: i32,
  scratch: usize,
): void {
  const width = <usize>columns;
  memory.fill(scratch + PAIRS_SUMS, 0, <usize>((tokens + 3) & ~3) << 6);
  for (let k = 0; k < columns; k += PANEL_COLUMNS) {
    const count = min(PANEL_COLUMNS, columns - k);
    const at = <usize>k;
    packWide(dtype, weight, weightStride, row, last, k, count, scratch);
    call_indirect<void>(
      WIDE_SIXTEEN, scratch + WIDE_PANEL, scratch + WIDE_SCALES, scratch + WIDE_OFFSETS, count >> 5,
      hasOffsets(dtype) ? count >> 4 : 0, x + (at << 4), x + PAIRS_SCALES_AT * width + at,
      x + PAIRS_SUMS_AT * width + (at << 1), PAIRS_BYTES * width, tokens, scratch + PAIRS_SUMS,
    );
  }
}
