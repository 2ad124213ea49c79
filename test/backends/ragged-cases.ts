/** A layer's step of several sequences through several sets of heads: random problems, and how they are put to a backend. */
import type { Angles, AttentionBias, AttentionCall, Backend, RopeLayout } from "../../src/tensor/backend.js";
import { KV_TYPES, type KvType } from "../../src/tensor/dtype.js";
import { type KvSlice, PAGE_TOKENS } from "../../src/tensor/kv.js";
import type { StepInput } from "../../src/tensor/tensor.js";
import { Random } from "../../src/util/random.js";
import { numbers, tensorOf, turns, weightOf } from "./devices.js";

/** What parts share. */
export interface RaggedShape {
  readonly kvHeads: number;
  readonly group: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly layout?: RopeLayout | undefined;
  readonly softcap?: number | undefined;
  readonly bias?: AttentionBias["kind"] | undefined;
  readonly sinks?: boolean | undefined;
}

/** Rows [first, first + rows) of the call; their slots are [past, past + rows). */
export interface RaggedPart {
  readonly heads: readonly number[];
  readonly keyType: KvType;
  readonly valueType: KvType;
  /** Members of its store before those of its heads. */
  readonly member: number;
  readonly first: number;
  readonly rows: number;
  readonly past: number;
  /** Where its past lies in the call's. */
  readonly pastFirst: number;
  readonly ranges: number;
  /** [rows, ranges, 2] */
  readonly spans: Int32Array;
  /** [rows, ranges] */
  readonly places: Int32Array;
}

/** [rows, columns] */
interface Rows {
  readonly columns: number;
  readonly values: Float32Array;
}

export interface Ragged {
  readonly shape: RaggedShape;
  readonly rows: number;
  readonly parts: readonly RaggedPart[];
  readonly queries: readonly Rows[];
  readonly keys: Rows;
  readonly values: Rows;
  readonly angles: Rows;
  /** The same of the slots that are there before the step. */
  readonly pastKeys: Rows;
  readonly pastValues: Rows;
  readonly pastAngles: Rows;
  readonly slopes: Float32Array;
  readonly table: Float32Array;
  readonly buckets: Int32Array;
  readonly sinks: Float32Array;
}

/** Of a sequence: rows of its step, tokens before, most ranges of a part. */
export interface SequenceShape {
  readonly rows: number;
  readonly past: number;
  readonly ranges: number;
  /** Sets into which heads are dealt; a head dealt to no set is left out. */
  readonly sets: number;
}

/** What no part writes keeps this. */
export const UNTOUCHED = 7;
const BUCKETS = 6;
const REACH = 9;

export function drawRagged(shape: RaggedShape, sequences: readonly SequenceShape[], seed: number): Ragged {
  const random = new Random(seed);
  const { kvHeads, group, keyWidth, valueWidth } = shape;
  const parts: RaggedPart[] = [];
  let rows = 0;
  let past = 0;
  for (const sequence of sequences) {
    parts.push(...dealParts(random, kvHeads, sequence, rows, past));
    // A row that is no part's between some sequences.
    rows += sequence.rows + below(random, 2);
    past += sequence.past;
  }
  const drawn = (count: number, columns: number, spread?: number): Rows => ({
    columns,
    values: numbers(random, count * columns, spread),
  });
  const turned = (count: number): Rows => ({ columns: keyWidth - 4, values: turns(random, count, keyWidth - 4) });
  const most = Math.max(...sequences.map(({ ranges }) => ranges));
  return {
    shape,
    rows,
    parts: shuffled(random, parts),
    queries: Array.from({ length: most }, () => drawn(rows, kvHeads * group * keyWidth, 3)),
    keys: drawn(rows, kvHeads * keyWidth),
    values: drawn(rows, kvHeads * valueWidth),
    angles: turned(rows),
    pastKeys: drawn(past, kvHeads * keyWidth),
    pastValues: drawn(past, kvHeads * valueWidth),
    pastAngles: turned(past),
    slopes: numbers(random, kvHeads * group, 0.5).map(Math.abs),
    table: numbers(random, BUCKETS * kvHeads * group, 2),
    buckets: Int32Array.from({ length: 2 * REACH + 1 }, () => below(random, BUCKETS)),
    sinks: numbers(random, kvHeads * group, 3),
  };
}

