/** DuoAttention: heads that retrieve keep everything, others stream, at the positions of the text. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { plannedGroups } from "../../src/context/cache-groups.js";
import type { GatesByName } from "../../src/context/gates/index.js";
import { kvCacheBytes, kvLayouts } from "../../src/context/kv-layout.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { Backend } from "../../src/tensor/backend.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { PolicyError } from "../../src/util/errors.js";
import { rowsOf } from "../support/batch-step.js";
import { expectLiteral } from "../support/expect-literal.js";
import { FAMILIES, type Family } from "../support/families.js";
import type { LiteralPolicy } from "../support/literal-attention.js";
import { literalStreaming } from "../support/literal-streaming.js";
import { worst } from "../support/logits.js";
import { gatesFor } from "../support/model-gates.js";
import { FAMILY_TOKENS, type RandomGguf, randomGguf } from "../support/random-gguf.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const ALL = 1_000_000;
const SHAPE = { ...SMALL, heads: 8, kvHeads: 4, headWidth: 4 };

/** What gates above a half mean, taken literally. */
function literally(gates: GatesByName, name: string, sinks: number, recent: number, more = {}): LiteralPolicy {
  const found = gates.get(name);
  if (!found) throw new Error(`There are no gates ${name}.`);
  const { layerNumbers, layers } = found;
  const streaming = { sinks, recent, evict: 1, inText: true, ...more };
  const everything = { sinks: 0, recent: ALL, evict: 1, inText: true, ...more };
  return {
    ...streaming,
    byHead: (layer, head) => (layers[layerNumbers.indexOf(layer)][head] >= 0.5 ? everything : streaming),
  };
}

describe("the text of duo", () => {
  const gates = gatesFor([{ layer: 0, kvHeads: 4 }]);
  it.each([
    ["duo:one", "duo:one,sinks:64,recent:256"],
    ["duo:one@0.50", "duo:one@0.5,sinks:64,recent:256"],
    [" recent:8 , duo:mixed@.25", "duo:mixed@0.25,sinks:64,recent:8"],
    ["duo:zero,sinks:0", "duo:zero,sinks:0,recent:256"],
    ["duo:one@1,sinks:2,recent:3", "duo:one@1,sinks:2,recent:3"],
    ["duo:one@0", "duo:one@0,sinks:64,recent:256"],
    ["duo:one@0.0000001", "duo:one@0.0000001,sinks:64,recent:256"],
    ["duo:one@.000000000000001", "duo:one@0.000000000000001,sinks:64,recent:256"],
    ["duo:one@0.100000000000000", "duo:one@0.1,sinks:64,recent:256"],
  ])("%j is read", (text, canonical) => {
    const policy = parsePolicy(text, { gates });
    expect(policy.text).toBe(canonical);
    expect(parsePolicy(canonical, { gates }).text).toBe(canonical);
    expect(parsePolicy(text).text).toBe(canonical);
    expect(policy.distance).toBe("text");
  });

  it.each([
    ["duo", 3, /"duo" needs the name of gates/],
    ["duo:", 4, /the name of gates/],
    ["duo:@0.5", 4, /the name of gates/],
    ["duo:a b", 4, /the name of gates/],
    ["duo:one@2", 4, /share of heads/],
    ["duo:one@", 4, /share of heads/],
    ["duo:one@x", 4, /share of heads/],
    ["recent:4,duo:other", 13, /no gates "other"; there are "one", "zero", "mixed"/],
    ["duo:one,recent:0", 15, /at least 1/],
    ["duo:one,evict=2", 8, /does not go with/],
    ["duo:one,full", 8, /does not go with/],
  ])("in %j the mistake is pointed at", (text, position, message) => {
    const parse = () => parsePolicy(text, { gates });
    expect(parse).toThrow(PolicyError);
    expect(parse).toThrow(message);
    expect(parse).toThrow(expect.objectContaining({ details: { position, text } }));
  });

  it("without gates says how they are given", () => {
    expect(() => parsePolicy("duo:one", { gates: new Map() })).toThrow(/none were given when the model was loaded/);
  });

  it("tells what it keeps of a text", () => {
    const of = (name: string) => parsePolicy(`duo:${name},sinks:3,recent:5`, { gates });
    expect([of("one").budget, of("one").sinks]).toEqual([undefined, 0]);
    expect([of("zero").budget, of("zero").sinks]).toEqual([8, 3]);
    expect([of("mixed").budget, of("mixed").sinks]).toEqual([undefined, 3]);
    expect(of("mixed").gates).toEqual({ name: "mixed", digest: gates.get("mixed")?.digest });
  });
});

