/** Choices of pages: one command for the bounds of all candidates' scores, one for the lists of all heads. */
import * as abi from "../../../../kernels/abi.js";
import * as call from "../../../../kernels/attention/attention-record.js";
import * as at from "../../../../kernels/attention/select-record.js";
import type { SelectCall, SelectPart } from "../../../tensor/backend.js";
import { PAGE_TOKENS } from "../../../tensor/kv.js";
import type { Machine } from "../machine.js";
import { WasmPageTable } from "../page-table.js";
import { WasmPages } from "../selected-pages.js";
import { own, ownInput, ownTensor, refuse } from "../tensors.js";
import { writeAdjustments } from "./attention-adjust.js";
import { checkBounds, writeBounds } from "./bounds.js";
import { checkSlice, sliceWords, touchPages, writeSlice } from "./slice.js";

/** Nanoseconds of one thread per multiplication, and per score that becomes a weight. */
const PRODUCT_NS = 0.06;
const WEIGHT_NS = 1;
/** Scores are taken for so many pages together, so that a growing text seldom needs more memory. */
const PIECE_PAGES = at.PIECE_QUADS * at.QUAD_PAGES;

/** What a part's spans say of its pages. */
interface Candidates {
  /** Entry of the first in the page table, and how many. */
  readonly first: number;
  readonly count: number;
  /** Pages that the earlier ranges touch. */
  readonly earlier: number;
  /** Address of the part's spans. */
  readonly spans: number;
}

/** Sums over the parts of a call that have been written. */
class Totals {
  items = 0;
  lists = 0;
  products = 0;
  weights = 0;
  scoreBytes = 0;
  columns = 0;
}

export function select(machine: Machine, given: SelectCall): WasmPages[] {
  const { parts } = given;
  const record = machine.allocateInput(call.CALL_BYTES + parts.length * at.PART_BYTES);
  const list = record + call.CALL_BYTES;
  const totals = new Totals();
  const records: number[] = [];
  const found = parts.map((part) => {
    const own = list + records.length * at.PART_BYTES;
    if (part.slice.heads.length > 0) records.push(own);
    return choose(machine, given, part, own, totals);
  });
  if (records.length === 0) return found;
  writeCall(machine, given, record, records.length, totals);
  const scores = machine.allocate(totals.scoreBytes);
  for (const part of records) machine.space.i32[(part + at.SCORES) >>> 2] += scores;
  const { commands } = machine;
  commands.begin(abi.SELECT_SCORES, totals.products * PRODUCT_NS);
  if (commands.meets) {
    for (const { bounds } of parts) touchPages(machine, own(WasmPageTable, bounds.table), false);
    const query = ownTensor(given.queries[given.queries.length - 1]);
    commands.touches(query.address, query.bytes, false);
  }
  commands.touches(scores, totals.scoreBytes, true).word(record).end();
  commands.begin(abi.SELECT_PAGES, totals.weights * WEIGHT_NS).touches(scores, totals.scoreBytes, true);
  for (const { lists, entries, bytes } of found) commands.touches(lists, bytes, true).touches(entries, bytes, true);
  commands.word(record).end();
  return found;
}

/** Writes the part's record at `record`, unless it has no heads. */
function choose(machine: Machine, given: SelectCall, part: SelectPart, record: number, totals: Totals): WasmPages {
  const { slice, bounds, pages } = part;
  const heads = slice.heads.length;
  const candidates = candidatesOf(machine, given, part);
  const listed = candidates.earlier + pages;
  const bytes = heads * listed * 4;
  const chosen = new WasmPages(machine, heads, listed, machine.allocate(bytes), machine.allocate(bytes));
  if (heads === 0) return chosen;
  const words = sliceWords("select", slice);
  const columns = words.headsEnd * given.group;
  const query = checkQuery(given, part, columns);
  writeSlice(machine, record, slice, words);
  const lane = part.at % PAGE_TOKENS;
  const blocks = checkBounds(machine, "select", slice, bounds, part.at, candidates.count);
  writeBounds(
    machine,
    { ...bounds, table: blocks },
    {
      table: record + at.BOUNDS_TABLE,
      member: record + at.BOUNDS_MEMBER,
      memberBytes: record + at.BOUNDS_MEMBER_BYTES,
    },
  );
  const pieces = Math.ceil((lane + candidates.count) / PIECE_PAGES);
  // A row of scores for each query head, in steps of four, and the weights.
  const scoreBytes = pieces * PIECE_PAGES * (Math.ceil(given.group / 4) * 4 + 1) * 4;
  const { i32 } = machine.space;
  i32[(record + at.FIRST_ITEM) >>> 2] = totals.items;
  i32[(record + at.END_ITEM) >>> 2] = totals.items + heads * pieces;
  i32[(record + at.QUERY) >>> 2] = query;
  i32[(record + at.PLACE) >>> 2] = placeOf(machine, given, part);
  i32[(record + at.SPANS) >>> 2] = candidates.spans;
  i32[(record + at.EARLIER) >>> 2] = part.ranges - 1;
  i32[(record + at.EARLIER_PAGES) >>> 2] = candidates.earlier;
  i32[(record + at.FIRST_BLOCK) >>> 2] = (part.at - lane) / PAGE_TOKENS;
  i32[(record + at.LANE) >>> 2] = lane;
  i32[(record + at.FIRST_PAGE) >>> 2] = candidates.first;
  i32[(record + at.CANDIDATES) >>> 2] = candidates.count;
  i32[(record + at.CHOSEN) >>> 2] = pages;
  i32[(record + at.OLDEST) >>> 2] = part.oldest;
  i32[(record + at.NEWEST) >>> 2] = part.newest;
  i32[(record + at.PIECES) >>> 2] = pieces;
  // From the beginning of all parts' scores, whose address is not known yet.
  i32[(record + at.SCORES) >>> 2] = totals.scoreBytes;
  i32[(record + at.SCORE_BYTES) >>> 2] = scoreBytes;
  i32[(record + at.LISTS) >>> 2] = chosen.lists;
  i32[(record + at.ENTRIES) >>> 2] = chosen.entries;
  totals.items += heads * pieces;
  totals.lists += heads;
  totals.products += candidates.count * heads * given.group * 2 * slice.store.layout.keyWidth;
  totals.weights += candidates.count * heads * given.group;
  totals.scoreBytes += heads * scoreBytes;
  totals.columns = Math.max(totals.columns, columns);
  return chosen;
}

