/** What holds for every architecture: the spec taken literally, any chunks, any batch, any policy that makes sense. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import type { Part, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { ARCHITECTURES } from "../../src/models/index.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { batchStep, rowsOf } from "../support/batch-step.js";
import { FAMILIES, type Family } from "../support/families.js";
import { type LiteralPolicy, literalStreaming } from "../support/literal-streaming.js";
import { meanKl, worst } from "../support/logits.js";
import { FAMILY_TOKENS, type RandomGguf, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";

/** Float32 against double precision, relative to the largest logit of a row. */
const TOLERANCE = 1e-5;
const VOCABULARY = FAMILY_TOKENS.length;
const LENGTH = 57;
const SOURCE = randomIds(21, VOCABULARY, 99);
const LIMIT = 64;

/** Mean divergence that a cache type may make, in nats; where a router stands on the edge it may choose another expert. */
const KL = { f16: 1e-6, q8: 5e-4, q8Experts: 5e-3 };
/** A step that is so many times as large makes the square of it of a divergence. */
const OF_Q4 = (127 / 8) ** 2;

interface RunOptions {
  readonly policy?: string;
  readonly chunk?: number;
  readonly kv?: KvType;
  /** Of values; as `kv` if absent. */
  readonly valueKv?: KvType;
  /** What an encoder reads. */
  readonly source?: Int32Array;
}

async function memoryOf(
  model: LocalModel,
  { policy = "full", kv = "f32", valueKv = kv, source = SOURCE }: RunOptions,
): Promise<SequenceMemory> {
  const { backend, decoder } = model.runner;
  const settings = { policy: parsePolicy(policy), keyType: kv, valueType: valueKv, limit: LIMIT };
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  if (model.info.encoderDecoder) await model.runner.encode(memory, source);
  return memory;
}

/** Logits after every id, read in chunks. */
async function run(model: LocalModel, ids: Int32Array, options: RunOptions): Promise<Float32Array[]> {
  const memory = await memoryOf(model, options);
  const rows: Float32Array[] = [];
  for (let at = 0; at < ids.length; ) {
    const count = memory.stepLimit(Math.min(options.chunk ?? LENGTH, ids.length - at));
    await model.runner.run(memory, ids.subarray(at, at + count), "all", (logits) => {
      rows.push(...rowsOf(logits, 0, count, VOCABULARY));
    });
    at += count;
  }
  memory.dispose();
  return rows;
}

interface Streaming extends LiteralPolicy {
  readonly text: string;
}

const STREAMING: readonly Streaming[] = [
  { text: "sinks:4,recent:20", sinks: 4, recent: 20, evict: 1 },
  { text: "sinks:3,recent:17,evict=5", sinks: 3, recent: 17, evict: 5 },
  { text: "recent:9", sinks: 0, recent: 9, evict: 1 },
  { text: "sinks:4,recent:20,distance=text", sinks: 4, recent: 20, evict: 1, inText: true },
];

/** Those that the model allows. */
function policiesOf({ info }: LocalModel): readonly Streaming[] {
  if (info.attentionLayers === 0) return [];
  return STREAMING.filter(({ inText }) => inText || !info.fixedPositions);
}

/** From what LongRoPE chooses, as StepInputs says. */
function contextSize({ sinks, recent, inText }: LiteralPolicy): number {
  return inText ? Number.POSITIVE_INFINITY : sinks + recent;
}

async function write(session: Session, prompt: number[]): Promise<Part[]> {
  const parts: Part[] = [];
  const options = { temperature: 0, ignoreEnd: true, logprobs: VOCABULARY, maxTokens: 6 };
  for await (const part of session.generate(prompt, options)) parts.push(part);
  return parts;
}

it("there is a family of every architecture", () => {
  expect(new Set(FAMILIES.map(({ architecture }) => architecture))).toEqual(new Set(Object.keys(ARCHITECTURES)));
});