describe.each(["reference", "wasm"] as const)("duo on %s", (name) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads: 2 });
  });
  afterAll(() => backend.dispose());

  it("in chunks of any size is what its heads would keep, literally", async () => {
    for (const [seed, chunk] of [
      [1, 90],
      [2, 16],
      [3, 1],
      [4, 37],
      [5, 8],
    ]) {
      const model = randomModel(SHAPE, seed);
      const together = new Together(backend, bind(model, backend));
      const gates = gatesFor(together.decoder.shapes.attention, seed);
      const memory = together.open({ policy: parsePolicy("duo:mixed,sinks:3,recent:20", { gates }) });
      const ids = randomIds(90, SMALL.vocabulary, seed);
      const got = await together.read(memory, ids, [chunk]);
      memory.dispose();
      expectLiteral(got, model, ids, literally(gates, "mixed", 3, 20));
    }
  });

  it("prefill of streaming heads costs what their rows see, however long the text", async () => {
    const together = new Together(backend, bind(randomModel(SHAPE, 1), backend));
    const gates = gatesFor(together.decoder.shapes.attention);
    const [sinks, recent, chunk] = [4, 20, 32];
    const memory = together.open({ policy: parsePolicy(`duo:mixed,sinks:${sinks},recent:${recent}`, { gates }) });
    for (let step = 0; step < 12; step++) {
      await together.read(memory, randomIds(chunk, SMALL.vocabulary, step), [chunk]);
      for (const { plans } of memory.cache.plans) {
        for (const { group, count, ranges, spans } of plans) {
          if (group.retention.budget === undefined) continue;
          for (let row = 0; row < count; row++) {
            let seen = 0;
            for (let pair = row * ranges; pair < (row + 1) * ranges; pair++)
              seen += spans[2 * pair + 1] - spans[2 * pair];
            expect(seen).toBe(Math.min(step * chunk + row + 1, sinks + recent));
          }
          // Spans lie within what is held: sinks, the window before the chunk, the chunk, and pages that are not full.
          expect(group.table.length * 16).toBeLessThanOrEqual(sinks + recent + chunk + 3 * 16);
        }
      }
    }
    memory.dispose();
  });

  it("takes the memory that its groups are said to take", async () => {
    const together = new Together(backend, bind(randomModel(SHAPE, 1), backend));
    const { attention } = together.decoder.shapes;
    const gates = gatesFor(attention);
    const kind = {
      policy: parsePolicy("duo:mixed,sinks:4,recent:28", { gates }),
      keyType: "f16",
      valueType: "f16",
    } as const;
    const extent = { tokens: 400, chunk: 16, limit: 400 };
    const planned = plannedGroups(backend, attention, kind, extent);
    const full = (gates.get("mixed")?.layers ?? []).flat().filter((gate) => gate >= 0.5).length;
    const all = attention.reduce((sum, { kvHeads }) => sum + kvHeads, 0);
    const page = (heads: number) => backend.kvPageBytes({ ...kvLayouts(attention, kind)[0].layout, members: heads });
    const byKept = [...planned].sort((a, b) => b.kept - a.kept);
    expect(byKept).toEqual([
      { keeps: "everything", layers: expect.anything(), heads: full, kept: 400, bytes: 25 * page(full) },
      // 32 tokens and a step's 16, and two pages that sinks and the oldest tokens share with what was let go.
      {
        keeps: "the first 4 and the newest 28 tokens",
        layers: expect.anything(),
        heads: all - full,
        kept: 32,
        bytes: 5 * page(all - full),
      },
    ]);
    expect(planned.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(kvCacheBytes(backend, attention, kind, extent));
    const memory = together.open(kind);
    await together.read(memory, randomIds(400, SMALL.vocabulary, 1), [16]);
    const used = [...memory.cache.usedGroups].sort((a, b) => b.kept - a.kept);
    expect(used.map(({ kept, heads }) => [kept, heads])).toEqual([
      [400, full],
      [32, all - full],
    ]);
    expect(used[0].bytes).toBe(25 * page(full));
    expect(used[1].bytes).toBeLessThanOrEqual(5 * page(all - full));
    expect(used[1].bytes).toBeGreaterThanOrEqual(3 * page(all - full));
    expect(used[0].bytes + used[1].bytes).toBe(memory.usedBytes);
    memory.dispose();
  });
});

