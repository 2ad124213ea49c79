/** Attention with a soft cap, biases by distance and sinks, on every backend, against brute force in double precision. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { AttentionCall, Backend } from "../../src/tensor/backend.js";
import { KV_TYPES, type KvType } from "../../src/tensor/dtype.js";
import { PAGE_TOKENS } from "../../src/tensor/kv.js";
import { Random } from "../../src/util/random.js";
import { attend, base, bruteForce, type Case, draw, type SpanKind, toleranceOf } from "./attention-cases.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { DEVICES, difference, tensorOf, WASM_DEVICES, weightOf } from "./devices.js";

const MIB = 2 ** 20;

/** Every combination of them, alone and together. */
const COMBINATIONS: readonly Partial<Case>[] = [undefined, 2.5].flatMap((softcap) =>
  ([undefined, "linear", "table"] as const).flatMap((bias) =>
    [false, true].flatMap((sinks) => (softcap || bias || sinks ? [{ softcap, bias, sinks }] : [])),
  ),
);

/** Head groups, widths, rows, caches and spans that each combination meets; chunks begin at 1,024 slots. */
const SHAPES: readonly Partial<Case>[] = [
  { past: 37, rows: 70, kvHeads: 2, group: 1, keyWidth: 20, valueWidth: 12, spans: "sinks" },
  { past: 90, rows: 1, kvHeads: 3, group: 2, keyWidth: 128, valueWidth: 36, keyType: "f16", valueType: "f16" },
  { past: 33, rows: 19, kvHeads: 2, group: 4, keyWidth: 36, valueWidth: 100, spans: "ahead", keyType: "f16" },
  { past: 61, rows: 9, kvHeads: 1, group: 8, keyWidth: 68, valueWidth: 64, spans: "gaps", valueType: "f16", reach: 0 },
  { past: 61, rows: 9, kvHeads: 1, group: 8, spans: "window", keyType: "q8", valueType: "q8", reach: 5 },
  { past: 1100, rows: 3, kvHeads: 2, group: 2, valueWidth: 20, spans: "sinks", valueType: "f16" },
  { past: 1500, rows: 2, kvHeads: 1, group: 4, spans: "ahead", reach: 300 },
  { past: 1200, rows: 1, kvHeads: 2, group: 1, keyWidth: 100, keyType: "q8", valueType: "q8" },
  { past: 40, rows: 3, kvHeads: 1, group: 2, spans: "nothing" },
];

const CASES = COMBINATIONS.flatMap((extras) => SHAPES.map((shape): Case => ({ ...base, ...shape, ...extras })));

type Question = Pick<AttentionCall, "queries" | "spans" | "softcap" | "bias" | "sinks">;

/** One head of width 8 over the keys (a number each, the rest of their dims zero) and values 0, 1, 0, 1... in all dims. */
async function ask(
  ops: Backend,
  keys: readonly number[],
  rows: number,
  question: () => Question,
  { repeat = 1, type = "f32" }: { readonly repeat?: number; readonly type?: KvType } = {},
) {
  const width = 8;
  const store = ops.kvStore({ members: 1, keyWidth: width, valueWidth: width, keyType: type, valueType: type });
  const table = store.table();
  const page = store.alloc();
  for (let i = 0; i < repeat; i++) table.push(page);
  const slice = { store, table, member: 0, heads: headsFrom(0, 1) };
  const every = (f: (slot: number, d: number) => number) =>
    Float32Array.from({ length: keys.length * width }, (_, i) => f(Math.floor(i / width), i % width));
  const first = every((slot, d) => (d === 0 ? keys[slot] : 0));
  ops.append(
    appended({
      keys: tensorOf(ops, keys.length, width, first),
      values: tensorOf(
        ops,
        keys.length,
        width,
        every((slot) => slot % 2),
      ),
      slice,
      slot: 0,
    }),
  );
  const out = ops.empty(rows, width);
  ops.attention(attended({ out, slice, group: 1, scale: 1, ...question() }));
  const found = (await ops.read(out)).filter((_, i) => i % width === 5);
  store.dispose();
  return found;
}

