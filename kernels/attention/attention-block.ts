// A block of a tile: the scores of up to four pages, and the weighted sum of their values. `members` lists the addresses of
// the block's pages (of this head), `page` has room for one page as f32. Written once for both builds of the register
// tiles: 128-bit ones (attention-tile.ts), and those for engines that join them in pairs (attention-wide.ts).
import { addValues, scorePage } from "./attention-tile";
import { addValues4, scorePage4 } from "./attention-tile-wide";
import { keysAsF32, valuesAsF32 } from "../kv/kv-page";

/** scores[row][16 * i ..] = q[row] . keys of page i. Half floats: see HALF_UNIT in kv-page.ts. */
// @ts-ignore: decorator
@inline
export function scorePages(
  wide: bool, q: usize, rows: i32, width: i32, members: usize, pages: i32, type: i32, page: usize, scores: usize,
): void {
  for (const end = members + usize(pages) * 4; members < end; members += 4) {
    const keys = keysAsF32(load<usize>(members), type, width, page);
    if (wide) scorePage4(q, rows, width, keys, scores);
    else scorePage(q, rows, width, keys, scores);
    scores += 64;
  }
}

/**
 * sums[row] = sums[row] * factors[row] + weights[row] . values of the block's slots [low, high); no other slot's value is
 * touched. The block's first page brings the factors in; `ones` [rows] takes their place for the pages after it.
 * `keyBytes` is where values begin in a page.
 */
// @ts-ignore: decorator
@inline
export function addPages(
  wide: bool, sums: usize, rows: i32, width: i32, weights: usize, factors: usize, ones: usize, members: usize,
  keyBytes: usize, low: i32, high: i32, type: i32, page: usize,
): void {
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    const last = min(high - start, 16);
    const values = valuesAsF32(load<usize>(members) + keyBytes, type, width, first, last, page);
    if (wide) addValues4(sums, rows, width, weights, factors, values, first, last);
    else addValues(sums, rows, width, weights, factors, values, first, last);
    factors = ones;
    weights += 64;
    members += 4;
  }
}
