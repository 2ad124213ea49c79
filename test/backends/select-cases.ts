/** Caches whose pages are bounded, rows that read some of their pages, and the same worked out by brute force in double precision. */
import { KV_FORMATS } from "../../src/quant/kv/index.js";
import type {
  AttentionBias,
  AttentionPart,
  Backend,
  RopeLayout,
  SelectCall,
  SelectedPages,
  SelectPart,
} from "../../src/tensor/backend.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { boundsLayout, type KvBounds, type KvSlice, PAGE_TOKENS } from "../../src/tensor/kv.js";
import { Random } from "../../src/util/random.js";
import { numbers, tensorOf, weightOf } from "./devices.js";

/** One sequence that decodes: its newest token is in the cache and asks. */
export interface Row {
  readonly tokens: number;
  readonly keyType: KvType;
  readonly valueType: KvType;
  /** KV heads of the part. */
  readonly heads: readonly number[];
  /** First and last slots of ranges before the newest one, which begins at `start`. */
  readonly earlier: readonly (readonly [number, number])[];
  readonly start: number;
  /** Pages of the newest range that are read; all if there are fewer. */
  readonly pages: number;
  readonly oldest: number;
  readonly newest: number;
  /** Bounds place of the page table's first entry, and of the slice's first member in its stores. */
  readonly lead: number;
  readonly member: number;
}

export interface Shape {
  readonly kvHeads: number;
  readonly group: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly softcap?: number | undefined;
  readonly bias?: AttentionBias["kind"] | undefined;
  readonly sinks?: boolean | undefined;
  readonly layout?: RopeLayout | undefined;
}

export const decoding: Row = {
  tokens: 200,
  keyType: "f16",
  valueType: "f16",
  heads: [0, 1],
  earlier: [],
  start: 0,
  pages: 5,
  oldest: 1,
  newest: 2,
  lead: 0,
  member: 0,
};

const BUCKETS = 7;
const REACH = 30;

/** The numbers of some rows that decode together. */
export function drawRows(shape: Shape, rows: readonly Row[], seed: number) {
  const random = new Random(seed);
  const { kvHeads, group, keyWidth, valueWidth } = shape;
  const heads = kvHeads * group;
  return {
    shape,
    rows,
    keys: rows.map(({ tokens }) => numbers(random, tokens * kvHeads * keyWidth, 2)),
    values: rows.map(({ tokens }) => numbers(random, tokens * kvHeads * valueWidth)),
    // As many as any row has ranges.
    queries: Array.from({ length: Math.max(...rows.map((row) => row.earlier.length + 1)) }, () =>
      numbers(random, rows.length * heads * keyWidth, 2),
    ),
    slopes: numbers(random, heads, 0.3).map(Math.abs),
    table: numbers(random, BUCKETS * heads, 2),
    buckets: Int32Array.from({ length: 2 * REACH + 1 }, () => Math.floor(random.double() * BUCKETS)),
    logits: numbers(random, heads, 30),
  };
}

export type DrawnRows = ReturnType<typeof drawRows>;

export interface Bounded {
  readonly slice: KvSlice;
  readonly bounds: KvBounds;
  readonly lead: number;
}

/** An empty cache with room for `tokens`, and for their bounds. */
export function boundedSlice(ops: Backend, { keyWidth, valueWidth }: Shape, row: Row): Bounded {
  const { keyType, valueType, heads, member, lead, tokens } = row;
  const layout = { members: member + heads.length + 1, keyWidth, valueWidth, keyType, valueType };
  const store = ops.kvStore(layout);
  const blocks = ops.kvStore(boundsLayout(layout));
  const [table, blockTable] = [store.table(), blocks.table()];
  const pages = Math.ceil(tokens / PAGE_TOKENS);
  for (let page = 0; page < pages; page++) table.push(store.alloc());
  for (let page = 0; page < lead + pages; page += PAGE_TOKENS) blockTable.push(blocks.alloc());
  return {
    slice: { store, table, member, heads },
    bounds: { store: blocks, table: blockTable, member },
    lead,
  };
}

/** Appends tokens [slot, slot + count) of row number `index`, with their bounds. */
export function writeBounded(ops: Backend, drawn: DrawnRows, index: number, to: Bounded, slot: number, count: number) {
  const { kvHeads, keyWidth, valueWidth } = drawn.shape;
  const part = (all: Float32Array, width: number) => {
    const columns = kvHeads * width;
    return tensorOf(ops, count, columns, all.subarray(slot * columns, (slot + count) * columns));
  };
  const bounds = { bounds: to.bounds, at: to.lead + Math.floor(slot / PAGE_TOKENS) };
  ops.append({
    keys: part(drawn.keys[index], keyWidth),
    values: part(drawn.values[index], valueWidth),
    parts: [{ slice: to.slice, first: 0, rows: count, slot, bounds }],
  });
}

