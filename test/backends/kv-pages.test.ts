/** Pages as bytes, on every backend: what is read from one page and written to another attends as the first did. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import type { KvLayout, KvSlice } from "../../src/tensor/kv.js";
import { SnapshotError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
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
    return { store, table, member: 1, head: 0, heads: 2 };
  }

  async function attended(slice: KvSlice, queries: Float32Array): Promise<Float32Array> {
    const out = ops.empty(1, 2 * slice.store.layout.valueWidth);
    const query = tensorOf(ops, 1, queries.length, queries);
    ops.attention({ out, queries: [query], spans: ops.input(Int32Array.of(2, 13)), slice, group: 1, scale: 0.3 });
    return (await ops.read(out)).slice();
  }

  it.each(KV_TYPES)("%s", async (type) => {
    const random = new Random(4);
    const layout = { members: 3, keyWidth: 12, valueWidth: 36, keyType: type, valueType: type };
    const [first, second] = [sliceOf(layout), sliceOf(layout)];
    // Written, but not run before the page is read.
    ops.beginStep();
    const [keys, values] = [12, 36].map((width) => tensorOf(ops, 13, 2 * width, numbers(random, 26 * width)));
    ops.append({ keys, values, slice: first, slot: 0 });
    const bytes = await first.store.readPage(first.table.page(0));
    expect(bytes).toHaveLength(first.store.pageBytes);
    second.store.writePage(second.table.page(0), bytes);
    ops.beginStep();
    const queries = numbers(random, 24);
    const expected = await attended(first, queries);
    expect(Math.max(...expected)).toBeGreaterThan(0);
    expect(await attended(second, queries)).toEqual(expected);
    expect(await second.store.readPage(second.table.page(0))).toEqual(bytes);
  });

  it("holds nothing of a store before it", async () => {
    const layout = { members: 1, keyWidth: 16, valueWidth: 16, keyType: "f32", valueType: "f32" } as const;
    const first = ops.kvStore(layout);
    for (let page = 0; page < 8; page++) {
      first.writePage(first.alloc(), new Uint8Array(first.pageBytes).fill(7));
    }
    first.dispose();
    const second = ops.kvStore(layout);
    for (let page = 0; page < 8; page++) {
      expect((await second.readPage(second.alloc())).every((byte) => byte === 0)).toBe(true);
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
});
