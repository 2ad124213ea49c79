// The slots of a range that a tile sees, block by block: scores, what is done to them, the mask, weights, weighted values.
import { BLOCK_SLOTS } from "../abi";
import { adjustBlock } from "./attention-adjust";
import { packQueries } from "./attention-queries";
import { ADJUSTED, GROUP, RANGES, SPANS, TILES } from "./attention-record";
import { CALL, COUNT, FETCHED, FIRST, HEAD, MEMBERS, PART, SCORES } from "./attention-scratch";
import { addBlock, scoreBlock, weighBlock } from "./attention-steps";
import { SCORE_STRIDE } from "./attention-tile";
import { offsetOf, tableOf } from "../kv/slice";
import { MEMBER_BYTES } from "../kv/slice-record";

/** Adds what the tile's rows see in the range, cut to the slots [from, to). */
export function attendRange(tile: usize, range: i32, from: i32, to: i32): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const group = load<i32>(call, GROUP);
  const first = load<i32>(tile, FIRST);
  const last = (first + load<i32>(tile, COUNT) - 1) / group;
  const spans = load<usize>(part, SPANS) + usize(range) * 8;
  const spanBytes = usize(load<i32>(part, RANGES)) * 8;
  // Some row sees a slot of [low, high); all rows see all slots of [innerLow, innerHigh).
  let low = to, high = from;
  let innerLow = from, innerHigh = to;
  for (let t = first / group; t <= last; t++) {
    const span = spans + usize(t) * spanBytes;
    const start = max(load<i32>(span), from);
    const end = min(load<i32>(span, 4), to);
    innerLow = max(innerLow, start);
    innerHigh = min(innerHigh, end);
    if (start >= end) continue;
    low = min(low, start);
    high = max(high, end);
  }
  if (low >= high) return;
  packQueries(tile, range);
  const adjusted = load<i32>(call, ADJUSTED) != 0;
  for (let slot = low & ~15; slot < high; slot += BLOCK_SLOTS) {
    const end = min(slot + BLOCK_SLOTS, high);
    const pages = (end - slot + 15) >> 4;
    listPages(tile, slot >> 4, pages);
    scoreBlock(tile, pages);
    if (adjusted) adjustBlock(tile, range, slot, pages);
    if (slot < innerLow || slot + pages * 16 > innerHigh) maskBlock(tile, spans, spanBytes, slot, pages, from, to);
    weighBlock(tile, pages);
    addBlock(tile, max(low - slot, 0), end - slot);
  }
}

/** Lists the addresses of a block's pages, and fetches them if this tile alone reads them. */
function listPages(tile: usize, page: i32, pages: i32): void {
  const part = load<usize>(tile, PART);
  const head = load<i32>(tile, HEAD);
  const table = tableOf(part, head) + usize(page) * 4;
  const offset = offsetOf(part, head);
  for (let i: usize = 0; i < usize(pages); i++) store<usize>(tile + i * 4, load<usize>(table + i * 4) + offset, MEMBERS);
  if (load<i32>(part, TILES) == 1) fetchPages(tile + MEMBERS, pages, load<usize>(part, MEMBER_BYTES), tile + FETCHED);
}

/**
 * Reads a word of every cache line of up to four pages, whose addresses are listed, so that their transfers from memory overlap: a long cache is read
 * once per token, its pages lie scattered, and the arithmetic alone leaves a core waiting at the start of each. The pages
 * take turns, and so do their keys and values: what a core waits for longest is to learn where a page lies, and it can ask
 * for several. What was read has no meaning; storing it keeps the reads from being removed.
 */
export function fetchPages(members: usize, pages: i32, bytes: usize, fetched: usize): void {
  const a = load<usize>(members);
  const b = load<usize>(members + usize(min(pages - 1, 1)) * 4);
  const c = load<usize>(members + usize(min(pages - 1, 2)) * 4);
  const d = load<usize>(members + usize(min(pages - 1, 3)) * 4);
  const half = ((bytes >> 1) + 63) & ~63;
  const rest = bytes - half;
  let any = 0;
  for (let at: usize = 0; at < half; at += 64) {
    any |= load<i32>(a + at) | load<i32>(b + at) | load<i32>(c + at) | load<i32>(d + at);
    any |= load<i32>(a + at + rest) | load<i32>(b + at + rest) | load<i32>(c + at + rest) | load<i32>(d + at + rest);
  }
  store<i32>(fetched, any);
}

/** Scores of slots outside of a row's span, cut to [from, to), become -inf. */
function maskBlock(
  tile: usize, spans: usize, spanBytes: usize, slot: i32, pages: i32, from: i32, to: i32,
): void {
  const group = load<i32>(load<usize>(tile, CALL), GROUP);
  const first = load<i32>(tile, FIRST), rows = load<i32>(tile, COUNT);
  const none = f32x4.splat(-Infinity);
  let scores = tile + SCORES;
  for (let row = first; row < first + rows; row++) {
    const span = spans + usize(row / group) * spanBytes;
    const start = i32x4.splat(max(load<i32>(span), from));
    const end = i32x4.splat(min(load<i32>(span, 4), to));
    let slots = i32x4.add(i32x4.splat(slot), i32x4(0, 1, 2, 3));
    const last = scores + usize(pages) * 64;
    for (let at = scores; at < last; at += 16) {
      const seen = v128.and(i32x4.ge_s(slots, start), i32x4.lt_s(slots, end));
      v128.store(at, v128.bitselect(v128.load(at), none, seen));
      slots = i32x4.add(slots, i32x4.splat(4));
    }
    scores += SCORE_STRIDE;
  }
}
