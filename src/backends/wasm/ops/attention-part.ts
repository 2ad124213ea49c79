/**
 * A part of a call of attention, checked, as kernels/attention/attention-record.ts describes it. How it is cut into items
 * follows from the part alone: its numbers must not depend on what else is in the call.
 */
import { TILE_ROWS } from "../../../../kernels/abi.js";
import * as at from "../../../../kernels/attention/attention-record.js";
import { TABLE, TABLE_STRIDE } from "../../../../kernels/kv/slice-record.js";
import type { AttentionCall, AttentionPart } from "../../../tensor/backend.js";
import { PAGE_TOKENS } from "../../../tensor/kv.js";
import type { Machine } from "../machine.js";
import { WasmPages } from "../selected-pages.js";
import { own, ownInput, refuse } from "../tensors.js";
import { checkSlice, sliceWords, writeSlice } from "./slice.js";

/** With fewer items than this, long ranges are cut, so that many threads find work. Never depends on the threads. */
const FEW_ITEMS = 64;
/** Slots of a chunk at least; a multiple of the kernel's block. */
const CHUNK_SLOTS = 512;
const MOST_CHUNKS = 64;

/** Sums over the parts of a call that have been written. */
export class PartTotals {
  parts = 0;
  items = 0;
  /** Multiplications. */
  products = 0;
  /** Rows of all heads whose chunks are to be joined, and the numbers that this adds up. */
  mergedRows = 0;
  mergedNumbers = 0;
  partialBytes = 0;
  /** Query heads up to the last that a part has. */
  columns = 0;
}

/** Slots that a range covers in any row: [low, high), equal when it is empty in all. */
interface Extent {
  readonly low: number;
  readonly high: number;
}

/** Writes the part's record at the end of `list`, unless it has nothing to do. `queries`: the addresses of all ranges'. */
export function writePart(
  machine: Machine,
  call: AttentionCall,
  part: AttentionPart,
  list: number,
  queries: number,
  totals: PartTotals,
): void {
  const { slice, first, rows, ranges } = part;
  const heads = slice.heads.length;
  const words = heads > 0 ? sliceWords("attention", slice) : undefined;
  checkPart(call, part, words?.headsEnd ?? 0);
  if (rows === 0 || !words) return;
  const spans = (ownInput(call.spans).address >>> 2) + part.spans * 2;
  const slots = slotsSeen(machine, part, spans);
  const tiles = Math.ceil((rows * call.group) / TILE_ROWS);
  const cut = tiles * heads < FEW_ITEMS && slots >= 2 * CHUNK_SLOTS;
  const size = cut ? chunkSize(slots, rows === 1 ? MOST_CHUNKS : Math.ceil(FEW_ITEMS / (tiles * heads))) : 0;
  const chunkList = cut ? allocateChunks(machine, slots, ranges, size) : 0;
  const chunks = cut ? writeChunks(machine, part, spans, size, chunkList) : 0;
  const record = list + totals.parts * at.PART_BYTES;
  writeSlice(machine, record, slice, words);
  writeSelection(machine, record, part);
  const { i32 } = machine.space;
  i32[(record + at.FIRST_ITEM) >>> 2] = totals.items;
  i32[(record + at.END_ITEM) >>> 2] = totals.items + tiles * heads * Math.max(chunks, 1);
  i32[(record + at.FIRST_TOKEN) >>> 2] = first;
  i32[(record + at.ROWS) >>> 2] = rows * call.group;
  i32[(record + at.RANGES) >>> 2] = ranges;
  i32[(record + at.QUERIES) >>> 2] = queries + (call.queries.length - ranges) * 4;
  i32[(record + at.SPANS) >>> 2] = spans * 4;
  i32[(record + at.PLACES) >>> 2] = call.bias ? ownInput(call.bias.places).address + part.spans * 4 : 0;
  i32[(record + at.TILES) >>> 2] = tiles;
  i32[(record + at.CHUNKS) >>> 2] = chunks;
  i32[(record + at.CHUNK_LIST) >>> 2] = chunkList;
  // From the beginning of all parts' partial results, whose address is not known yet.
  i32[(record + at.PARTIALS) >>> 2] = totals.partialBytes;
  totals.columns = Math.max(totals.columns, words.headsEnd * call.group);
  addPart(totals, call, part, tiles, chunks, slots);
}

function addPart(
  totals: PartTotals,
  { group }: AttentionCall,
  { slice, rows }: AttentionPart,
  tiles: number,
  chunks: number,
  slots: number,
): void {
  const { keyWidth, valueWidth } = slice.store.layout;
  const heads = slice.heads.length;
  const rowsOfHeads = rows * group * heads;
  totals.parts++;
  totals.items += tiles * heads * Math.max(chunks, 1);
  totals.products += slots * rowsOfHeads * (keyWidth + valueWidth);
  totals.mergedRows += chunks > 0 ? rowsOfHeads : 0;
  totals.mergedNumbers += chunks * rowsOfHeads * valueWidth;
  totals.partialBytes += chunks * rowsOfHeads * (valueWidth * 4 + 16);
}