describe.each(["reference", "wasm"] as const)("on %s", (backend) => {
  describe.each(FAMILIES.map((family): [string, Family] => [family.name, family]))("%s", (_, family) => {
    const ids = randomIds(LENGTH, VOCABULARY, 5);
    let file: RandomGguf;
    let model: LocalModel;
    beforeAll(async () => {
      file = randomGguf(family);
      model = await loadLocal(file.path, { backend, threads: backend === "wasm" ? 2 : 1 });
    });
    afterAll(() => model.dispose());

    const literally = (policy: LiteralPolicy) => {
      const size = family.name.includes("long rope") ? { contextSize: policy.contextSize ?? contextSize(policy) } : {};
      const source = model.info.encoderDecoder ? SOURCE : undefined;
      const { contextSize: __, ...plain } = policy;
      return literalStreaming({ spec: model.spec, values: file.values }, ids, { ...plain, ...size }, source);
    };

    it("whole, in chunks and token by token it is its spec taken literally", async () => {
      const expected = literally({ sinks: 0, recent: 1000, evict: 1, contextSize: LIMIT });
      for (const chunk of [LENGTH, 16, 7, 1]) {
        expect(worst(expected, await run(model, ids, { chunk })), `chunks of ${chunk}`).toBeLessThan(TOLERANCE);
      }
    });

    it("a ragged batch is its sequences one by one", async () => {
      const policies = ["full", ...policiesOf(model).map(({ text }) => text)];
      const texts = [1, 18, 33, 7, 30].map((length, i) => randomIds(length + 9, VOCABULARY, i));
      const options = texts.map((_, i) => ({
        policy: policies[i % policies.length],
        source: SOURCE.subarray(0, 5 + 3 * i),
      }));
      const members = await Promise.all(
        texts.map(async (text, i) => ({ text, memory: await memoryOf(model, options[i]) })),
      );
      const found: Float32Array[][] = texts.map(() => []);
      // First prompts of all lengths, then one that reads on while others write.
      for (const part of [
        (text: Int32Array) => text.subarray(0, -9),
        (text: Int32Array, i: number) => text.slice(-9, i === 2 ? undefined : -8),
      ]) {
        const step = await batchStep(
          model,
          members.map(({ text, memory }, i) => ({ memory, ids: part(text, i) })),
        );
        step.forEach((rows, i) => {
          found[i].push(...rows);
        });
      }
      for (const [i, { text, memory }] of members.entries()) {
        memory.dispose();
        const alone = await run(model, text.subarray(0, found[i].length), options[i]);
        expect(worst(alone, found[i])).toBeLessThan(TOLERANCE);
      }
    });

    it("streaming is every key rotated anew at its place, in any chunks", async () => {
      for (const policy of policiesOf(model)) {
        const expected = literally(policy);
        for (const chunk of [1, 13, LENGTH]) {
          const found = await run(model, ids, { policy: policy.text, chunk });
          expect(worst(expected, found), `${policy.text} in chunks of ${chunk}`).toBeLessThan(TOLERANCE);
        }
      }
    });

    it("a budget of the text's length is full attention", async () => {
      if (policiesOf(model).length === 0) return;
      const distance = model.info.fixedPositions ? ",distance=text" : "";
      const budget = `sinks:4,recent:${LIMIT - 4}${distance}`;
      expect(worst(await run(model, ids, {}), await run(model, ids, { policy: budget, chunk: 9 }))).toBeLessThan(
        TOLERANCE,
      );
    });

    it("f16 and q8 caches stay close", async () => {
      const exact = await run(model, ids, { chunk: 8 });
      const [halves, bytes] = [
        await run(model, ids, { kv: "f16", chunk: 8 }),
        await run(model, ids, { kv: "q8", chunk: 8 }),
      ];
      expect(meanKl(exact, halves)).toBeLessThan(KL.f16);
      expect(meanKl(exact, bytes)).toBeLessThan("expert_count" in family.keys ? KL.q8Experts : KL.q8);
      if (model.info.attentionLayers > 0) expect(worst(exact, bytes)).toBeGreaterThan(0);
      else expect(worst(exact, bytes)).toBe(0);
    });

    it("caches of 4 bits stay near", async () => {
      const exact = await run(model, ids, { chunk: 8 });
      const [both, values] = [
        await run(model, ids, { kv: "q4", chunk: 8 }),
        await run(model, ids, { kv: "q8", valueKv: "q4", chunk: 8 }),
      ];
      const limit = OF_Q4 * ("expert_count" in family.keys ? KL.q8Experts : KL.q8);
      expect(meanKl(exact, both)).toBeLessThan(limit);
      expect(meanKl(exact, values)).toBeLessThan(limit);
      if (model.info.attentionLayers === 0) expect(worst(exact, both)).toBe(0);
    });

    it("saved and restored it goes on bit for bit", async () => {
      const source = model.info.encoderDecoder ? { source: SOURCE } : {};
      const kinds: SessionOptions[] = [
        {},
        { kv: "q8/q4", chunk: 7 },
        { kv: "f32", chunk: 5 },
        { context: "recompute:11", chunk: 4 },
      ];
      for (const { text } of policiesOf(model)) kinds.push({ context: text, kv: "q8" }, { context: text, kv: "q4" });
      for (const options of kinds) {
        const session = model.session({ ...options, ...source });
        await write(session, [...ids.subarray(0, 30)]);
        const restored = await model.restore(await session.save());
        const expected = [await write(session, []), await write(session, [7, 8, 9])];
        expect([await write(restored, []), await write(restored, [7, 8, 9])], options.context).toEqual(expected);
        expect(restored.usage.seen).toBe(session.usage.seen);
        await session.dispose();
        await restored.dispose();
      }
    });
  });
});
