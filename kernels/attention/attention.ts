// Exact attention over pages with online softmax (FlashAttention; Dao et al. 2022), for decode, prefill and any policy: a
// layer of a step in one command, however many sequences and sets of heads take part.
//
// A call has parts (attention-record.ts): the rows of one sequence through some of its KV heads. A part is cut into items:
// a tile of up to 64 rows x a KV head x, where the part by itself would not keep all threads busy, a chunk of a range's
// slots; then ATTENTION_MERGE joins the partial results. How a part is cut does not depend on the other parts, nor on the
// threads, and an item belongs to one part: so a part's numbers are those of a call in which it is alone.
//
// Arguments: 0 record.
import { COUNTER, KV_F16, SCRATCH_BYTES, TILE_ROWS } from "../abi";
import { startWithSinks } from "./attention-adjust";
import { attendRange } from "./attention-range";
import {
  CHUNK_BYTES, CHUNK_END, CHUNK_LIST, CHUNK_RANGE, CHUNK_START, CHUNKS, END_ITEM, FIRST_ITEM, GROUP, ITEMS, PART_BYTES,
  PART_LIST, RANGES, ROWS, SCRATCH, SINKS, TILES, VALUE_WIDTH,
} from "./attention-record";
import { COLUMN, openScratch, openTile, STATE } from "./attention-scratch";
import { WEIGHT_UNIT } from "./attention-softmax";
import { writePartial, writeRows } from "./attention-write";
import { HEADS, VALUE_TYPE } from "../kv/slice-record";

export function attention(args: usize, thread: i32, threads: i32): void {
  const call = load<usize>(args);
  const tile = load<usize>(call, SCRATCH) + usize(thread) * SCRATCH_BYTES;
  openScratch(tile, call);
  const items = load<i32>(call, ITEMS);
  let part = load<usize>(call, PART_LIST);
  for (;;) {
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) return;
    // The items that a thread draws ascend, and so do those of the parts.
    while (item >= load<i32>(part, END_ITEM)) part += PART_BYTES;
    attendItem(tile, call, part, item - load<i32>(part, FIRST_ITEM));
  }
}

function attendItem(tile: usize, call: usize, part: usize, item: i32): void {
  const tiles = load<i32>(part, TILES);
  const heads = load<i32>(part, HEADS);
  const unit = item / tiles;
  const head = unit % heads;
  const chunk = unit / heads;
  // Later tiles see more and come first, so that the last items are small and threads end together.
  const first = (tiles - 1 - (item % tiles)) * TILE_ROWS;
  const rows = min(TILE_ROWS, load<i32>(part, ROWS) - first);
  openTile(tile, part, head, first, rows, load<i32>(call, VALUE_WIDTH));
  if (chunk == 0) addSinks(tile, call, part, first, rows);
  if (load<i32>(part, CHUNKS) == 0) {
    const ranges = load<i32>(part, RANGES);
    for (let range = 0; range < ranges; range++) attendRange(tile, range, 0, i32.MAX_VALUE);
    writeRows(tile);
  } else {
    const piece = load<usize>(part, CHUNK_LIST) + usize(chunk) * CHUNK_BYTES;
    attendRange(tile, load<i32>(piece, CHUNK_RANGE), load<i32>(piece, CHUNK_START), load<i32>(piece, CHUNK_END));
    writePartial(tile, chunk, piece);
  }
}

function addSinks(tile: usize, call: usize, part: usize, first: i32, rows: i32): void {
  const sinks = load<usize>(call, SINKS);
  if (sinks == 0) return;
  const one = load<i32>(part, VALUE_TYPE) == KV_F16 ? WEIGHT_UNIT : f32(1);
  startWithSinks(sinks + usize(load<i32>(tile, COLUMN)) * 4, one, load<i32>(call, GROUP), first, rows, 0, tile + STATE);
}
