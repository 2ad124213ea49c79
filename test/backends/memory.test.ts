/** The Wasm backend's memory: the allocator, arenas that stop growing, caches that give back, limits with figures. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SCRATCH_BYTES } from "../../kernels/abi.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { Space } from "../../src/backends/wasm/space.js";
import type { ScopeBody } from "../../src/tensor/backend.js";
import type { KvLayout } from "../../src/tensor/kv.js";
import { MemoryError, UnsupportedError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { numbers, tensorOf, weightOf } from "./devices.js";

const LAYOUT: KvLayout = { members: 4, keyWidth: 64, valueWidth: 64, keyType: "f32", valueType: "f32" };

describe("the allocator", () => {
  test("blocks never overlap, are aligned, and all come back", () => {
    const step = fc.record({ bytes: fc.integer({ min: 0, max: 300_000 }), release: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const space = new Space(2 ** 25);
        space.open(1000);
        const taken: { start: number; bytes: number }[] = [];
        for (const { bytes, release } of steps) {
          const start = space.allocate(bytes, "a block");
          expect(start % 64).toBe(0);
          expect(start).toBeGreaterThanOrEqual(1000);
          for (const other of taken) {
            expect(start >= other.start + other.bytes || start + bytes <= other.start).toBe(true);
          }
          taken.push({ start, bytes });
          const [gone] = release < taken.length ? taken.splice(release, 1) : [];
          if (gone) space.release(gone.start, gone.bytes);
        }
        for (const { start, bytes } of taken) space.release(start, bytes);
        expect(space.usedBytes).toBe(0);
        // Joined again: the whole of it fits once more, without growing.
        const size = space.memory.buffer.byteLength - 1024;
        expect(space.allocate(size, "everything")).toBe(1024);
        expect(space.memory.buffer.byteLength).toBe(size + 1024);
      }),
      { numRuns: 40 },
    );
  });

  test("the limit is an error with figures, and changes nothing", () => {
    const space = new Space(2 ** 21);
    space.open(1000);
    const first = space.allocate(2 ** 20, "first");
    expect(() => space.allocate(2 ** 20, "The second")).toThrow(MemoryError);
    expect(() => space.allocate(2 ** 20, "The second")).toThrow(/The second needs 1048576 bytes, but only 1047552/);
    expect(space.fits(2 ** 20)).toBe(false);
    expect(space.fits(2 ** 20 - 1024)).toBe(true);
    expect(space.usedBytes).toBe(2 ** 20);
    space.release(first, 2 ** 20);
    expect(space.allocate(2 ** 20, "again")).toBe(first);
  });
});

describe("weights", () => {
  test("are written in place, also when the memory grew in between", async () => {
    const ops = await createWasmBackend({ threads: 1 });
    const slots = [1, 2, 3].map((value) => {
      const slot = ops.allocWeight({ name: `w${value}`, dtype: "f32", rows: 300, cols: 1000 });
      return { ...slot, value };
    });
    for (const { memory, write, value } of slots) {
      const bytes = new Uint8Array(new Float32Array(300_000).fill(value).buffer);
      // Half of it where it lies, as the loader does, half as a piece.
      memory?.set(bytes.subarray(0, 600_000));
      write(600_000, bytes.subarray(600_000));
    }
    ops.beginStep();
    for (const { weight, value } of slots) {
      const row = await ops.read(ops.embed(weight, ops.input(Int32Array.of(299))));
      expect(row).toEqual(new Float32Array(1000).fill(value));
    }
    await ops.dispose();
  });

  test("that do not fit are refused with figures", async () => {
    const ops = await createWasmBackend({ threads: 1, maxMemoryBytes: 2 ** 22 });
    expect(() => ops.allocWeight({ name: "big", dtype: "f32", rows: 2000, cols: 1000 })).toThrow(
      /The weight big needs 8000000 bytes/,
    );
    expect(ops.memoryLimitBytes).toBe(2 ** 22);
    await ops.dispose();
  });
});

test.each([1, 2, 8])("the least memory of %i threads holds their scratch memory and some weights", async (threads) => {
  const leastBytes = 2 ** 20 + (threads - 1) * SCRATCH_BYTES;
  for (const [option, limitedTo] of [
    ["memoryBytes", (memoryBytes: number) => ({ threads, memoryBytes })],
    ["maxMemoryBytes", (maxMemoryBytes: number) => ({ threads, maxMemoryBytes })],
  ] as const) {
    await expect(createWasmBackend(limitedTo(leastBytes - 1))).rejects.toMatchObject({
      code: "bad_argument",
      message: expect.stringMatching(new RegExp(`^${option} must be at least ${leastBytes} with ${threads} threads`)),
      details: { option, threads, leastBytes },
    });
    const ops = await createWasmBackend(limitedTo(leastBytes));
    ops.allocWeight({ name: "some", dtype: "f32", rows: 25, cols: 1000 });
    await ops.dispose();
  }
});

describe("caches", () => {
  test("reserve, alloc, free, dispose", async () => {
    const ops = await createWasmBackend({ threads: 1, maxMemoryBytes: 2 ** 24 });
    const empty = ops.memoryBytes;
    const store = ops.kvStore(LAYOUT);
    expect(store.pageBytes).toBe(4 * 16 * 128 * 4);
    expect(ops.kvPageBytes(LAYOUT)).toBe(store.pageBytes);
    store.reserve(10);
    expect(store.reservedBytes).toBe(10 * store.pageBytes);
    expect(store.usedBytes).toBe(0);
    const pages = Array.from({ length: 40 }, () => store.alloc());
    expect(new Set(pages).size).toBe(40);
    expect(store.usedBytes).toBe(40 * store.pageBytes);
    for (const page of pages.slice(5)) store.release(page);
    expect(store.usedBytes).toBe(5 * store.pageBytes);
    const reserved = store.reservedBytes;
    store.reserve(35);
    expect(store.reservedBytes).toBe(reserved);
    expect(() => store.reserve(10_000)).toThrow(MemoryError);
    expect(store.reservedBytes).toBe(reserved);
    store.dispose();
    expect(ops.memoryBytes).toBe(empty);
    await ops.dispose();
  });

  test("a page table is a list", async () => {
    const ops = await createWasmBackend({ threads: 1 });
    const table = ops.kvStore(LAYOUT).table();
    const mirror: number[] = [];
    const random = new Random(5);
    for (let step = 0; step < 400; step++) {
      const count = random.below(4);
      const start = random.below(mirror.length + 1);
      if (random.below(4) === 0 && start + count <= mirror.length) {
        table.remove(start, count);
        mirror.splice(start, count);
      } else {
        const page = 0xf000_0000 + step * 64;
        table.push(page);
        mirror.push(page);
      }
      expect(Array.from({ length: table.length }, (_, i) => table.page(i))).toEqual(mirror);
    }
    await ops.dispose();
  });

  test.each([[6], [2], [0], [516], [8.5]])("heads of %d are refused", async (keyWidth) => {
    const ops = await createWasmBackend({ threads: 1 });
    expect(() => ops.kvStore({ ...LAYOUT, keyWidth })).toThrow(UnsupportedError);
    await ops.dispose();
  });
});

test("a steady state takes no memory", async () => {
  const ops = await createWasmBackend({ threads: 2, parallelNs: 0 });
  const random = new Random(1);
  const [rows, width] = [40, 256];
  const table = weightOf(ops, "f32", rows, width, numbers(random, rows * width));
  const matrix = weightOf(ops, "q8_0", width, width, numbers(random, width * width));
  const layer: ScopeBody<undefined> = { forward: (inner, x) => inner.add(x, inner.linear(x, matrix)) };
  const step = async (count: number) => {
    ops.beginStep();
    let x = ops.embed(table, ops.input(Int32Array.from({ length: count }, (_, i) => i % rows)));
    for (let i = 0; i < 5; i++) x = ops.scope(layer, x, undefined);
    return (await ops.read(x)).slice();
  };
  const first = await step(300);
  expect(await step(300)).toEqual(first);
  await step(1);
  const taken = ops.memoryBytes;
  const size = ops.spaces[0].memory.buffer.byteLength;
  for (const count of [1, 7, 300, 1, 299]) await step(count);
  expect(ops.memoryBytes).toBe(taken);
  expect(ops.spaces[0].memory.buffer.byteLength).toBe(size);
  expect(await step(300)).toEqual(first);
  await ops.dispose();
});

test("a step that fitted fits again, though something else parts what it had", async () => {
  const ops = await createWasmBackend({ threads: 1, maxMemoryBytes: 20 * 2 ** 20 });
  const rows = 2 ** 16;
  const empty = (mebibytes: number) => ops.empty(rows, mebibytes * 4);
  let between: { dispose(): void } | undefined;
  for (let step = 0; step < 3; step++) {
    ops.beginStep();
    empty(6);
    // Something that outlives the step lies between the pieces of the first, so that no whole of 14 MiB is left.
    between ??= ops.kept(rows, 8);
    empty(8);
  }
  expect(() => empty(8)).toThrow(MemoryError);
  between?.dispose();
  await ops.dispose();
});

test("eviction between steps does not disturb attention that still waits", async () => {
  const ops = await createWasmBackend({ threads: 1 });
  const store = ops.kvStore({ members: 1, keyWidth: 4, valueWidth: 4, keyType: "f32", valueType: "f32" });
  const kept = store.table();
  for (let i = 0; i < 3; i++) kept.push(store.alloc());
  ops.beginStep();
  const rows = 48;
  const values = Float32Array.from({ length: rows * 4 }, (_, i) => i >> 2);
  const keys = tensorOf(ops, rows, 4, new Float32Array(rows * 4));
  const slice = { store, table: kept, member: 0, heads: headsFrom(0, 1) };
  ops.append(appended({ keys, values: tensorOf(ops, rows, 4, values), slice, slot: 0 }));
  await ops.read(keys);
  const out = ops.empty(1, 4);
  const spans = ops.input(Int32Array.of(0, 16));
  ops.attention(attended({ out, queries: [ops.rows(keys, 0, 1)], spans, slice, group: 1, scale: 1 }));
  const evicted = kept.page(0);
  kept.remove(0, 1);
  store.release(evicted);
  // The mean of the first page's values, 0 to 15, although the table lost it before the result was read.
  expect(Array.from(await ops.read(out))).toEqual([7.5, 7.5, 7.5, 7.5]);
  await ops.dispose();
});

test("a tensor of the step keeps its 16-bit form through all scopes", async () => {
  const ops = await createWasmBackend({ threads: 1 });
  const random = new Random(2);
  const matrix = weightOf(ops, "q8_0", 64, 64, numbers(random, 64 * 64));
  ops.beginStep();
  const shared = tensorOf(ops, 1, 64, numbers(random, 64));
  const expected = (await ops.read(ops.linear(shared, matrix))).slice();
  ops.beginStep();
  const again = tensorOf(ops, 1, 64, numbers(new Random(2), 64 * 64 + 64).subarray(64 * 64));
  const layer: ScopeBody<undefined> = {
    // The product first, then tensors that take the place which an arena's next turn would give to the 16-bit form.
    forward: (inner, x) => inner.add(inner.linear(again, matrix), inner.add(x, inner.add(x, x))),
  };
  for (let i = 0; i < 6; i++) ops.scope(layer, again, undefined);
  expect(await ops.read(ops.linear(again, matrix))).toEqual(expected);
  await ops.dispose();
});

test("addresses beyond 2 GiB", async () => {
  const ops = await createWasmBackend({ threads: 2, parallelNs: 0 });
  // Never touched, so it costs address space only.
  ops.allocWeight({ name: "filler", dtype: "f32", rows: 3 * 2 ** 14, cols: 2 ** 14 });
  const low = await createWasmBackend({ threads: 1 });
  const results: Float32Array[] = [];
  for (const backend of [ops, low]) {
    const random = new Random(9);
    backend.beginStep();
    const x = tensorOf(backend, 20, 64, numbers(random, 20 * 64));
    const store = backend.kvStore({ members: 2, keyWidth: 32, valueWidth: 32, keyType: "q8", valueType: "f16" });
    const table = store.table();
    for (let i = 0; i < 2; i++) table.push(store.alloc());
    const slice = { store, table, member: 0, heads: headsFrom(0, 2) };
    backend.append(appended({ keys: x, values: x, slice, slot: 0 }));
    const out = backend.empty(20, 64);
    const spans = backend.input(Int32Array.from({ length: 40 }, (_, i) => (i % 2 ? (i >> 1) + 1 : 0)));
    backend.attention(attended({ out, queries: [x], spans, slice, group: 1, scale: 0.2 }));
    const matrix = weightOf(backend, "q8_0", 48, 64, numbers(random, 48 * 64));
    results.push((await backend.read(backend.linear(out, matrix))).slice());
  }
  expect(ops.memoryBytes).toBeGreaterThan(3 * 2 ** 30);
  expect(results[0]).toEqual(results[1]);
  await Promise.all([ops.dispose(), low.dispose()]);
});
