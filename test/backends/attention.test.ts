/** Cache writes and attention on every backend, against brute force in double precision. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { roundToF16 } from "../../src/quant/f16.js";
import type { Angles, Backend, RopeLayout } from "../../src/tensor/backend.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { type KvSlice, PAGE_TOKENS } from "../../src/tensor/kv.js";
import { Random } from "../../src/util/random.js";
import { DEVICES, difference, numbers, tensorOf, turns, WASM_DEVICES } from "./devices.js";

interface Case {
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
  readonly layout?: RopeLayout;
  /** Values are drawn from -valueSpread to valueSpread, 1 if absent; errors are measured in units of it. */
  readonly valueSpread?: number;
}

/** What row t, at slot `past + t`, sees: ranges as [first, end). */
type SpanKind = keyof typeof SPANS;
const SPANS = {
  full: (at: number) => [[0, at + 1]],
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
  nothing: (at: number) => [[at, at]],
} as const satisfies Record<string, (at: number) => readonly (readonly number[])[]>;

const base: Case = {
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

const CASES: readonly Partial<Case>[] = [
  {},
  { past: 0 },
  { past: 15, rows: 2 },
  { past: 16, rows: 16, spans: "sinks" },
  { past: 3, rows: 70, spans: "window", group: 1 },
  { past: 5, rows: 50, spans: "gaps", kvHeads: 1, group: 5 },
  { past: 40, rows: 3, spans: "nothing" },
  { past: 100, rows: 9, keyWidth: 64, valueWidth: 64, group: 4 },
  { past: 33, rows: 5, keyWidth: 20, valueWidth: 12, group: 7 },
  { past: 50, rows: 2, keyWidth: 256, valueWidth: 256, group: 3, kvHeads: 1 },
  { past: 33, rows: 3, keyWidth: 128, valueWidth: 36, group: 32, kvHeads: 1 },
  { past: 33, rows: 2, keyWidth: 64, valueWidth: 64, group: 71, kvHeads: 1 },
  { past: 1500, keyWidth: 16, valueWidth: 20, kvHeads: 1 },
  { past: 2600, rows: 3, kvHeads: 1, group: 1, spans: "sinks" },
  { past: 2600, rows: 3, kvHeads: 3, group: 2 },
  { past: 60, rows: 4, keyType: "f16", valueType: "f16", keyWidth: 68, valueWidth: 36 },
  { past: 60, rows: 4, keyType: "q8", valueType: "q8", keyWidth: 80, valueWidth: 44 },
  { past: 60, rows: 40, keyType: "q8", valueType: "f16", keyWidth: 32, valueWidth: 32 },
  { past: 60, rows: 40, keyType: "f16", valueType: "q8", keyWidth: 64, valueWidth: 32 },
  { past: 1200, keyType: "q8", valueType: "q8", keyWidth: 64, valueWidth: 64 },
  { past: 1200, keyType: "f16", valueType: "f16", keyWidth: 64, valueWidth: 64 },
  { past: 70, rows: 3, keyType: "q8", valueType: "f16", valueSpread: 65504 },
  { past: 1200, keyType: "f16", valueType: "f16", valueSpread: 65504 },
  { past: 1200, keyType: "f16", valueType: "f16", valueSpread: 2e-6 },
  { past: 20, rows: 5, layout: "halves", keyWidth: 20 },
  { past: 20, rows: 5, layout: "interleaved", keyType: "q8", keyWidth: 36 },
  { past: 20, rows: 40, layout: "interleaved", keyType: "f16", keyWidth: 12 },
];

/** Largest error allowed; a q8 number may round to the other side of a tie, which costs one step of 1/127. */
const TOLERANCE: Readonly<Record<KvType, number>> = { f32: 5e-6, f16: 5e-6, q8: 2e-3 };

function rounded(type: KvType, row: Float32Array): Float32Array {
  if (type === "f32") return row;
  if (type === "f16") return row.map(roundToF16);
  return row.map((x, i) => {
    const start = i - (i % 32);
    const scale = row.subarray(start, start + 32).reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127;
    return Math.round(x / scale) * scale;
  });
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
function draw(shape: Case, random: Random) {
  const { past, rows, kvHeads, group, keyWidth, valueWidth } = shape;
  const tokens = past + rows;
  const spans = Array.from({ length: rows }, (_, t) => SPANS[shape.spans](past + t));
  return {
    tokens,
    spans,
    keys: numbers(random, tokens * kvHeads * keyWidth),
    values: numbers(random, tokens * kvHeads * valueWidth, shape.valueSpread),
    queries: spans[0].map(() => numbers(random, rows * kvHeads * group * keyWidth, 3)),
    angles: turns(random, tokens, keyWidth - 4),
  };
}

type Drawn = ReturnType<typeof draw>;

function bruteForce(shape: Case, drawn: Drawn): Float64Array {
  const { rows, kvHeads, group, keyWidth, valueWidth } = shape;
  const heads = kvHeads * group;
  const out = new Float64Array(rows * heads * valueWidth);
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / group);
      const seen: { score: number; value: Float32Array }[] = [];
      drawn.spans[row].forEach(([first, end], range) => {
        const at = (row * heads + head) * keyWidth;
        const query = drawn.queries[range].subarray(at, at + keyWidth);
        for (let slot = first; slot < end; slot++) {
          const key = keyOf(shape, drawn, slot, kvHead);
          const score = key.reduce((sum, k, d) => sum + k * query[d], 0) / Math.sqrt(keyWidth);
          const start = (slot * kvHeads + kvHead) * valueWidth;
          seen.push({ score, value: rounded(shape.valueType, drawn.values.subarray(start, start + valueWidth)) });
        }
      });
      const most = seen.reduce((m, { score }) => Math.max(m, score), Number.NEGATIVE_INFINITY);
      const total = seen.reduce((sum, { score }) => sum + Math.exp(score - most), 0);
      for (const { score, value } of seen) {
        const weight = Math.exp(score - most) / total;
        for (let d = 0; d < valueWidth; d++) out[(row * heads + head) * valueWidth + d] += weight * value[d];
      }
    }
  }
  return out;
}

