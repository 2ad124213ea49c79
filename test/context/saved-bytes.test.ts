/** What is saved is the text's: nothing that was taken back, and nothing of a step that failed, is in the bytes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import { memoryBytes, memoryFacts, writeMemory } from "../../src/context/snapshot.js";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

async function saved(memory: SequenceMemory): Promise<Uint8Array> {
  const facts = memoryFacts(memory);
  const pieces: Uint8Array[] = [];
  await writeMemory(memory, facts, { put: (piece) => pieces.push(piece.slice()) });
  const bytes = new Uint8Array(Buffer.concat(pieces));
  expect(bytes.length).toBe(memoryBytes(memory, facts));
  return bytes;
}

describe.each(["reference", "wasm"] as const)("bytes of a memory on %s", (name) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads: 1 });
  });
  afterAll(() => backend.dispose());

  it.each(KV_TYPES)("have nothing of what was taken back, in %s", async (type) => {
    const others = KV_TYPES[(KV_TYPES.indexOf(type) + 1) % KV_TYPES.length];
    const options = { policy: parsePolicy("full"), keyType: type, valueType: others };
    // A width that no group of 32 dims divides.
    const shape = { ...SMALL, headWidth: 36 };
    const together = new Together(backend, bind(randomModel(shape, 3), backend));
    const ids = randomIds(60, SMALL.vocabulary, 5);
    for (const [read, more] of [
      [1, 9],
      [15, 1],
      [16, 7],
      [21, 30],
    ]) {
      const [alone, ahead] = [together.open(options), together.open(options)];
      for (const memory of [alone, ahead]) await together.read(memory, ids.subarray(0, read));
      const expected = await saved(alone);
      expect(expected.some((byte) => byte !== 0)).toBe(true);
      await together.read(ahead, ids.subarray(read, read + more));
      ahead.takeBack(read);
      expect(Buffer.compare(await saved(ahead), expected)).toBe(0);
      for (const memory of [alone, ahead]) memory.dispose();
    }
  });
});
