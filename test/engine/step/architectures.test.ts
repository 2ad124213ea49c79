/** Steps of every architecture: each of several sequences gets the bits that it gets alone, and a prompt in pieces those of the whole. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parsePolicy } from "../../../src/context/policy-text.js";
import { SequenceMemory } from "../../../src/context/sequence-memory.js";
import { loadLocal } from "../../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../../src/engine/local-model.js";
import { KV_TYPES } from "../../../src/tensor/dtype.js";
import { FAMILIES } from "../../support/families.js";
import { FAMILY_TOKENS, randomGguf } from "../../support/random-gguf.js";
import { randomIds } from "../../support/random-model.js";

const VOCABULARY = FAMILY_TOKENS.length;
/** Rows of the prompts, then of a step in which most write and one reads on. */
const PROMPTS = [1, 11, 3, 24, 8, 7];
const NEXT = [1, 1, 9, 1, 2, 1];
/** Rows of a text that is long enough that attention cuts what it reads. */
const CHUNKS = [700, 500, 75, 1, 20, 1];
/** Where there are positions for a short one only. */
const FEWER = [75, 1, 20, 1];

describe.each(FAMILIES)("$name", (family) => {
  let model: LocalModel;
  beforeAll(async () => {
    model = await loadLocal(randomGguf(family).path, { threads: 2 });
  });
  afterAll(() => model.dispose());

  async function memoryOf(index: number): Promise<SequenceMemory> {
    const { backend, decoder } = model.runner;
    const distance = model.info.fixedPositions ? ",distance=text" : "";
    const policies = model.info.attentionLayers === 0 ? ["full"] : ["full", `sinks:2,recent:9${distance}`];
    const kv = KV_TYPES[index % KV_TYPES.length];
    const policy = parsePolicy(policies[index % policies.length]);
    const memory = new SequenceMemory(backend, decoder.shapes, { policy, keyType: kv, valueType: kv, limit: 64 });
    if (model.info.encoderDecoder) await model.runner.encode(memory, randomIds(5 + 3 * index, VOCABULARY, index));
    return memory;
  }

  const wantOf = (state: SequenceMemory, index: number, rows: number) => {
    const ids = randomIds(rows, VOCABULARY, 10 * index + rows);
    return {
      state,
      ids,
      wanted: index % 2 ? ("all" as const) : ("last" as const),
      use: (x: Float32Array) => x.slice(),
    };
  };

  it("gives each sequence its own bits", async () => {
    const memories: SequenceMemory[] = [];
    for (const index of PROMPTS.keys()) memories.push(await memoryOf(index));
    const together = [];
    for (const counts of [PROMPTS, NEXT]) {
      // Dynamic NTK reads rows one by one beyond the trained length; none of these gets there.
      together.push(await model.runner.step(memories.map((memory, index) => wantOf(memory, index, counts[index]))));
    }
    for (const memory of memories) memory.dispose();
    for (const index of PROMPTS.keys()) {
      const memory = await memoryOf(index);
      for (const [step, counts] of [PROMPTS, NEXT].entries()) {
        const [alone] = await model.runner.step([wantOf(memory, index, counts[index])]);
        expect(alone.status).toBe("fulfilled");
        expect(together[step][index], `sequence ${index} in step ${step}`).toEqual(alone);
      }
      memory.dispose();
    }
  });

  it("reads a prompt in pieces as it does at once", async () => {
    const { backend, decoder, pieceRows } = model.runner;
    const distance = model.info.fixedPositions ? ",distance=text" : "";
    const policies =
      model.info.attentionLayers === 0
        ? ["full"]
        : ["full", `sinks:2,recent:90${distance}`, `sinks:2,recent:1060${distance}`, "bigbird:64"];
    const chunks = model.info.fixedPositions ? FEWER : CHUNKS;
    const limit = chunks.reduce((sum, rows) => sum + rows);
    for (const [index, policy] of policies.entries()) {
      const read = async (cut: (left: number) => number): Promise<Float32Array[]> => {
        const type = KV_TYPES[index % KV_TYPES.length];
        const options = { policy: parsePolicy(policy), keyType: type, valueType: type, limit };
        const memory = new SequenceMemory(backend, decoder.shapes, options);
        if (model.info.encoderDecoder) await model.runner.encode(memory, randomIds(9, VOCABULARY, index), () => {});
        const found: Float32Array[] = [];
        for (const [number, whole] of chunks.entries()) {
          const ids = randomIds(whole, VOCABULARY, number);
          for (let done = 0; done < whole; ) {
            const count = Math.min(whole - done, cut(whole - done));
            const use = (logits: Float32Array) => logits.slice();
            const want = {
              state: memory,
              ids: ids.subarray(done, done + count),
              wanted: "last" as const,
              use,
              many: whole >= 8,
            };
            const [outcome] = await model.runner.step([want]);
            if (outcome.status === "rejected") throw outcome.reason;
            done += count;
            if (done === whole) found.push(outcome.value);
          }
        }
        memory.dispose();
        return found;
      };
      const whole = await read((left) => left);
      let turn = 0;
      const pieces = await read(() => pieceRows * (1 + (turn++ % 3)));
      expect(pieces, policy).toEqual(whole);
    }
  });
});