/** Queries that are these numbers in their first dim. */
function asking(ops: Backend, values: readonly number[]) {
  const rows = new Float32Array(values.length * 8);
  values.forEach((value, row) => {
    rows[row * 8] = value;
  });
  return tensorOf(ops, values.length, 8, rows);
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  test.each(CASES.map((shape, index) => [JSON.stringify(shape), shape, index] as const))(
    "%s",
    async (_, shape, index) => {
      const drawn = draw(shape, new Random(index));
      expect(difference(await attend(ops, shape, drawn), bruteForce(shape, drawn))).toBeLessThan(toleranceOf(shape));
    },
  );

  test("the soft cap is c tanh(x / c) from the smallest scores to the largest", async () => {
    const cap = 3;
    const small = Array.from({ length: 200 }, (_, i) => Math.fround((i - 100) * 0.31));
    const scores = [...small, 1e-6, -1e-3, 50, -1e4, 1e30, -3e38, 3e38];
    ops.beginStep();
    const question = () => ({
      queries: [asking(ops, scores)],
      spans: ops.input(Int32Array.from(scores.flatMap(() => [0, 2]))),
      softcap: cap,
    });
    const found = await ask(ops, [0.5, 1], scores.length, question);
    const weight = scores.map((x) => 1 / (1 + Math.exp(cap * (Math.tanh((0.5 * x) / cap) - Math.tanh(x / cap)))));
    expect(difference(found, weight)).toBeLessThan(4e-7);
  });

  test.each(KV_TYPES)("the largest score takes all, however large scores are, in a cache of %s", async (type) => {
    // Slots 1, 2 and 3 are alike, with the values 1, 0, 1; slot 0, of the value 0, is the least.
    const keys = [0.25, 1, 1, 1, 0.5];
    // Queries of halves carry a part of the exponents that those lack: what is beyond is an error elsewhere.
    for (let size = 1e4; size < (type === "f16" ? 8e18 : 3e28); size *= 9.876543) {
      for (const [score, wanted] of [
        [size, 2 / 3],
        [-size, 0],
      ]) {
        for (const rows of [1, 5]) {
          ops.beginStep();
          const question = () => ({
            queries: [asking(ops, new Array<number>(rows).fill(score))],
            spans: ops.input(Int32Array.from({ length: 2 * rows }, (_, i) => (i % 2) * keys.length)),
          });
          const found = await ask(ops, keys, rows, question, { type });
          expect(difference(found, new Array<number>(rows).fill(wanted)), `${rows} rows of ${score}`).toBeLessThan(
            1e-5,
          );
        }
      }
    }
  });

  test("distances are counted in integers, far beyond what f32 can count", async () => {
    const first = 2 ** 24 + 3;
    ops.beginStep();
    const question = () => ({
      queries: [asking(ops, [0])],
      spans: ops.input(Int32Array.of(first, first + 8)),
      bias: {
        kind: "linear" as const,
        slopes: ops.input(Float32Array.of(0.5)),
        places: ops.input(Int32Array.of(first + 8)),
      },
      // Beside it a distance that is wrong for all slots shows too.
      sinks: weightOf(ops, "f32", 1, 1, Float32Array.of(-1)),
    });
    const keys = Array.from({ length: PAGE_TOKENS }, () => 0);
    const found = await ask(ops, keys, 1, question, { repeat: Math.ceil((first + 8) / PAGE_TOKENS) });
    const weights = Array.from({ length: 8 }, (_, i) => [first + i, Math.exp(-0.5 * (8 - i))]);
    const total = weights.reduce((sum, [, weight]) => sum + weight, Math.exp(-1));
    const odd = weights.reduce((sum, [slot, weight]) => sum + weight * (slot % 2), 0);
    expect(difference(found, [odd / total])).toBeLessThan(1e-6);
  });

  test("a step's buckets are its own, though the table stays", async () => {
    const table = weightOf(ops, "f32", 2, 1, Float32Array.of(0, 3));
    for (const bucket of [0, 1, 0]) {
      ops.beginStep();
      const question = () => ({
        queries: [asking(ops, [1])],
        spans: ops.input(Int32Array.of(0, 2)),
        bias: {
          kind: "table" as const,
          table,
          // Distances -1, 0, 1: the odd slot has distance 0.
          buckets: ops.input(Int32Array.of(0, bucket, 0)),
          places: ops.input(Int32Array.of(1)),
        },
      });
      const found = await ask(ops, [0, 0], 1, question);
      expect(difference(found, [1 / (1 + Math.exp(-3 * bucket))])).toBeLessThan(1e-6);
    }
  });

  test("a sink far above all scores leaves nothing, one far below changes nothing", async () => {
    ops.beginStep();
    const question = (sink: number) => () => ({
      queries: [asking(ops, [1])],
      spans: ops.input(Int32Array.of(0, 2)),
      sinks: weightOf(ops, "f32", 1, 1, Float32Array.of(sink)),
    });
    expect([...(await ask(ops, [0, 0], 1, question(500)))]).toEqual([0]);
    for (const low of [-500, -3e38, Number.NEGATIVE_INFINITY]) {
      expect([...(await ask(ops, [0, 0], 1, question(low)))]).toEqual([0.5]);
    }
  });
});