function candidatesOf(machine: Machine, given: SelectCall, part: SelectPart): Candidates {
  const { ranges, pages, oldest, newest } = part;
  const spans = ownInput(given.spans);
  if (!(ranges >= 1 && part.spans >= 0 && (part.spans + ranges) * 2 <= spans.length))
    refuse("select", `${spans.length} span bounds for ${ranges} ranges at ${part.spans}`);
  const start = (spans.address >>> 2) + part.spans * 2;
  const { i32 } = machine.space;
  let earlier = 0;
  let last = 0;
  for (let range = 0; range < ranges - 1; range++) {
    const [low, high] = [i32[start + range * 2], i32[start + range * 2 + 1]];
    last = Math.max(last, high);
    if (low < high) earlier += Math.ceil(high / PAGE_TOKENS) - Math.floor(low / PAGE_TOKENS);
  }
  const [low, high] = [i32[start + ranges * 2 - 2], i32[start + ranges * 2 - 1]];
  const first = Math.ceil(low / PAGE_TOKENS);
  const count = Math.ceil(high / PAGE_TOKENS) - first;
  checkSlice(machine, "select", part.slice, Math.max(last, high));
  if (!(pages >= 1 && pages <= count && oldest >= 0 && newest >= 0 && oldest + newest <= pages))
    refuse("select", `${pages} pages, ${oldest} + ${newest} of them given, of ${count} candidates`);
  return { first, count, earlier, spans: start * 4 };
}

/** The address of the row's queries. */
function checkQuery({ queries, parts }: SelectCall, { first, slice }: SelectPart, columns: number): number {
  const query = ownTensor(queries[queries.length - 1]);
  const { keyWidth } = slice.store.layout;
  if (keyWidth !== parts[0].slice.store.layout.keyWidth) refuse("select", "parts of different widths");
  if (!(first >= 0 && first < query.rows && columns * keyWidth <= query.cols))
    refuse("select", `queries of ${query.rows} rows and ${query.cols} columns for row ${first}`);
  return query.address + first * query.cols * 4;
}

/** The slot at which the newest range's distances would be 0. */
function placeOf(machine: Machine, { bias }: SelectCall, { spans, ranges }: SelectPart): number {
  if (!bias) return 0;
  const places = ownInput(bias.places);
  if (!(spans + ranges <= places.length)) refuse("select", `${places.length} places of ${spans + ranges} ranges`);
  return machine.space.i32[(places.address >>> 2) + spans + ranges - 1];
}

function writeCall(machine: Machine, given: SelectCall, record: number, parts: number, totals: Totals): void {
  writeAdjustments(machine, given, record, totals.columns);
  const { i32, f32 } = machine.space;
  i32[(record + call.WIDTH) >>> 2] = given.parts[0].slice.store.layout.keyWidth;
  i32[(record + call.GROUP) >>> 2] = given.group;
  f32[(record + call.SCALE) >>> 2] = given.scale;
  i32[(record + call.WIDE) >>> 2] = machine.wide ? 1 : 0;
  i32[(record + call.SCRATCH) >>> 2] = machine.scratch;
  i32[(record + call.PARTS) >>> 2] = parts;
  i32[(record + call.PART_LIST) >>> 2] = record + call.CALL_BYTES;
  i32[(record + call.ITEMS) >>> 2] = totals.items;
  i32[(record + call.MERGED_ROWS) >>> 2] = totals.lists;
}