/** Rows whose bounds are to be compared: written in pieces, so that some pages are written several times. */
export function writeAll(ops: Backend, drawn: DrawnRows): Bounded[] {
  return drawn.rows.map((row, index) => {
    const to = boundedSlice(ops, drawn.shape, row);
    for (let slot = 0; slot < row.tokens; ) {
      const count = Math.min(slot < 40 ? 7 : 100, row.tokens - slot);
      writeBounded(ops, drawn, index, to, slot, count);
      slot += count;
    }
    return to;
  });
}

/** First candidate and their number. */
export function candidates({ start, tokens }: Row): readonly [number, number] {
  const first = Math.ceil(start / PAGE_TOKENS);
  return [first, Math.ceil(tokens / PAGE_TOKENS) - first];
}

export const chosenOf = (row: Row): number => Math.min(row.pages, candidates(row)[1]);

/** Pages of the earlier ranges, in their order. */
export const earlierPages = ({ earlier }: Row): number[] => earlier.flatMap(touched);

function touched([start, end]: readonly [number, number]): number[] {
  if (start === end) return [];
  const first = Math.floor(start / PAGE_TOKENS);
  return Array.from({ length: Math.ceil(end / PAGE_TOKENS) - first }, (_, i) => first + i);
}

/** What both calls are told beside parts and spans. */
function shared(ops: Backend, drawn: DrawnRows) {
  const { shape, rows, queries } = drawn;
  const heads = shape.kvHeads * shape.group;
  const places = ops.input(Int32Array.from(rows.flatMap(placesOf)));
  let bias: AttentionBias | undefined;
  if (shape.bias === "linear") bias = { kind: "linear", slopes: ops.input(drawn.slopes), places };
  if (shape.bias === "table") {
    const table = weightOf(ops, "f32", BUCKETS, heads, drawn.table);
    bias = { kind: "table", table, buckets: ops.input(drawn.buckets), places };
  }
  return {
    queries: queries.map((values) => tensorOf(ops, rows.length, heads * shape.keyWidth, values)),
    group: shape.group,
    scale: shape.keyWidth ** -0.5,
    softcap: shape.softcap,
    bias,
    sinks: shape.sinks ? weightOf(ops, "f32", 1, heads, drawn.logits) : undefined,
  };
}

/** For each range the slot at which a distance would be 0: earlier ranges are nearer than they lie. */
const placesOf = ({ tokens, earlier }: Row): number[] => [...earlier.map((_, i) => tokens - 9 - i), tokens - 1];

/** Spans in slots of the page table. */
const tableSpans = ({ earlier, start, tokens }: Row): number[] => [...earlier.flat(), start, tokens];

/** Spans in slots of the lists. */
export function listSpans(row: Row): number[] {
  const spans: number[] = [];
  let page = 0;
  for (const [a, b] of row.earlier) {
    const first = page * PAGE_TOKENS + (a % PAGE_TOKENS);
    spans.push(first, first + b - a);
    page += touched([a, b]).length;
  }
  const unseen = Math.ceil(row.tokens / PAGE_TOKENS) * PAGE_TOKENS - row.tokens;
  return [...spans, page * PAGE_TOKENS, (page + chosenOf(row)) * PAGE_TOKENS - unseen];
}

const spansBefore = (rows: readonly Row[], index: number): number =>
  rows.slice(0, index).reduce((sum, row) => sum + row.earlier.length + 1, 0);

export function selectCall(ops: Backend, drawn: DrawnRows, caches: readonly Bounded[]): SelectCall {
  const { rows } = drawn;
  const parts = rows.map(
    (row, i): SelectPart => ({
      slice: caches[i].slice,
      bounds: caches[i].bounds,
      first: i,
      ranges: row.earlier.length + 1,
      spans: spansBefore(rows, i),
      at: row.lead + candidates(row)[0],
      pages: chosenOf(row),
      oldest: row.oldest,
      newest: row.newest,
    }),
  );
  return { ...shared(ops, drawn), spans: ops.input(Int32Array.from(rows.flatMap(tableSpans))), parts };
}

/** Attention of all rows, over the chosen pages or (without any) over all that they see. */
export function attend(
  ops: Backend,
  drawn: DrawnRows,
  caches: readonly Bounded[],
  selected?: readonly SelectedPages[],
) {
  const { shape, rows } = drawn;
  const columns = shape.kvHeads * shape.group * shape.valueWidth;
  const out = tensorOf(ops, rows.length, columns, new Float32Array(rows.length * columns));
  const parts = rows.map(
    (row, i): AttentionPart => ({
      slice: caches[i].slice,
      first: i,
      rows: 1,
      ranges: row.earlier.length + 1,
      spans: spansBefore(rows, i),
      selection: selected?.[i],
    }),
  );
  const spans = ops.input(Int32Array.from(rows.flatMap(selected ? listSpans : tableSpans)));
  ops.attention({ ...shared(ops, drawn), out, spans, parts });
  return out;
}

// By brute force.

/** The key of a slot as its type keeps it. */
export function storedKey({ shape, rows, keys }: DrawnRows, index: number, slot: number, kvHead: number): Float32Array {
  const { kvHeads, keyWidth } = shape;
  const at = (slot * kvHeads + kvHead) * keyWidth;
  return KV_FORMATS[rows[index].keyType].round(keys[index].subarray(at, at + keyWidth), "keys");
}