const LENGTH = 57;
const VOCABULARY = FAMILY_TOKENS.length;
const SOURCE = randomIds(21, VOCABULARY, 99);
const WITH_ATTENTION = FAMILIES.filter(({ architecture }) => !/^mamba/.test(architecture));

describe.each(["reference", "wasm"] as const)("on %s", (backend) => {
  describe.each(WITH_ATTENTION.map((family): [string, Family] => [family.name, family]))("duo of %s", (_, family) => {
    const ids = randomIds(LENGTH, VOCABULARY, 5);
    let file: RandomGguf;
    let model: LocalModel;
    let gates: GatesByName;
    beforeAll(async () => {
      file = randomGguf(family);
      model = await loadLocal(file.path, { backend, threads: backend === "wasm" ? 2 : 1 });
      gates = gatesFor(model.runner.decoder.shapes.attention, 3);
    });
    afterAll(() => model.dispose());

    const run = async (policy: string, chunk: number, kv: KvType = "f32") => {
      const { backend: own, decoder } = model.runner;
      const settings = { policy: parsePolicy(policy, { gates }), keyType: kv, valueType: kv, limit: 64 };
      const memory = new SequenceMemory(own, decoder.shapes, settings);
      if (model.info.encoderDecoder) await model.runner.encode(memory, SOURCE);
      const rows: Float32Array[] = [];
      for (let at = 0; at < LENGTH; ) {
        const count = memory.stepLimit(Math.min(chunk, LENGTH - at));
        await model.runner.run(memory, ids.subarray(at, at + count), "all", (logits) => {
          rows.push(...rowsOf(logits, 0, count, VOCABULARY));
        });
        at += count;
      }
      memory.dispose();
      return rows;
    };

    it("with all gates at 1 is full, bit for bit", async () => {
      for (const chunk of [LENGTH, 9, 1]) {
        for (const kv of ["f32", "q8"] as const) {
          expect(await run("duo:one,sinks:2,recent:7", chunk, kv)).toEqual(await run("full", chunk, kv));
        }
      }
    });

    it("with all gates at 0 is streaming at the text's positions, bit for bit", async () => {
      for (const chunk of [LENGTH, 9]) {
        expect(await run("duo:zero,sinks:2,recent:7", chunk)).toEqual(
          await run("sinks:2,recent:7,distance=text", chunk),
        );
      }
    });

    it("with mixed gates is each head by its own, literally", async () => {
      const size = family.name.includes("long rope") ? { contextSize: 64 } : {};
      const source = model.info.encoderDecoder ? SOURCE : undefined;
      const policy = literally(gates, "mixed", 2, 13, size);
      const expected = literalStreaming({ spec: model.spec, values: file.values }, ids, policy, source);
      for (const chunk of [LENGTH, 11, 1]) {
        expect(worst(expected, await run("duo:mixed,sinks:2,recent:13", chunk)), `chunks of ${chunk}`).toBeLessThan(
          1e-5,
        );
      }
    });
  });
});

it("LongRoPE goes by the limit of the text, which heads that keep everything end", async () => {
  const family = FAMILIES.find(({ name }) => name === "phi3 with long rope");
  if (!family) throw new Error("There is no family with LongRoPE.");
  const file = randomGguf(family);
  const model = await loadLocal(file.path, { backend: "reference" });
  const { backend, decoder } = model.runner;
  const gates = gatesFor(decoder.shapes.attention, 3);
  const ids = randomIds(30, VOCABULARY, 5);
  // The original context has 32 tokens: one more, and all get the factors for long texts.
  for (const limit of [32, 33]) {
    const policy = parsePolicy("duo:mixed,sinks:2,recent:13", { gates });
    const memory = new SequenceMemory(backend, decoder.shapes, { policy, keyType: "f32", valueType: "f32", limit });
    const got = await model.runner.run(memory, ids, "all", (logits) => rowsOf(logits, 0, ids.length, VOCABULARY));
    memory.dispose();
    const literal = literally(gates, "mixed", 2, 13, { contextSize: limit });
    expect(worst(literalStreaming({ spec: model.spec, values: file.values }, ids, literal), got)).toBeLessThan(1e-5);
  }
  await model.dispose();
});