describe("any shape", () => {
  test("wasm attends like brute force, and the same bits with any number of threads", async () => {
    const devices = await Promise.all(WASM_DEVICES.map(({ create }) => create()));
    const type = fc.constantFrom<KvType>(...KV_TYPES);
    const width = fc.integer({ min: 2, max: 32 }).map((n) => n * 4);
    const shapes = fc.record({
      past: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 1000, max: 1300 })),
      rows: fc.integer({ min: 1, max: 40 }),
      kvHeads: fc.integer({ min: 1, max: 3 }),
      group: fc.constantFrom(1, 2, 3, 4, 8),
      keyWidth: width,
      valueWidth: width,
      keyType: type,
      valueType: type,
      spans: fc.constantFrom<SpanKind>("full", "window", "sinks", "gaps", "ahead"),
      softcap: fc.constantFrom(undefined, 0.5, 5, 50),
      bias: fc.constantFrom(undefined, "linear" as const, "table" as const),
      reach: fc.integer({ min: 0, max: 140 }),
      sinks: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(), async (shape, seed) => {
        const small = { ...shape, rows: shape.past > 500 ? Math.min(shape.rows, 3) : shape.rows };
        const drawn = draw(small, new Random(seed));
        const expected = bruteForce(small, drawn);
        const found: Float32Array[] = [];
        for (const ops of devices) found.push(await attend(ops, small, drawn));
        for (const result of found) expect(difference(result, expected)).toBeLessThan(toleranceOf(small));
        for (let i = 0; i < found.length; i += 2) expect(found[i + 1]).toEqual(found[i]);
      }),
      { numRuns: 25 },
    );
    await Promise.all(devices.map((ops) => ops.dispose()));
  });
});

test("a table, places and sinks in another memory than the cache are taken along", async () => {
  const shape: Case = { ...base, past: 50, rows: 3, sinks: true, softcap: 20, keyType: "f16" };
  const ops = await createWasmBackend({ threads: 1, memoryBytes: 4 * MIB });
  const weights = [0, 1].map((layer) => ({
    name: `${layer}`,
    dtype: "f32" as const,
    rows: 1,
    cols: (2 * MIB) / 4,
    layer,
  }));
  await ops.planWeights({ weights, cacheBytes: [MIB, MIB], activationBytes: 0 });
  expect([ops.placeOf(0), ops.placeOf(1)]).toEqual([0, 1]);
  for (const bias of ["linear", "table"] as const) {
    const drawn = draw({ ...shape, bias }, new Random(8));
    const found = await attend(ops, { ...shape, bias }, drawn, 1);
    expect(difference(found, bruteForce({ ...shape, bias }, drawn))).toBeLessThan(toleranceOf(shape));
  }
  const store = ops.kvStore({ members: 1, keyWidth: 8, valueWidth: 8, keyType: "f32", valueType: "f32" }, 1);
  const slice = { store, table: store.table(), member: 0, heads: headsFrom(0, 1) };
  const sinks = weightOf(ops, "f16", 1, 1, Float32Array.of(2));
  const step = () => {
    ops.beginStep();
    const queries = [asking(ops, [1])];
    const spans = ops.input(Int32Array.of(0, 0));
    const forward = (inner: Backend) => {
      const out = inner.empty(1, 8);
      inner.attention(attended({ out, queries, spans, slice, group: 1, scale: 1, sinks }));
      return out;
    };
    return ops.read(ops.scope({ layer: 1, forward }, queries[0], undefined));
  };
  for (let i = 0; i < 3; i++) await step();
  const before = ops.spaces[1].usedBytes;
  await step();
  expect(ops.spaces[1].usedBytes).toBe(before);
  await ops.dispose();
});
