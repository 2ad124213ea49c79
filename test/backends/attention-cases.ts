/** Problems of attention for all backends, their answers by brute force in double precision, and how they are put. */
import { roundToF16 } from "../../src/quant/f16.js";
import type { Angles, AttentionBias, AttentionCall, Backend, RopeLayout } from "../../src/tensor/backend.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { type KvSlice, PAGE_TOKENS } from "../../src/tensor/kv.js";
import type { Random } from "../../src/util/random.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { numbers, tensorOf, turns, weightOf } from "./devices.js";

export interface Case {
  /** Tokens written before, and rows that ask. */
  readonly past: number;
  readonly rows: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly keyType: KvType;
  readonly valueType: KvType;
  readonly spans: SpanKind;
  readonly layout?: RopeLayout | undefined;
  /** Values are drawn from -valueSpread to valueSpread, 1 if absent; errors are measured in units of it. */
  readonly valueSpread?: number;
  readonly softcap?: number | undefined;
  readonly bias?: AttentionBias["kind"] | undefined;
  /** Distances up to this many have entries in the table; 20 if absent. */
  readonly reach?: number;
  readonly sinks?: boolean | undefined;
}

/** What row t, at slot `past + t` of all `tokens`, sees: ranges as [first, end). */
export type SpanKind = keyof typeof SPANS;
const SPANS = {
  full: (at: number) => [[0, at + 1]],
  /** Begins and ends within pages. */
  within: (at: number) => [[Math.min(at, 5), Math.max(Math.min(at, 5), at - 2)]],
  window: (at: number) => [[Math.max(0, at - 20), at + 1]],
  sinks: (at: number) => [
    [0, Math.min(4, at + 1)],
    [Math.max(Math.min(4, at + 1), at - 30), at + 1],
  ],
  /** Three ranges, the middle one always empty, the others for some rows. */
  gaps: (at: number) => [
    [Math.min(at >> 1, 3), Math.min(at >> 1, 19)],
    [Math.min(at, 20), Math.min(at, 20)],
    at % 5 === 0 && at < 30 ? [25, 25] : [Math.min(25, at), Math.min(at + 1, Math.max(25, at - 3))],
  ],
  /** Also keys after the query. */
  ahead: (at: number, tokens: number) => [
    [0, at >> 2],
    [at >> 1, tokens],
  ],
  nothing: (at: number) => [[at, at]],
} as const satisfies Record<string, (at: number, tokens: number) => readonly (readonly number[])[]>;

export const base: Case = {
  past: 21,
  rows: 1,
  kvHeads: 2,
  group: 2,
  keyWidth: 8,
  valueWidth: 8,
  keyType: "f32",
  valueType: "f32",
  spans: "full",
};

/**
 * Largest error allowed. Where a key is rotated, a unit in the last place of the rotation decides to which side a number goes that
 * lies near the middle of two numbers of the cache's type, and that costs one step: an 8th of the largest in q4, a 127th in q8, a
 * 2,048th in f16. All else is rounded alike everywhere.
 *
 * Over pages of q4 queries, and weights times scales, are integers of 16 bits (kernels/attention/attention-nibbles.ts): each is off
 * by up to 2^-16 of the largest of its row, to either side, so sums of n = 64 products by about sqrt(n) 2^-16 = 2^-13.
 */
export function toleranceOf({ keyType, valueType, layout }: Pick<Case, "keyType" | "valueType" | "layout">): number {
  const integers = keyType === "q4" || valueType === "q4" ? 2 ** -13 : 0;
  if (layout === undefined || keyType === "f32") return 5e-6 + integers;
  return { f16: 2 ** -11, q8: 2e-3, q4: (2e-3 * 127) / 8 }[keyType] + integers;
}

