/** Sequences of a backend share one store for each layout, and what none of them holds goes back to the backend. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { PagePools } from "../../src/context/page-pools.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import type { Backend } from "../../src/tensor/backend.js";
import type { KvLayout } from "../../src/tensor/kv.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";

const LAYOUT: KvLayout = { members: 4, keyWidth: 8, valueWidth: 8, keyType: "f32", valueType: "f32" };

let backend: Backend;
beforeEach(async () => {
  backend = await createBackend("wasm", { threads: 1 });
});
afterEach(() => backend.dispose());

test("a layout is one store, another layout another one", () => {
  const pools = PagePools.of(backend);
  expect(PagePools.of(backend)).toBe(pools);
  const first = pools.open(LAYOUT, 0);
  expect(pools.open({ ...LAYOUT }, 1).store).toBe(first.store);
  const others: Partial<KvLayout>[] = [
    { members: 5 },
    { keyWidth: 16 },
    { valueWidth: 16 },
    { keyType: "q8" },
    { valueType: "q8" },
  ];
  const stores = others.map((other) => pools.open({ ...LAYOUT, ...other }, 0).store);
  expect(new Set([first.store, ...stores]).size).toBe(1 + others.length);
});

test("what the one who leaves has held alone goes back, and the rest with the last", () => {
  const pools = PagePools.of(backend);
  const before = backend.memoryBytes;
  const [one, other] = [pools.open(LAYOUT, 0), pools.open(LAYOUT, 0)];
  const { store } = one;
  store.reserve(3);
  const kept = Array.from({ length: 3 }, () => store.alloc());
  store.reserve(50);
  const gone = Array.from({ length: 50 }, () => store.alloc());
  expect(store.reservedBytes).toBe(53 * store.pageBytes);
  for (const page of gone) store.release(page);
  expect(store.reservedBytes).toBe(53 * store.pageBytes);
  other.close();
  expect(store.reservedBytes).toBe(3 * store.pageBytes);
  expect(kept.every((page) => !store.isShared(page))).toBe(true);
  one.close();
  expect(store.reservedBytes).toBe(0);
  expect(backend.memoryBytes).toBe(before);
  expect(pools.open(LAYOUT, 0).store).not.toBe(store);
});

test("a long text that is disposed of leaves the memory to others, though a short one goes on", async () => {
  const runner = new StepRunner(backend, bind(randomModel(SMALL, 1), backend));
  const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: 2000 } as const;
  const open = () => new SequenceMemory(backend, runner.decoder.shapes, settings);
  const read = (memory: SequenceMemory, tokens: number) =>
    runner.run(memory, randomIds(tokens, SMALL.vocabulary, 1), "last", (logits) => logits.slice());
  const [short, long, twin] = [open(), open(), open()];
  await read(short, 5);
  await read(twin, 5);
  await read(long, 1000);
  const { usedBytes } = long;
  expect(usedBytes).toBeGreaterThan(100_000);
  const before = backend.memoryBytes;
  long.dispose();
  expect(before - backend.memoryBytes).toBeGreaterThanOrEqual(usedBytes);
  expect(await read(short, 1)).toEqual(await read(twin, 1));
  short.dispose();
  twin.dispose();
});