function keyOf({ kvHeads, keyWidth, layout, keyType }: Case, { keys, angles }: Drawn, slot: number, head: number) {
  const start = (slot * kvHeads + head) * keyWidth;
  const key = keys.subarray(start, start + keyWidth);
  return rounded(keyType, layout ? rotateHead(key, layout, angles, slot, keyWidth - 4) : key);
}

/** Writes the text in pieces and asks once; heads live in two slices of one store, in another order than in the tensors. */
async function attend(ops: Backend, shape: Case, drawn: Drawn): Promise<Float32Array> {
  const { rows, kvHeads, group, keyWidth, valueWidth, keyType, valueType } = shape;
  const { tokens } = drawn;
  ops.beginStep();
  const store = ops.kvStore({ members: kvHeads + 1, keyWidth, valueWidth, keyType, valueType });
  const table = store.table();
  soil(ops, store.table(), shape, store);
  for (let page = 0; page * PAGE_TOKENS < tokens; page++) table.push(store.alloc());
  const first = kvHeads >> 1;
  const slices: KvSlice[] = [
    { store, table, member: 0, head: first, heads: kvHeads - first },
    { store, table, member: kvHeads - first + 1, head: 0, heads: first },
  ];
  for (let slot = 0; slot < tokens; ) {
    const count = Math.min(slot % 3 === 0 ? 7 : 40, tokens - slot);
    write(ops, shape, drawn, slices, slot, count);
    slot += count;
  }
  const out = ops.empty(rows, kvHeads * group * valueWidth);
  const queries = drawn.queries.map((values) => tensorOf(ops, rows, kvHeads * group * keyWidth, values));
  const spans = ops.input(Int32Array.from(drawn.spans.flat(2)));
  for (const slice of slices) {
    if (slice.heads > 0) ops.attention({ out, queries, spans, slice, group, scale: 1 / Math.sqrt(keyWidth) });
  }
  const result = (await ops.read(out)).slice();
  store.dispose();
  return result;
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
  const slice = { store, table, member: 0, head: 0, heads };
  ops.append({ keys: bad(keyWidth), values: bad(valueWidth), slice, slot: 0 });
  for (const page of pages) store.free(page);
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
  for (const slice of slices) ops.append({ keys, values, slice, slot, angles });
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  test.each(CASES.map((changes, index) => [JSON.stringify(changes), { ...base, ...changes }, index] as const))(
    "attention: %s",
    async (_, shape, index) => {
      const drawn = draw(shape, new Random(index));
      const tolerance = Math.max(TOLERANCE[shape.keyType], TOLERANCE[shape.valueType]);
      const unit = (x: number) => x / (shape.valueSpread ?? 1);
      const found = (await attend(ops, shape, drawn)).map(unit);
      expect(difference(found, bruteForce(shape, drawn).map(unit))).toBeLessThan(tolerance);
    },
  );

  test.each(
    (["f32", "f16", "q8"] as const).flatMap(
      (type) =>
        [
          [type, 37, 1000],
          [type, 1400, 60000],
          [type, 1400, -60000],
        ] as const,
    ),
  )("attention: %s, %i tokens, scores %d apart leave one token's value, exactly", async (type, tokens, apart) => {
    const [width, chosen] = [8, tokens - 7];
    ops.beginStep();
    const store = ops.kvStore({ members: 1, keyWidth: width, valueWidth: width, keyType: type, valueType: type });
    const slice = { store, table: store.table(), member: 0, head: 0, heads: 1 };
    for (let page = 0; page * PAGE_TOKENS < tokens; page++) slice.table.push(store.alloc());
    const sign = Math.sign(apart);
    const keys = Float32Array.from({ length: tokens * width }, (_, i) =>
      i % width > 0 ? 0 : i === chosen * width ? 127 * sign : -127 * sign,
    );
    const values = Float32Array.from({ length: tokens * width }, (_, i) => ((i * 31) % width === 0 ? 127 : i % 127));
    ops.append({
      keys: tensorOf(ops, tokens, width, keys),
      values: tensorOf(ops, tokens, width, values),
      slice,
      slot: 0,
    });
    const query = tensorOf(
      ops,
      1,
      width,
      Float32Array.from({ length: width }, (_, d) => (d === 0 ? apart / 254 : 0)),
    );
    const out = ops.empty(1, width);
    ops.attention({ out, queries: [query], spans: ops.input(Int32Array.of(0, tokens)), slice, group: 1, scale: 1 });
    const found = (await ops.read(out)).slice();
    store.dispose();
    expect(found).toEqual(values.slice(chosen * width, (chosen + 1) * width));
  });

  test.each([
    ["f32", "f16", "halves"],
    ["f16", "q8", "interleaved"],
    ["q8", "f32", "halves"],
  ] as const)("rotatePages: %s keys, %s values, %s", async (keyType, valueType, layout) => {
    const random = new Random(3);
    const [kvHeads, keyWidth, valueWidth, tokens, dims] = [2, 36, 40, 37, 24];
    const layoutOfStore = { members: 4, keyWidth, valueWidth, keyType, valueType };
    ops.beginStep();
    const store = ops.kvStore(layoutOfStore);
    const slices = [1, 2].map((member) => {
      const table = store.table();
      for (let i = 0; i < 3; i++) table.push(store.alloc());
      return { store, table, member, head: 0, heads: kvHeads };
    });
    const keys = tensorOf(ops, tokens, kvHeads * keyWidth, numbers(random, tokens * kvHeads * keyWidth));
    const values = tensorOf(ops, tokens, kvHeads * valueWidth, numbers(random, tokens * kvHeads * valueWidth));
    const angles = { layout, dims, values: ops.input(turns(random, tokens, dims)) };
    ops.append({ keys, values, slice: slices[0], slot: 0 });
    ops.rotatePages(slices[0], slices[1], tokens, angles);
    const direct = store.table();
    for (let i = 0; i < 3; i++) direct.push(store.alloc());
    const expected = { ...slices[0], table: direct };
    ops.append({ keys, values, slice: expected, slot: 0, angles });
    const query = tensorOf(ops, 1, kvHeads * keyWidth, numbers(random, kvHeads * keyWidth, 3));
    const spans = ops.input(Int32Array.from([0, tokens]));
    const results = [slices[1], expected].map((slice) => {
      const out = ops.empty(1, kvHeads * valueWidth);
      ops.attention({ out, queries: [query], spans, slice, group: 1, scale: 1 });
      return out;
    });
    const found = (await ops.read(results[0])).slice();
    // Rounded keys that are rotated and rounded again are a little off those rotated first.
    const tolerance = { f32: 1e-5, f16: 3e-3, q8: 5e-2 }[keyType];
    expect(difference(found, await ops.read(results[1]))).toBeLessThan(tolerance);
    store.dispose();
  });
});