const below = (random: Random, end: number): number => Math.floor(random.double() * end);

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const keys = items.map((item) => ({ item, key: random.double() }));
  return keys.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

function dealParts(random: Random, kvHeads: number, shape: SequenceShape, first: number, pastFirst: number) {
  const { rows, past, ranges: most, sets } = shape;
  const dealt = Array.from({ length: kvHeads }, () => below(random, sets + (sets > 1 ? 1 : 0)));
  return Array.from({ length: sets }, (_, set): RaggedPart => {
    const heads = dealt.flatMap((own, head) => (own === set ? [head] : []));
    const ranges = below(random, most + 1);
    const spans = Array.from({ length: rows }, (_, t) => drawSpans(random, ranges, past + t + 1)).flat();
    const places = Int32Array.from(
      { length: rows * ranges },
      (_, i) => past + Math.floor(i / ranges) + below(random, 9),
    );
    const [keyType, valueType] = [KV_TYPES[below(random, KV_TYPES.length)], KV_TYPES[below(random, KV_TYPES.length)]];
    return {
      heads,
      keyType,
      valueType,
      member: below(random, 3),
      first,
      rows,
      past,
      pastFirst,
      ranges,
      spans: Int32Array.from(spans),
      places,
    };
  });
}

/** Ranges in order, some of them empty; of a long text one has nearly all. */
function drawSpans(random: Random, ranges: number, tokens: number): number[] {
  const cuts = Array.from({ length: 2 * ranges }, () => below(random, tokens + 1)).sort((a, b) => a - b);
  if (tokens > 1000 && ranges > 0) {
    cuts.fill(tokens);
    cuts[0] = below(random, 9);
    cuts[1] = tokens - below(random, 9);
  }
  return cuts;
}

/** The part as a call of its own, of its rows alone. */
export function alone(ragged: Ragged, part: RaggedPart): Ragged {
  const { first, rows, past, pastFirst, ranges } = part;
  const cut = ({ columns, values }: Rows, from: number, count: number): Rows => ({
    columns,
    values: values.subarray(from * columns, (from + count) * columns),
  });
  return {
    ...ragged,
    rows,
    parts: [{ ...part, first: 0, pastFirst: 0 }],
    queries: ragged.queries.slice(ragged.queries.length - ranges).map((query) => cut(query, first, rows)),
    keys: cut(ragged.keys, first, rows),
    values: cut(ragged.values, first, rows),
    angles: cut(ragged.angles, first, rows),
    pastKeys: cut(ragged.pastKeys, pastFirst, past),
    pastValues: cut(ragged.pastValues, pastFirst, past),
    pastAngles: cut(ragged.pastAngles, pastFirst, past),
  };
}

export interface RaggedResult {
  /** [rows, H * Dv] */
  readonly out: Float32Array;
  /** Of each part, all its pages. */
  readonly pages: readonly Uint8Array[][];
}