function rounded(type: KvType, row: Float32Array, part: "keys" | "values"): Float32Array {
  if (type === "f32") return row;
  if (type === "f16") return row.map(roundToF16);
  if (type === "q4") return part === "values" ? inNibbles(row) : rotatedNibbles(row);
  return row.map((x, i) => {
    const start = i - (i % 32);
    const most = row.subarray(start, start + 32).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    const scale = Math.fround(most / 127);
    return roundTiesToEven(Math.fround(x * Math.fround(1 / scale))) * scale;
  });
}

/** The largest of 32 neighbours in magnitude is -8 times their scale. */
function inNibbles(row: Float32Array): Float32Array {
  const scales = Array.from({ length: Math.ceil(row.length / 32) }, (_, block) => {
    const [largest] = [...row.subarray(block * 32, block * 32 + 32)].sort((a, b) => Math.abs(b) - Math.abs(a) || a - b);
    return roundToF16(largest / -8);
  });
  return row.map((x, i) => {
    const scale = scales[i >> 5];
    const q = scale === 0 ? 0 : roundTiesToEven(Math.fround(x * Math.fround(1 / scale)));
    return Math.min(Math.max(q, -8), 7) * scale;
  });
}

function rotatedNibbles(key: Float32Array): Float32Array {
  const n = key.length & -key.length;
  return rotatedBack(inNibbles(rotatedBack(key).map((x) => x / n)));
}

/** Each part of the row, whose length is a power of two, rotated by a Hadamard matrix: once, or back but for a factor. */
export function rotatedBack(row: Float32Array): Float32Array {
  const n = row.length & -row.length;
  const parts = Array.from({ length: row.length / n }, (_, i) => hadamard([...row.subarray(i * n, (i + 1) * n)]));
  return Float32Array.from(parts.flat());
}

/** Sylvester's matrix times a vector whose length is a power of two, each sum rounded to f32. */
function hadamard(x: readonly number[]): number[] {
  if (x.length === 1) return [...x];
  const half = x.length / 2;
  const [a, b] = [hadamard(x.slice(0, half)), hadamard(x.slice(half))];
  return [...a.map((y, i) => Math.fround(y + b[i])), ...a.map((y, i) => Math.fround(y - b[i]))];
}

/** Adding 1.5 x 2^52 leaves no bits for fractions in a double, which rounds ties to even. */
function roundTiesToEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}

function rotateHead(head: Float32Array, layout: RopeLayout, angles: Float32Array, row: number, dims: number) {
  const out = head.slice();
  for (let i = 0; i < dims / 2; i++) {
    const [a, b] = layout === "halves" ? [i, i + dims / 2] : [2 * i, 2 * i + 1];
    const cos = angles[row * dims + 2 * i];
    const sin = angles[row * dims + 2 * i + 1];
    out[a] = head[a] * cos - head[b] * sin;
    out[b] = head[a] * sin + head[b] * cos;
  }
  return out;
}

/** A case's numbers. Keys and values are [tokens][Hkv * width]. */
export function draw(shape: Case, random: Random) {
  const { past, rows, kvHeads, group, keyWidth, valueWidth } = shape;
  const tokens = past + rows;
  const spans = Array.from({ length: rows }, (_, t) => SPANS[shape.spans](past + t, tokens));
  const drawn = {
    tokens,
    spans,
    keys: numbers(random, tokens * kvHeads * keyWidth),
    values: numbers(random, tokens * kvHeads * valueWidth, shape.valueSpread),
    queries: spans[0].map(() => numbers(random, rows * kvHeads * group * keyWidth, 3)),
    angles: turns(random, tokens, keyWidth - 4),
  };
  return { ...drawn, ...drawBiases(shape, drawn.spans, random) };
}

export const BUCKETS = 12;