describe("any shape", () => {
  test("wasm attends like brute force, and the same bits with any number of threads", async () => {
    const devices = await Promise.all(WASM_DEVICES.map(({ create }) => create()));
    const type = fc.constantFrom<KvType>("f32", "f16", "q8");
    const width = fc.integer({ min: 2, max: 24 }).map((n) => n * 4);
    const shapes = fc.record({
      past: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 1000, max: 1300 })),
      rows: fc.integer({ min: 1, max: 40 }),
      kvHeads: fc.integer({ min: 1, max: 3 }),
      group: fc.integer({ min: 1, max: 9 }),
      keyWidth: width,
      valueWidth: width,
      keyType: type,
      valueType: type,
      spans: fc.constantFrom<SpanKind>("full", "window", "sinks", "gaps"),
    });
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(), async (shape, seed) => {
        const small = { ...shape, rows: shape.past > 500 ? Math.min(shape.rows, 3) : shape.rows };
        const drawn = draw(small, new Random(seed));
        const expected = bruteForce(small, drawn);
        const tolerance = Math.max(TOLERANCE[shape.keyType], TOLERANCE[shape.valueType]);
        const found: Float32Array[] = [];
        for (const ops of devices) found.push(await attend(ops, small, drawn));
        for (const result of found) expect(difference(result, expected)).toBeLessThan(tolerance);
        expect(found[1]).toEqual(found[0]);
        expect(found[3]).toEqual(found[2]);
        expect(found[5]).toEqual(found[4]);
      }),
      { numRuns: 25 },
    );
    await Promise.all(devices.map((ops) => ops.dispose()));
  });
});
