/** Cache writes and attention on every backend, against brute force in double precision. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KV_FORMATS } from "../../src/quant/kv/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES, type KvType } from "../../src/tensor/dtype.js";
import { PAGE_TOKENS } from "../../src/tensor/kv.js";
import { Random } from "../../src/util/random.js";
import { attend, base, bruteForce, type Case, draw, type SpanKind, toleranceOf } from "./attention-cases.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { DEVICES, difference, numbers, tensorOf, turns, WASM_DEVICES } from "./devices.js";

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
  { past: 60, rows: 40, keyType: "q4", valueType: "q4", keyWidth: 64, valueWidth: 96 },
  { past: 60, rows: 4, keyType: "q8", valueType: "q4", keyWidth: 80, valueWidth: 44, spans: "sinks" },
  { past: 33, rows: 3, keyType: "q4", valueType: "f16", keyWidth: 128, valueWidth: 36, group: 32, kvHeads: 1 },
  { past: 1200, keyType: "q4", valueType: "q4", keyWidth: 64, valueWidth: 64 },
  { past: 70, rows: 3, keyType: "q8", valueType: "f16", valueSpread: 65504 },
  { past: 1200, keyType: "f16", valueType: "f16", valueSpread: 65504 },
  { past: 1200, keyType: "f16", valueType: "f16", valueSpread: 2e-6 },
  { past: 70, rows: 3, keyType: "q4", valueType: "q4", valueSpread: 65504 },
  { past: 1200, keyType: "q4", valueType: "q4", valueSpread: 2e-6 },
  { past: 20, rows: 5, layout: "halves", keyWidth: 20 },
  { past: 20, rows: 5, layout: "interleaved", keyType: "q8", keyWidth: 36 },
  { past: 20, rows: 40, layout: "interleaved", keyType: "f16", keyWidth: 12 },
  { past: 20, rows: 5, layout: "halves", keyType: "q4", valueType: "q4", keyWidth: 36 },
];

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
      const unit = (x: number) => x / (shape.valueSpread ?? 1);
      const found = (await attend(ops, shape, drawn)).map(unit);
      expect(difference(found, bruteForce(shape, drawn).map(unit))).toBeLessThan(toleranceOf(shape));
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
    const slice = { store, table: store.table(), member: 0, heads: headsFrom(0, 1) };
    for (let page = 0; page * PAGE_TOKENS < tokens; page++) slice.table.push(store.alloc());
    const sign = Math.sign(apart);
    const keys = Float32Array.from({ length: tokens * width }, (_, i) =>
      i % width > 0 ? 0 : i === chosen * width ? 127 * sign : -127 * sign,
    );
    const values = Float32Array.from({ length: tokens * width }, (_, i) => ((i * 31) % width === 0 ? 127 : i % 127));
    ops.append(
      appended({
        keys: tensorOf(ops, tokens, width, keys),
        values: tensorOf(ops, tokens, width, values),
        slice,
        slot: 0,
      }),
    );
    const query = tensorOf(
      ops,
      1,
      width,
      Float32Array.from({ length: width }, (_, d) => (d === 0 ? apart / 254 : 0)),
    );
    const out = ops.empty(1, width);
    ops.attention(
      attended({ out, queries: [query], spans: ops.input(Int32Array.of(0, tokens)), slice, group: 1, scale: 1 }),
    );
    const found = (await ops.read(out)).slice();
    store.dispose();
    expect(found).toEqual(values.slice(chosen * width, (chosen + 1) * width));
  });

  test.each([
    ["f32", "f16", "halves"],
    ["f16", "q8", "interleaved"],
    ["q8", "f32", "halves"],
    ["q4", "q4", "interleaved"],
  ] as const)("rotatePages: %s keys, %s values, %s", async (keyType, valueType, layout) => {
    const random = new Random(3);
    const [kvHeads, keyWidth, valueWidth, tokens, dims] = [2, 36, 40, 37, 24];
    const layoutOfStore = { members: 4, keyWidth, valueWidth, keyType, valueType };
    ops.beginStep();
    const store = ops.kvStore(layoutOfStore);
    const slices = [1, 2].map((member) => {
      const table = store.table();
      for (let i = 0; i < 3; i++) table.push(store.alloc());
      return { store, table, member, heads: headsFrom(0, kvHeads) };
    });
    const drawn = numbers(random, tokens * kvHeads * keyWidth);
    const stored = Array.from({ length: tokens * kvHeads }, (_, i) => [
      ...KV_FORMATS[keyType].round(drawn.subarray(i * keyWidth, (i + 1) * keyWidth), "keys"),
    ]);
    const [keys, keysAsStored] = [drawn, Float32Array.from(stored.flat())].map((all) =>
      tensorOf(ops, tokens, kvHeads * keyWidth, all),
    );
    const values = tensorOf(ops, tokens, kvHeads * valueWidth, numbers(random, tokens * kvHeads * valueWidth));
    const angles = { layout, dims, values: ops.input(turns(random, tokens, dims)) };
    ops.append(appended({ keys, values, slice: slices[0], slot: 0 }));
    ops.rotatePages(slices[0], slices[1], tokens, angles);
    const direct = store.table();
    for (let i = 0; i < 3; i++) direct.push(store.alloc());
    const expected = { ...slices[0], table: direct };
    ops.append(appended({ keys: keysAsStored, values, slice: expected, slot: 0, angles }));
    const query = tensorOf(ops, 1, kvHeads * keyWidth, numbers(random, kvHeads * keyWidth, 3));
    const spans = ops.input(Int32Array.from([0, tokens]));
    const results = [slices[1], expected].map((slice) => {
      const out = ops.empty(1, kvHeads * valueWidth);
      ops.attention(attended({ out, queries: [query], spans, slice, group: 1, scale: 1 }));
      return out;
    });
    const found = (await ops.read(results[0])).slice();
    expect(difference(found, await ops.read(results[1]))).toBeLessThan(1e-6);
    store.dispose();
  });
});

describe("any shape", () => {
  test("wasm attends like brute force, and the same bits with any number of threads", async () => {
    const devices = await Promise.all(WASM_DEVICES.map(({ create }) => create()));
    const type = fc.constantFrom<KvType>(...KV_TYPES);
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
        const tolerance = toleranceOf(shape);
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
