/** Slices of a cache, as kernels are told of them: worked out once for a page table, checked whenever they are others. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { Angles, Backend } from "../../src/tensor/backend.js";
import type { KvLayout, KvSlice, KvStore, PageTable } from "../../src/tensor/kv.js";
import { InternalError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { appended, attended } from "./cache-calls.js";
import { numbers, tensorOf } from "./devices.js";

const [WIDTH, KV_HEADS, TOKENS] = [8, 5, 9];
const LAYOUT: KvLayout = { members: 4, keyWidth: WIDTH, valueWidth: WIDTH, keyType: "f32", valueType: "f32" };
const { keys: KEYS, values: VALUES, queries: QUERIES } = drawn();

function drawn() {
  const random = new Random(6);
  const rows = () => numbers(random, TOKENS * KV_HEADS * WIDTH);
  return { keys: rows(), values: rows(), queries: numbers(random, KV_HEADS * WIDTH) };
}

let wasm: Backend;
beforeAll(async () => {
  wasm = await createWasmBackend({ threads: 1 });
});
afterAll(() => wasm.dispose());

function opened(ops: Backend, layout = LAYOUT): { readonly store: KvStore; readonly table: PageTable } {
  const store = ops.kvStore(layout);
  const table = store.table();
  table.push(store.alloc());
  return { store, table };
}

function write(ops: Backend, slice: KvSlice, heads = KV_HEADS): void {
  const rows = (all: Float32Array) => {
    const own = Array.from({ length: TOKENS }, (_, row) => {
      const start = row * KV_HEADS * WIDTH;
      return [...all.subarray(start, start + heads * WIDTH)];
    });
    return tensorOf(ops, TOKENS, heads * WIDTH, Float32Array.from(own.flat()));
  };
  ops.append(appended({ keys: rows(KEYS), values: rows(VALUES), slice, slot: 0 }));
}

/** What each KV head's one query head gets; zeros for those that the slice has not. */
async function read(ops: Backend, slice: KvSlice): Promise<Float32Array> {
  const out = tensorOf(ops, 1, KV_HEADS * WIDTH, new Float32Array(KV_HEADS * WIDTH));
  const query = tensorOf(ops, 1, KV_HEADS * WIDTH, QUERIES);
  const spans = ops.input(Int32Array.of(0, TOKENS));
  ops.attention(attended({ out, queries: [query], spans, slice, group: 1, scale: 0.3 }));
  return (await ops.read(out)).slice();
}

function rotate(ops: Backend, from: KvSlice, to: KvSlice): void {
  const values = ops.input(new Float32Array(16 * WIDTH));
  const angles: Angles = { layout: "halves", dims: WIDTH, values };
  ops.rotatePages(from, to, 16, angles);
}

/** Every operation that is told of a slice. */
const OPERATIONS: readonly (readonly [string, (slice: KvSlice) => unknown])[] = [
  ["append", (slice) => write(wasm, slice)],
  ["attention", (slice) => read(wasm, slice)],
  ["rotatePages, from it", (slice) => rotate(wasm, slice, other(slice))],
  ["rotatePages, to it", (slice) => rotate(wasm, other(slice), slice)],
];

/** A slice of as many heads that is right. */
function other({ heads }: KvSlice): KvSlice {
  return { ...opened(wasm), member: 0, heads: heads.map((_, i) => i) };
}

async function outcome(work: () => unknown): Promise<unknown> {
  wasm.beginStep();
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe.each(OPERATIONS)("%s", (_, operation) => {
  test.each([
    ["a member before the first", -1, [0, 1], /member 0 of 4/],
    ["a member behind the last", 4, [0], /member 4 of 4/],
    ["as many heads as there are no members for", 2, [0, 1, 2], /member 4 of 4/],
    ["a member that is no number", Number.NaN, [0], /member NaN of 4/],
    ["heads that descend", 0, [0, 2, 1], /head 1 after head 2/],
    ["a head twice", 0, [1, 1], /head 1 after head 1/],
  ])("refuses %s", async (_name, member, heads, message) => {
    const slice = { ...opened(wasm), member, heads };
    // Also when it is tried again: what was refused is not remembered.
    for (let again = 0; again < 2; again++) {
      const error = await outcome(() => operation(slice));
      expect(error).toBeInstanceOf(InternalError);
      expect(error).toMatchObject({ message: expect.stringMatching(message) });
    }
  });

  test("refuses for another store what it took for one with more members", async () => {
    const { store, table } = opened(wasm);
    const slice = { store, table, member: 2, heads: [0, 1] };
    expect(await outcome(() => operation(slice))).toBeUndefined();
    const small = { ...slice, store: wasm.kvStore({ ...LAYOUT, members: 3 }) };
    expect(await outcome(() => operation(small))).toMatchObject({ message: expect.stringMatching(/member 3 of 3/) });
  });
});

test("scattered heads need the columns up to the last of them", async () => {
  const slice = { ...opened(wasm), member: 0, heads: [0, 3] };
  expect(await outcome(() => write(wasm, slice, 3))).toMatchObject({
    message: expect.stringMatching(/without head 3/),
  });
  expect(await outcome(() => write(wasm, slice, 4))).toBeUndefined();
});

test("a table's slices of one member may have other heads in turn, neighbours or not", async () => {
  const results: Float32Array[][] = [];
  for (const ops of [new ReferenceBackend(), wasm]) {
    const { store, table } = opened(ops);
    const found: Float32Array[] = [];
    ops.beginStep();
    const lists = [[0, 1], [1, 2], [0, 4], [3], [0, 1], [1, 2, 4]];
    for (const heads of lists) {
      for (const member of [0, 1]) {
        const slice = { store, table, member, heads };
        write(ops, slice);
        found.push(await read(ops, slice));
        // What was written for some heads, others read: the members are the same.
        found.push(await read(ops, { ...slice, heads: heads.map((_, i) => i) }));
      }
    }
    results.push(found);
  }
  const [expected, own] = results;
  expect(own).toHaveLength(expected.length);
  own.forEach((row, i) => {
    row.forEach((value, column) => {
      expect(value).toBeCloseTo(expected[i][column], 5);
    });
  });
  // Heads that a slice has not are left alone; others get what they read.
  expect(expected[0].subarray(2 * WIDTH).every((value) => value === 0)).toBe(true);
  expect(expected[0].subarray(0, 2 * WIDTH).every((value) => value !== 0)).toBe(true);
});
