/** Bounds of keys by page on every backend: they are those of what is stored, and made anew whenever a page is written. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ceilToF16, floorToF16 } from "../../src/quant/f16.js";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { boundsLayout } from "../../src/tensor/kv.js";
import { DEVICES } from "./devices.js";
import {
  type Bounded,
  boundedSlice,
  decoding,
  drawRows,
  type Row,
  type Shape,
  writeAll,
  writeBounded,
} from "./select-cases.js";
import { boundsOf, keysOf } from "./stored-pages.js";

const shape: Shape = { kvHeads: 3, group: 1, keyWidth: 20, valueWidth: 8 };
const row: Row = { ...decoding, heads: [0, 2], member: 1, lead: 3 };

describe.each(DEVICES)("bounds of pages on $label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  /** Of all pages and heads, as numbers. */
  async function allBounds(cache: Bounded, tokens: number) {
    const found: number[] = [];
    for (let page = 0; page * 16 < tokens; page++) {
      for (let head = 0; head < cache.slice.heads.length; head++) {
        const { largest, smallest } = await boundsOf(ops, cache, page, head);
        found.push(...largest, ...smallest);
      }
    }
    return found;
  }

  /** What they must be by the keys that the pages hold. */
  async function expectedBounds(cache: Bounded, tokens: number) {
    const { keyWidth } = cache.slice.store.layout;
    const expected: number[] = [];
    for (let page = 0; page * 16 < tokens; page++) {
      for (let head = 0; head < cache.slice.heads.length; head++) {
        const keys = await keysOf(ops, cache, page, head);
        const seen = Math.min(tokens - page * 16, 16);
        const rows = Array.from({ length: keyWidth }, (_, d) => keys.subarray(d * 16, d * 16 + seen));
        expected.push(...rows.map((keys) => ceilToF16(Math.max(...keys))));
        expected.push(...rows.map((keys) => floorToF16(Math.min(...keys))));
      }
    }
    return expected;
  }

  const same = (found: readonly number[], expected: readonly number[]) =>
    found.length === expected.length && found.every((x, i) => x === expected[i]);

  test.each(KV_TYPES)(
    "%s: the smallest and largest half floats around what is stored, at any width and remainder",
    async (keyType) => {
      for (const [i, keyWidth] of [4, 20, 36, 64, 80, 128, 256].entries()) {
        for (const tokens of [1, 15 + i, 16, 17, 40 + i]) {
          ops.beginStep();
          const drawn = drawRows({ ...shape, keyWidth }, [{ ...row, tokens, keyType }], i);
          const [cache] = writeAll(ops, drawn);
          const found = await allBounds(cache, tokens);
          expect(same(found, await expectedBounds(cache, tokens)), `width ${keyWidth}, ${tokens} tokens`).toBe(true);
          expect(found.some((x) => x > 1)).toBe(true);
          cache.slice.store.dispose();
          cache.bounds.store.dispose();
        }
      }
    },
  );

  test("tokens that were taken back leave nothing behind", async () => {
    ops.beginStep();
    const drawn = drawRows(shape, [{ ...row, tokens: 60 }], 3);
    const [cache] = writeAll(ops, drawn);
    const other = drawRows(shape, [{ ...row, tokens: 60 }], 4);
    // Slots 37 to 39 are written anew, and the text ends there; the places behind them are stale.
    writeBounded(ops, other, 0, cache, 37, 3);
    const found = (await allBounds(cache, 40)).slice();
    expect(same(found, await expectedBounds(cache, 40))).toBe(true);
    expect(same(found, await expectedBounds(cache, 48))).toBe(false);
  });

  test("at any place of a page, what stands behind the text counts for nothing", async () => {
    ops.beginStep();
    const [cache] = writeAll(ops, drawRows(shape, [{ ...row, tokens: 48 }], 3));
    const other = drawRows(shape, [{ ...row, tokens: 48 }], 4);
    // What is stale is larger than all of the text.
    for (const key of other.keys) for (const d of key.keys()) key[d] *= 1 / 8;
    for (let slot = 32; slot < 48; slot++) {
      writeBounded(ops, other, 0, cache, slot, 1);
      const found = await allBounds(cache, slot + 1);
      expect(same(found, await expectedBounds(cache, slot + 1)), `${slot + 1} tokens`).toBe(true);
    }
  });

  test("a write to one page leaves the bounds of the others alone", async () => {
    ops.beginStep();
    const drawn = drawRows(shape, [{ ...row, tokens: 64 }], 5);
    const [cache] = writeAll(ops, drawn);
    const before = await allBounds(cache, 64);
    writeBounded(ops, drawRows(shape, [{ ...row, tokens: 64 }], 6), 0, cache, 20, 9);
    const after = await allBounds(cache, 64);
    const page = (bounds: readonly number[], i: number) =>
      bounds.slice((i * bounds.length) / 4, ((i + 1) * bounds.length) / 4);
    for (const i of [0, 2, 3]) expect(page(after, i)).toEqual(page(before, i));
    expect(page(after, 1)).not.toEqual(page(before, 1));
  });

  test.each(KV_TYPES)("%s: pages that are there already are bounded alike", async (keyType) => {
    ops.beginStep();
    const tokens = 77;
    const drawn = drawRows(shape, [{ ...row, tokens, keyType }], 7);
    const [cache] = writeAll(ops, drawn);
    const store = ops.kvStore(boundsLayout(cache.slice.store.layout));
    const table = store.table();
    table.push(store.alloc());
    const anew: Bounded = { ...cache, bounds: { ...cache.bounds, store, table } };
    ops.bound([{ slice: cache.slice, bounds: { bounds: anew.bounds, at: row.lead }, slot: 0, rows: tokens }]);
    expect(await allBounds(anew, tokens)).toEqual(await allBounds(cache, tokens));
  });

  test.each(KV_TYPES)(
    "%s: keys that half floats cannot bound are misfits, where they are to be bounded",
    async (keyType) => {
      const drawn = drawRows(shape, [{ ...row, tokens: 1, keyType }], 8);
      drawn.keys[0][2] = 40000;
      ops.beginStep();
      const cache = boundedSlice(ops, shape, drawn.rows[0]);
      writeBounded(ops, drawn, 0, cache, 0, 1);
      await ops.read(ops.empty(1, 1));
      expect(ops.misfits()).toEqual(keyType === "f16" ? undefined : { beyondRange: true, notFinite: false });
    },
  );
});