/** Numbers of biases and sinks. Places are near the rows' own slots, others for every range. */
function drawBiases(shape: Case, spans: readonly (readonly unknown[])[], random: Random) {
  const { past, kvHeads, group, reach = 20 } = shape;
  const heads = kvHeads * group;
  return {
    places: Int32Array.from(spans.flatMap((ranges, t) => ranges.map((_, range) => past + t + 9 * range - 4))),
    slopes: numbers(random, heads, 0.5).map(Math.abs),
    table: numbers(random, BUCKETS * heads, 4).map(roundToF16),
    buckets: Int32Array.from({ length: 2 * reach + 1 }, () => Math.floor(random.double() * BUCKETS)),
    logits: numbers(random, heads, 3),
  };
}

export type Drawn = ReturnType<typeof draw>;

/** [rows, H * Dv] */
export function bruteForce(shape: Case, drawn: Drawn): Float64Array {
  const { rows, kvHeads, group, keyWidth, valueWidth } = shape;
  const heads = kvHeads * group;
  const out = new Float64Array(rows * heads * valueWidth);
  const slots = Array.from({ length: drawn.tokens * kvHeads }, (_, i) => i);
  const keys = slots.map((i) => keyOf(shape, drawn, Math.floor(i / kvHeads), i % kvHeads));
  const values = slots.map((i) =>
    rounded(shape.valueType, drawn.values.subarray(i * valueWidth, (i + 1) * valueWidth), "values"),
  );
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / group);
      const seen: { score: number; value: Float32Array }[] = [];
      drawn.spans[row].forEach(([first, end], range) => {
        const at = (row * heads + head) * keyWidth;
        const query = drawn.queries[range].subarray(at, at + keyWidth);
        for (let slot = first; slot < end; slot++) {
          const key = keys[slot * kvHeads + kvHead];
          const product = key.reduce((sum, k, d) => sum + k * query[d], 0) / Math.sqrt(keyWidth);
          const score = adjusted(shape, drawn, product, row * drawn.spans[row].length + range, slot, head);
          seen.push({ score, value: values[slot * kvHeads + kvHead] });
        }
      });
      const sink = shape.sinks ? drawn.logits[head] : Number.NEGATIVE_INFINITY;
      const most = seen.reduce((m, { score }) => Math.max(m, score), sink);
      const total = seen.reduce((sum, { score }) => sum + Math.exp(score - most), Math.exp(sink - most));
      for (const { score, value } of seen) {
        const weight = Math.exp(score - most) / total;
        for (let d = 0; d < valueWidth; d++) out[(row * heads + head) * valueWidth + d] += weight * value[d];
      }
    }
  }
  return out;
}

/** The score after soft cap and bias; `entry` is the row and range among the places. */
function adjusted(shape: Case, drawn: Drawn, score: number, entry: number, slot: number, head: number): number {
  const capped = shape.softcap ? shape.softcap * Math.tanh(score / shape.softcap) : score;
  const distance = drawn.places[entry] - slot;
  if (shape.bias === "linear") return capped - drawn.slopes[head] * distance;
  if (shape.bias !== "table") return capped;
  const reach = (drawn.buckets.length - 1) / 2;
  const bucket = drawn.buckets[reach + Math.max(-reach, Math.min(reach, distance))];
  return capped + drawn.table[bucket * shape.kvHeads * shape.group + head];
}

function keyOf({ kvHeads, keyWidth, layout, keyType }: Case, { keys, angles }: Drawn, slot: number, head: number) {
  const start = (slot * kvHeads + head) * keyWidth;
  const key = keys.subarray(start, start + keyWidth);
  return rounded(keyType, layout ? rotateHead(key, layout, angles, slot, keyWidth - 4) : key, "keys");
}

