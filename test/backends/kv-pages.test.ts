/** Pages as bytes, on every backend: what is read from one page and written to another attends as the first did. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import type { KvLayout, KvSlice } from "../../src/tensor/kv.js";
import { InternalError, SnapshotError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { DEVICES, numbers, tensorOf } from "./devices.js";

describe.each(DEVICES)("pages as bytes on $label", (device) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await device.create();
  });
  afterAll(() => ops.dispose());

  function sliceOf(layout: KvLayout): KvSlice {
    const store = ops.kvStore(layout);
    const table = store.table();
    table.push(store.alloc());
    return { store, table, member: 1, heads: headsFrom(0, 2) };
  }

  async function mixed(slice: KvSlice, queries: Float32Array): Promise<Float32Array> {
    const out = ops.empty(1, 2 * slice.store.layout.valueWidth);
    const query = tensorOf(ops, 1, queries.length, queries);
    ops.attention(
      attended({ out, queries: [query], spans: ops.input(Int32Array.of(2, 13)), slice, group: 1, scale: 0.3 }),
    );
    return (await ops.read(out)).slice();
  }

  it.each(KV_TYPES)("%s", async (type) => {
    const random = new Random(4);
    const layout = { members: 3, keyWidth: 12, valueWidth: 36, keyType: type, valueType: type };
    const [first, second] = [sliceOf(layout), sliceOf(layout)];
    // Written, but not run before the page is read.
    ops.beginStep();
    const [keys, values] = [12, 36].map((width) => tensorOf(ops, 13, 2 * width, numbers(random, 26 * width)));
    ops.append(appended({ keys, values, slice: first, slot: 0 }));
    const bytes = await first.store.readPages([first.table.page(0)]);
    expect(bytes).toHaveLength(first.store.pageBytes);
    second.store.writePage(second.table.page(0), bytes);
    ops.beginStep();
    const queries = numbers(random, 24);
    const expected = await mixed(first, queries);
    expect(Math.max(...expected)).toBeGreaterThan(0);
    expect(await mixed(second, queries)).toEqual(expected);
    expect(await second.store.readPages([second.table.page(0)])).toEqual(bytes);
  });

  const PLAIN = { members: 1, keyWidth: 16, valueWidth: 16, keyType: "f32", valueType: "f32" } as const;

  it("a page is free when its last holder lets go of it, and zero when it is taken anew", async () => {
    const store = ops.kvStore(PLAIN);
    const bytes = new Uint8Array(store.pageBytes).fill(7);
    const page = store.alloc();
    store.writePage(page, bytes);
    store.retain(page);
    expect([store.isShared(page), store.usedBytes]).toEqual([true, store.pageBytes]);
    const copied = store.copy(page);
    store.writePage(copied, new Uint8Array(store.pageBytes).fill(9));
    expect(store.isShared(copied)).toBe(false);
    store.release(page);
    expect([store.isShared(page), store.usedBytes]).toEqual([false, 2 * store.pageBytes]);
    expect(await store.readPages([copied, page])).toEqual(
      Uint8Array.from([...new Uint8Array(store.pageBytes).fill(9), ...bytes]),
    );
    store.release(page);
    store.release(copied);
    expect(store.usedBytes).toBe(0);
    for (let taken = 0; taken < 4; taken++) {
      expect((await store.readPages([store.alloc()])).every((byte) => byte === 0)).toBe(true);
    }
    store.dispose();
  });

  it("a page that nobody holds, and an entry that no table has, are bugs", () => {
    const store = ops.kvStore(PLAIN);
    const page = store.alloc();
    store.alloc();
    store.release(page);
    for (const use of [
      () => store.release(page),
      () => store.retain(page),
      () => store.release(-1),
      () => store.isShared(page),
    ]) {
      expect(use).toThrow(InternalError);
    }
    expect(store.usedBytes).toBe(store.pageBytes);
    const table = store.table();
    table.push(page);
    for (const index of [-1, 1]) expect(() => table.page(index)).toThrow(InternalError);
    store.dispose();
  });

  it("slabs of which no page is held go back", () => {
    const before = ops.memoryBytes;
    const store = ops.kvStore(PLAIN);
    const first = Array.from({ length: 40 }, () => store.alloc());
    const kept = store.alloc();
    for (const page of first) store.release(page);
    store.trim();
    expect(store.reservedBytes).toBeLessThan(41 * store.pageBytes);
    expect(store.reservedBytes).toBeGreaterThan(0);
    store.release(kept);
    store.trim();
    expect(store.reservedBytes).toBe(0);
    expect(ops.memoryBytes).toBe(before);
    expect(store.usedBytes).toBe(0);
    store.alloc();
    store.dispose();
  });

  it("holds nothing of a store before it", async () => {
    const first = ops.kvStore(PLAIN);
    for (let page = 0; page < 8; page++) {
      first.writePage(first.alloc(), new Uint8Array(first.pageBytes).fill(7));
    }
    first.dispose();
    const second = ops.kvStore(PLAIN);
    for (let page = 0; page < 8; page++) {
      expect((await second.readPages([second.alloc()])).every((byte) => byte === 0)).toBe(true);
    }
    second.dispose();
  });

  // The reference backend keeps f32, whatever the type.
  it.runIf(device.label !== "reference")("takes no halves that are infinite or NaN from a saved page", () => {
    const layout = { members: 3, keyWidth: 12, valueWidth: 36, keyType: "q8", valueType: "f16" } as const;
    const store = ops.kvStore(layout);
    const page = store.alloc();
    // All keys of a member, with their scales, then its values.
    const [keyBytes, valueBytes] = [16 * (12 + 4), 16 * 36 * 2];
    for (const half of [0x7c00, 0xfc00, 0x7e01]) {
      for (const member of [0, 2]) {
        const bytes = new Uint8Array(store.pageBytes).fill(0x7b);
        const at = member * (keyBytes + valueBytes) + keyBytes + valueBytes - 2;
        bytes.set([half & 255, half >> 8], at);
        expect(() => store.writePage(page, bytes)).toThrow(SnapshotError);
      }
    }
    store.writePage(page, new Uint8Array(store.pageBytes).fill(0x7b));
    store.dispose();
  });

  it.runIf(device.label !== "reference")(
    "takes no infinite or NaN scales of 4 bits from one; nibbles may be any",
    () => {
      const store = ops.kvStore({ members: 3, keyWidth: 36, valueWidth: 12, keyType: "q4", valueType: "q4" });
      const page = store.alloc();
      // Words of five times eight dims, two scales; words of eight tokens for each dim, one scale.
      const [words, scales, valueWords, valueScales] = [16 * 5 * 4, 16 * 2 * 2, 2 * 12 * 4, 16 * 2];
      const member = words + scales + valueWords + valueScales;
      expect(store.pageBytes).toBe(3 * member);
      const bytes = () => new Uint8Array(store.pageBytes).fill(0x7b);
      for (const half of [0x7c00, 0xfc00, 0x7e01]) {
        for (const [start, length] of [
          [words, scales],
          [words + scales + valueWords, valueScales],
        ]) {
          for (const at of [start, start + length - 2, 2 * member + start]) {
            const hostile = bytes();
            hostile.set([half & 255, half >> 8], at);
            expect(() => store.writePage(page, hostile), `${half} at ${at}`).toThrow(SnapshotError);
          }
        }
      }
      for (const start of [0, words + scales]) {
        const any = bytes();
        any.fill(0xff, start, start + 64);
        store.writePage(page, any);
      }
      store.dispose();
    },
  );
});
