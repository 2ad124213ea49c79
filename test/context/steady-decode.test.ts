/** Writing token by token takes no memory but the pages of caches, and tells threads nothing by message, whatever is kept and read. */
import { Worker } from "node:worker_threads";
import { expect, test, vi } from "vitest";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { gatesFor } from "../support/model-gates.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const CASES: readonly (readonly [string, KvType])[] = [
  ["full,read=quest:48,dense=0", "f16"],
  ["full,read=quest:48,dense=1", "q4"],
  ["recent:100,read=quest:48", "q8"],
  ["duo:mixed,sinks:4,recent:40", "f16"],
  ["duo:mixed,sinks:4,recent:60,read=quest:48,dense=0", "q4"],
  ["bigbird:16", "f16"],
  ["bigbird:16", "q4"],
  ["sinks:system,recent:60", "f16"],
  ["sinks:system,recent:90,read=quest:48,dense=0", "q4"],
];

function reservedBytes({ cache }: SequenceMemory): number {
  return cache.groups.reduce(
    (sum, { store, bounds }) => sum + store.reservedBytes + (bounds?.store.reservedBytes ?? 0),
    0,
  );
}

test.each(CASES)("%s, %s", async (text, type) => {
  const backend = await createWasmBackend({ threads: 2, parallelNs: 0 });
  const together = new Together(backend, bind(randomModel({ ...SMALL, layers: 3 }, 4), backend));
  const policy = parsePolicy(text, { gates: gatesFor(together.decoder.shapes.attention) });
  const memory = together.open({ policy, keyType: type, valueType: type });
  memory.cache.messages = { system: { start: 0, end: 21 }, starts: [] };
  await together.read(memory, randomIds(300, SMALL.vocabulary, 1), [60]);
  const ids = randomIds(80, SMALL.vocabulary, 2);
  const write = (at: number) => together.run([{ memory, ids: ids.subarray(at, at + 1), origin: "written" }]);
  for (let at = 0; at < 20; at++) await write(at);
  const beside = backend.memoryBytes - reservedBytes(memory);
  const posted = vi.spyOn(Worker.prototype, "postMessage");
  for (let at = 20; at < 80; at++) {
    await write(at);
    expect(backend.memoryBytes - reservedBytes(memory)).toBe(beside);
  }
  expect(posted).not.toHaveBeenCalled();
  posted.mockRestore();
  await backend.dispose();
});