function queryOf({ shape, queries, rows }: DrawnRows, index: number, range: number, head: number): Float32Array {
  const { kvHeads, group, keyWidth } = shape;
  const at = (index * kvHeads * group + head) * keyWidth;
  return queries[queries.length - rows[index].earlier.length - 1 + range].subarray(at, at + keyWidth);
}

function finished(drawn: DrawnRows, index: number, range: number, product: number, slot: number, head: number) {
  const { shape, rows } = drawn;
  const score = product * shape.keyWidth ** -0.5;
  const capped = shape.softcap ? shape.softcap * Math.tanh(score / shape.softcap) : score;
  const distance = placesOf(rows[index])[range] - slot;
  if (shape.bias === "linear") return capped - drawn.slopes[head] * distance;
  if (shape.bias !== "table") return capped;
  const bucket = drawn.buckets[REACH + Math.max(-REACH, Math.min(REACH, distance))];
  return capped + drawn.table[bucket * shape.kvHeads * shape.group + head];
}

/** Bounds of the candidates' scores of one query head, from the given largest and smallest elements of each page. */
export function boundScores(
  drawn: DrawnRows,
  index: number,
  head: number,
  boundsOf: (page: number) => { readonly largest: ArrayLike<number>; readonly smallest: ArrayLike<number> },
): number[] {
  const row = drawn.rows[index];
  const range = row.earlier.length;
  const query = queryOf(drawn, index, range, head);
  const [first, count] = candidates(row);
  return Array.from({ length: count }, (_, i) => {
    const { largest, smallest } = boundsOf(first + i);
    const product = query.reduce((sum, q, d) => sum + Math.max(q * largest[d], q * smallest[d]), 0);
    const slots = Array.from({ length: PAGE_TOKENS }, (_, place) => (first + i) * PAGE_TOKENS + place);
    return Math.max(...slots.map((slot) => finished(drawn, index, range, product, slot, head)));
  });
}

/** The true score of a query head with the key of a slot, in the given range. */
export function trueScore(
  drawn: DrawnRows,
  index: number,
  range: number,
  slot: number,
  head: number,
  key = storedKey(drawn, index, slot, Math.floor(head / drawn.shape.group)),
): number {
  const query = queryOf(drawn, index, range, head);
  return finished(
    drawn,
    index,
    range,
    query.reduce((sum, q, d) => sum + q * key[d], 0),
    slot,
    head,
  );
}

/** The candidates' weights for a KV head. */
export function bruteWeights(
  drawn: DrawnRows,
  index: number,
  kvHead: number,
  boundsOf: Parameters<typeof boundScores>[3],
) {
  const { group, sinks } = drawn.shape;
  const weights = new Array<number>(candidates(drawn.rows[index])[1]).fill(0);
  for (let g = 0; g < group; g++) {
    const head = kvHead * group + g;
    const scores = boundScores(drawn, index, head, boundsOf);
    const sink = sinks ? drawn.logits[head] : Number.NEGATIVE_INFINITY;
    const most = Math.max(sink, ...scores);
    const total = scores.reduce((sum, score) => sum + Math.exp(score - most), Math.exp(sink - most));
    scores.forEach((score, i) => {
      weights[i] += Math.exp(score - most) / total;
    });
  }
  return weights;
}

/** Attention of a row over the pages of each head's list, [heads of the part * group][Dv]. */
export function bruteAttention(drawn: DrawnRows, index: number, lists: readonly ArrayLike<number>[]): number[][] {
  const { shape, rows, values } = drawn;
  const row = rows[index];
  const spans = listSpans(row);
  return row.heads.flatMap((kvHead, i) =>
    Array.from({ length: shape.group }, (_, g) => {
      const head = kvHead * shape.group + g;
      const seen: { score: number; slot: number }[] = [];
      for (let range = 0; range * 2 < spans.length; range++) {
        for (let listed = spans[range * 2]; listed < spans[range * 2 + 1]; listed++) {
          const slot = lists[i][listed >> 4] * PAGE_TOKENS + (listed & 15);
          seen.push({ score: trueScore(drawn, index, range, slot, head), slot });
        }
      }
      const sink = shape.sinks ? drawn.logits[head] : Number.NEGATIVE_INFINITY;
      const most = Math.max(sink, ...seen.map(({ score }) => score));
      const total = seen.reduce((sum, { score }) => sum + Math.exp(score - most), Math.exp(sink - most));
      const mixed = new Array<number>(shape.valueWidth).fill(0);
      for (const { score, slot } of seen) {
        const at = (slot * shape.kvHeads + kvHead) * shape.valueWidth;
        const value = KV_FORMATS[row.valueType].round(values[index].subarray(at, at + shape.valueWidth), "values");
        for (let d = 0; d < mixed.length; d++) mixed[d] += (Math.exp(score - most) / total) * value[d];
      }
      return mixed;
    }),
  );
}