/** Writes the past in one call, what the step adds in another, and attends in a third. */
export async function attendRagged(ops: Backend, ragged: Ragged): Promise<RaggedResult> {
  const { shape, rows, parts } = ragged;
  const { kvHeads, group, keyWidth, valueWidth } = shape;
  ops.beginStep();
  const slices = parts.map((part) => sliceOf(ops, shape, part));
  const tensor = ({ columns, values }: Rows) => tensorOf(ops, values.length / columns, columns, values);
  const angles = (turned: Rows): Angles | undefined =>
    shape.layout && { layout: shape.layout, dims: turned.columns, values: ops.input(turned.values) };
  ops.append({
    keys: tensor(ragged.pastKeys),
    values: tensor(ragged.pastValues),
    angles: angles(ragged.pastAngles),
    parts: parts.map(({ pastFirst, past }, i) => ({ slice: slices[i], first: pastFirst, rows: past, slot: 0 })),
  });
  ops.append({
    keys: tensor(ragged.keys),
    values: tensor(ragged.values),
    angles: angles(ragged.angles),
    parts: parts.map((part, i) => ({ slice: slices[i], first: part.first, rows: part.rows, slot: part.past })),
  });
  const columns = kvHeads * group * valueWidth;
  const out = tensorOf(ops, rows, columns, new Float32Array(rows * columns).fill(UNTOUCHED));
  const offsets = offsetsOf(parts);
  ops.attention({
    out,
    queries: ragged.queries.map(tensor),
    spans: ops.input(Int32Array.from(parts.flatMap(({ spans }) => [...spans]))),
    parts: parts.map((part, i) => ({
      slice: slices[i],
      first: part.first,
      rows: part.rows,
      ranges: part.ranges,
      spans: offsets[i],
    })),
    group,
    scale: 1 / Math.sqrt(keyWidth),
    ...extrasOf(ops, ragged),
  });
  const found = (await ops.read(out)).slice();
  const pages: Uint8Array[][] = [];
  for (const { store, table } of slices) {
    pages.push(await Promise.all(Array.from({ length: table.length }, (_, i) => store.readPages([table.page(i)]))));
  }
  return { out: found, pages };
}

/** Where the spans of each part begin among those of all, in pairs. */
function offsetsOf(parts: readonly RaggedPart[]): number[] {
  let offset = 0;
  return parts.map(({ rows, ranges }) => {
    offset += rows * ranges;
    return offset - rows * ranges;
  });
}

/** Pages with nothing but zeros in them, whatever was there. */
function sliceOf(ops: Backend, { keyWidth, valueWidth }: RaggedShape, part: RaggedPart): KvSlice {
  const { heads, member, keyType, valueType, past, rows } = part;
  const store = ops.kvStore({ members: member + heads.length, keyWidth, valueWidth, keyType, valueType });
  const table = store.table();
  for (let page = 0; page * PAGE_TOKENS < past + rows; page++) table.push(store.alloc());
  return { store, table, member, heads };
}

function extrasOf(ops: Backend, ragged: Ragged): Pick<AttentionCall, "softcap" | "bias" | "sinks"> {
  const { shape, parts } = ragged;
  const heads = shape.kvHeads * shape.group;
  const places = ops.input(Int32Array.from(parts.flatMap(({ places }) => [...places])));
  const sinks = shape.sinks ? weightOf(ops, "f32", 1, heads, ragged.sinks) : undefined;
  return { softcap: shape.softcap, bias: biasOf(ops, ragged, places), sinks };
}

function biasOf(ops: Backend, { shape, slopes, table, buckets }: Ragged, places: StepInput): AttentionBias | undefined {
  if (shape.bias === undefined) return undefined;
  if (shape.bias === "linear") return { kind: "linear", slopes: ops.input(slopes), places };
  const weight = weightOf(ops, "f32", BUCKETS, shape.kvHeads * shape.group, table);
  return { kind: "table", table: weight, buckets: ops.input(buckets), places };
}

/** The numbers of the part's rows and heads in a result in which its rows begin at `first`, row by row. */
export function numbersOf({ shape }: Ragged, { heads, rows }: RaggedPart, out: Float32Array, first: number) {
  const width = shape.group * shape.valueWidth;
  const columns = shape.kvHeads * width;
  const found = new Float32Array(rows * heads.length * width);
  for (let row = 0; row < rows; row++) {
    heads.forEach((head, i) => {
      const start = (first + row) * columns + head * width;
      found.set(out.subarray(start, start + width), (row * heads.length + i) * width);
    });
  }
  return found;
}

/** How often numbers of a result are no part's. */
export function untouchedNumbers({ shape, rows, parts }: Ragged): number {
  const width = shape.group * shape.valueWidth;
  const taken = parts.reduce((sum, part) => sum + part.rows * part.heads.length * width, 0);
  return rows * shape.kvHeads * width - taken;
}
