// The scratch memory of a thread that attends: which tile it is at, then what the steps of a block of scores work with.
//
// A tile is up to 64 rows of a part through one KV head. Its rows are neighbours: row = t * G + g for the part's token t and
// the head's query head g. `tile` in the functions around is the address of a thread's scratch memory.
import { BLOCK_SLOTS, MAX_HEAD_WIDTH, SCRATCH_BYTES, TILE_ROWS } from "../abi";
import { FIRST_ITEM, GROUP } from "./attention-record";
import { FACTORS, LEAST, TOTALS, WORK_BYTES } from "./attention-softmax";
import { SCORE_STRIDE } from "./attention-tile";
import { headOf } from "../kv/slice";
import { SLICE_BYTES } from "../kv/slice-record";

// Which tile.
export const CALL: usize = 0; // records, see attention-record.ts
export const PART: usize = 4;
export const HEAD: usize = 8; // the KV head, counted within the part
export const COLUMN: usize = 12; // its first query head in the layer
export const FIRST: usize = 16; // the tile's first row in the part
export const COUNT: usize = 20; // its rows

// Queries and sums [64][512], a page as f32 [16][512], scores [64][64].
export const Q: usize = 64;
export const SUMS: usize = Q + TILE_ROWS * MAX_HEAD_WIDTH * 4;
export const PAGE: usize = SUMS + TILE_ROWS * MAX_HEAD_WIDTH * 4;
export const SCORES: usize = PAGE + 16 * MAX_HEAD_WIDTH * 4;
// Maxima, totals and factors of the rows (see attention-softmax.ts), then ones.
export const STATE: usize = SCORES + TILE_ROWS * SCORE_STRIDE;
export const ONES: usize = STATE + TILE_ROWS * 12;
// Addresses of the members of the block's pages, what fetchPages read, and what softmaxBlock works with.
export const MEMBERS: usize = ONES + TILE_ROWS * 4;
export const FETCHED: usize = MEMBERS + (BLOCK_SLOTS >> 4) * 4;
export const WORK: usize = FETCHED + 16;
// What the rows' queries of 16 bits are multiplied by, and a query as f32 (see attention-nibbles.ts).
export const UNITS: usize = WORK + WORK_BYTES;
export const SPARE: usize = UNITS + TILE_ROWS * 4;
const END: usize = SPARE + MAX_HEAD_WIDTH * 4 + 16;

/** What every tile of a call finds. */
export function openScratch(tile: usize, call: usize): void {
  if (END > usize(SCRATCH_BYTES)) ERROR("Attention's scratch is larger than SCRATCH_BYTES.");
  if (FIRST_ITEM != SLICE_BYTES) ERROR("A part's own words do not begin where those of its slice end.");
  store<usize>(tile, call, CALL);
  for (let i: usize = 0; i < usize(TILE_ROWS); i++) {
    store<f32>(tile + i * 4, 1, ONES);
    store<f32>(tile + i * 4, 1, STATE + FACTORS);
  }
}

/** Turns to another tile, of which nothing was seen yet. `width` is Dv. */
export function openTile(tile: usize, part: usize, head: i32, first: i32, rows: i32, width: i32): void {
  store<usize>(tile, part, PART);
  store<i32>(tile, head, HEAD);
  store<i32>(tile, headOf(part, head) * load<i32>(load<usize>(tile, CALL), GROUP), COLUMN);
  store<i32>(tile, first, FIRST);
  store<i32>(tile, rows, COUNT);
  memory.fill(tile + SUMS, 0, usize(roundUp(rows) * width) * 4);
  for (let i: usize = 0; i < usize(rows); i++) {
    store<f32>(tile + i * 4, LEAST, STATE);
    store<f32>(tile + i * 4, 0, STATE + TOTALS);
  }
}

/** The wide register tiles take four rows each. */
// @ts-ignore: decorator
@inline
export function roundUp(rows: i32): i32 {
  return (rows + 3) & ~3;
}