/** Partial results of the `count` parts at `list` lie from `address` on. */
export function placePartials(machine: Machine, list: number, count: number, address: number): void {
  const { i32 } = machine.space;
  for (let i = 0; i < count; i++) i32[(list + i * at.PART_BYTES + at.PARTIALS) >>> 2] += address;
}

function checkPart(
  { out, queries, spans, bias, parts, group }: AttentionCall,
  part: AttentionPart,
  headsEnd: number,
): void {
  const { slice, first, rows, ranges } = part;
  const { keyWidth, valueWidth } = slice.store.layout;
  const { layout } = parts[0].slice.store;
  if (keyWidth !== layout.keyWidth || valueWidth !== layout.valueWidth)
    refuse("attention", "parts of different widths");
  if (!(first >= 0 && rows >= 0 && first + rows <= out.rows))
    refuse("attention", `row ${first + rows - 1} of ${out.rows}`);
  if (!(ranges <= queries.length)) refuse("attention", `${ranges} ranges of ${queries.length} queries`);
  const pairs = part.spans + rows * ranges;
  if (!(part.spans >= 0 && pairs * 2 <= ownInput(spans).length))
    refuse("attention", `${ownInput(spans).length} span bounds`);
  if (bias && !(pairs <= ownInput(bias.places).length))
    refuse("attention", `${ownInput(bias.places).length} places of ${pairs} rows and ranges`);
  const columns = headsEnd * group;
  if (columns * valueWidth > out.cols) refuse("attention", `an output of ${out.cols} columns`);
  if (queries.length > 0 && columns * keyWidth > queries[0].cols)
    refuse("attention", `queries of ${queries[0].cols} columns`);
}

/** The lists of chosen pages take the place of the table. */
function writeSelection(machine: Machine, record: number, { selection, slice, rows }: AttentionPart): void {
  const { i32 } = machine.space;
  i32[(record + at.ENTRIES) >>> 2] = 0;
  if (!selection) return;
  const { lists, entries, heads, pages, place } = own(WasmPages, selection);
  if (!(place === machine.place && heads === slice.heads.length && rows === 1))
    refuse("attention", `lists of ${heads} heads in memory ${place} for ${rows} rows of ${slice.heads.length} heads`);
  i32[(record + TABLE) >>> 2] = lists;
  i32[(record + TABLE_STRIDE) >>> 2] = pages * 4;
  i32[(record + at.ENTRIES) >>> 2] = entries;
}

/** Slots from the first that any row sees to the last, summed over the ranges. The part's table or lists must have them. */
function slotsSeen(machine: Machine, { slice, rows, ranges, selection }: AttentionPart, spans: number): number {
  const { i32 } = machine.space;
  let slots = 0;
  let end = 0;
  for (let range = 0; range < ranges; range++) {
    const { low, high } = extentOf(i32, spans, rows, ranges, range);
    end = Math.max(end, high);
    slots += high - low;
  }
  checkSlice(machine, "attention", slice, selection ? 0 : end);
  if (selection && !(end <= selection.pages * PAGE_TOKENS))
    refuse("attention", `slot ${end - 1} of lists of ${selection.pages} pages`);
  return slots;
}

function extentOf(i32: Int32Array, spans: number, rows: number, ranges: number, range: number): Extent {
  let low = 0;
  let high = 0;
  for (let row = 0; row < rows; row++) {
    const span = spans + (row * ranges + range) * 2;
    if (i32[span] >= i32[span + 1]) continue;
    low = high === 0 ? i32[span] : Math.min(low, i32[span]);
    high = Math.max(high, i32[span + 1]);
  }
  return { low, high };
}

/** Partial results of many rows are large, so these have no more chunks than give all threads work. */
function chunkSize(slots: number, most: number): number {
  return Math.ceil(slots / most / CHUNK_SLOTS) * CHUNK_SLOTS;
}

function allocateChunks(machine: Machine, slots: number, ranges: number, size: number): number {
  return machine.allocateInput((Math.ceil(slots / size) + 2 * ranges) * at.CHUNK_BYTES);
}

/**
 * Cuts the ranges, each from the page on that its first slot lies in, whatever is held before it; returns how many pieces there
 * are.
 */
function writeChunks(
  machine: Machine,
  { rows, ranges }: AttentionPart,
  spans: number,
  size: number,
  list: number,
): number {
  const { i32 } = machine.space;
  let count = 0;
  for (let range = 0; range < ranges; range++) {
    const { low, high } = extentOf(i32, spans, rows, ranges, range);
    for (let start = low - (low % PAGE_TOKENS); start < high; start += size) {
      const chunk = list + count++ * at.CHUNK_BYTES;
      i32[(chunk + at.CHUNK_RANGE) >>> 2] = range;
      i32[(chunk + at.CHUNK_START) >>> 2] = start;
      i32[(chunk + at.CHUNK_END) >>> 2] = start + size;
    }
  }
  return count;
}