/** Writes the text in pieces and asks once, where `layer` lies; heads live in two slices of one store, in another order than in the tensors. */
export async function attend(ops: Backend, shape: Case, drawn: Drawn, layer?: number): Promise<Float32Array> {
  const { rows, kvHeads, group, keyWidth, valueWidth, keyType, valueType } = shape;
  const { tokens } = drawn;
  ops.beginStep();
  const store = ops.kvStore({ members: kvHeads + 1, keyWidth, valueWidth, keyType, valueType }, layer);
  const table = store.table();
  soil(ops, store.table(), shape, store);
  for (let page = 0; page * PAGE_TOKENS < tokens; page++) table.push(store.alloc());
  const first = kvHeads >> 1;
  const slices: KvSlice[] = [
    { store, table, member: 0, heads: headsFrom(first, kvHeads - first) },
    { store, table, member: kvHeads - first + 1, heads: headsFrom(0, first) },
  ];
  for (let slot = 0; slot < tokens; ) {
    const count = Math.min(slot % 3 === 0 ? 7 : 40, tokens - slot);
    write(ops, shape, drawn, slices, slot, count);
    slot += count;
  }
  const queries = drawn.queries.map((values) => tensorOf(ops, rows, kvHeads * group * keyWidth, values));
  const spans = ops.input(Int32Array.from(drawn.spans.flat(2)));
  const extras = extrasOf(ops, shape, drawn);
  const scale = 1 / Math.sqrt(keyWidth);
  const forward = (inner: Backend) => {
    const out = inner.empty(rows, kvHeads * group * valueWidth);
    for (const slice of slices) {
      if (slice.heads.length > 0) inner.attention(attended({ out, queries, spans, slice, group, scale, ...extras }));
    }
    return out;
  };
  const out = ops.scope({ layer, forward }, queries[0], undefined);
  const result = (await ops.read(out)).slice();
  store.dispose();
  return result;
}

/** Soft cap, bias and sinks of a case as a call takes them. */
export function extrasOf(ops: Backend, shape: Case, drawn: Drawn): Pick<AttentionCall, "softcap" | "bias" | "sinks"> {
  const heads = shape.kvHeads * shape.group;
  const places = ops.input(drawn.places);
  let bias: AttentionBias | undefined;
  if (shape.bias === "linear") bias = { kind: "linear", slopes: ops.input(drawn.slopes), places };
  if (shape.bias === "table") {
    const table = weightOf(ops, "f16", BUCKETS, heads, drawn.table);
    bias = { kind: "table", table, buckets: ops.input(drawn.buckets), places };
  }
  const sinks = shape.sinks ? weightOf(ops, "f32", 1, heads, drawn.logits) : undefined;
  return { softcap: shape.softcap, bias, sinks };
}

/** Fills pages with numbers that would show, and frees them, so that the case gets stale pages. */
function soil(ops: Backend, table: KvSlice["table"], shape: Case, store: KvSlice["store"]): void {
  const { kvHeads, keyWidth, valueWidth } = shape;
  const pages = Array.from({ length: 3 }, () => store.alloc());
  for (const page of pages) table.push(page);
  const rows = 3 * PAGE_TOKENS;
  const heads = kvHeads + 1;
  const bad = (width: number) =>
    tensorOf(ops, rows, heads * width, new Float32Array(rows * heads * width).fill(Number.NaN));
  const slice = { store, table, member: 0, heads: headsFrom(0, heads) };
  ops.append(appended({ keys: bad(keyWidth), values: bad(valueWidth), slice, slot: 0 }));
  for (const page of pages) store.release(page);
  table.dispose();
}

function write(ops: Backend, shape: Case, drawn: Drawn, slices: KvSlice[], slot: number, count: number): void {
  const { kvHeads, keyWidth, valueWidth, layout } = shape;
  const part = (all: Float32Array, width: number) =>
    tensorOf(ops, count, kvHeads * width, all.subarray(slot * kvHeads * width, (slot + count) * kvHeads * width));
  const keys = part(drawn.keys, keyWidth);
  const values = part(drawn.values, valueWidth);
  const dims = keyWidth - 4;
  const angles: Angles | undefined = layout && {
    layout,
    dims,
    values: ops.input(drawn.angles.subarray(slot * dims, (slot + count) * dims)),
  };
  for (const slice of slices) ops.append(appended({ keys, values, slice, slot, angles }));
}
