/** Bytes that are planned for: the figures worked out by hand, and what a backend really takes. */
import { afterEach, describe, expect, it } from "vitest";
import { createBackend } from "../../../src/backends/create.js";
import { ReferenceBackend } from "../../../src/backends/reference/reference.js";
import { parsePolicy } from "../../../src/context/policy-text.js";
import { SequenceMemory } from "../../../src/context/sequence-memory.js";
import { sessionSettings } from "../../../src/engine/session/session-options.js";
import { activationBytes, logitBytes, memoryPlan, stepBytesOf } from "../../../src/engine/step/memory-plan.js";
import { StepRunner } from "../../../src/engine/step/step-runner.js";
import { mixerShapes } from "../../../src/nn/mixer.js";
import type { ModelSpec } from "../../../src/nn/spec.js";
import type { Backend } from "../../../src/tensor/backend.js";
import { familyNamed } from "../../support/families.js";
import { familySpec } from "../../support/random-gguf.js";
import { bind, randomIds, randomModel } from "../../support/random-model.js";

const backends: Backend[] = [];
afterEach(async () => {
  for (const backend of backends.splice(0)) await backend.dispose();
});

function planned(spec: ModelSpec) {
  return { backend: new ReferenceBackend(), spec, shapes: mixerShapes(spec), machineBytes: 0 };
}

function withContext(family: string, tokens: number): ModelSpec {
  const { keys, ...others } = familyNamed(family);
  return familySpec({ ...others, keys: { ...keys, context_length: tokens } });
}

describe("an encoder's source", () => {
  it("is planned for with keys and values in f32 of all its layers, whatever the session's cache is", () => {
    const spec = withContext("t5", 100);
    const model = planned(spec);
    // Two layers of three heads with keys and values of 8 numbers, in 7 pages of 16 tokens.
    const sourceBytes = 2 * 3 * (8 + 8) * 4 * 7 * 16;
    for (const kv of ["f32", "q8"]) {
      const settings = sessionSettings({ kv, chunk: 16 });
      const without = stepBytesOf({ ...model, shapes: { ...model.shapes, encoder: [] } }, settings);
      expect(stepBytesOf(model, settings)).toBe(without + sourceBytes);
      expect(memoryPlan(model, { settings, weightBytes: 0 }).activationBytes).toBe(without + sourceBytes);
    }
  });

  it("is read in one step, however short the session's chunks are", () => {
    const spec = withContext("t5", 100);
    expect(activationBytes(spec, { rows: 1 })).toBe(activationBytes(spec, { rows: 100 }));
    expect(activationBytes(spec, { rows: 101 })).toBeGreaterThan(activationBytes(spec, { rows: 100 }));
    const decoder = withContext("llama", 100);
    expect(activationBytes(decoder, { rows: 1 })).toBeLessThan(activationBytes(decoder, { rows: 100 }));
  });
});

describe("the outputs of a layer's matrices", () => {
  const rows = 100;
  /** Two layers' worth, each with what goes into it. */
  const bytesOf = (columns: number) => 4 * 2 * rows * 2 * columns;

  it("are those of attention to a source too", () => {
    const spec = withContext("t5", rows);
    const without = { ...spec, layers: spec.layers.map(({ cross: _, ...layer }) => layer) };
    // Queries, keys and values of three heads of 8, and the layer's output.
    const cross = 3 * 24 + 36;
    expect(activationBytes(spec, { rows })).toBe(activationBytes(without, { rows }) + bytesOf(cross));
  });

  it("are those of the experts that a row meets", () => {
    const { keys, ...others } = familyNamed("mixtral");
    const using = (experts: number) =>
      activationBytes(familySpec({ ...others, keys: { ...keys, expert_used_count: experts } }), { rows });
    // Gate, up and down.
    expect(using(4)).toBe(using(2) + bytesOf(2 * (52 + 52 + 36)));
  });
});

describe("logits that are capped", () => {
  const model = randomModel({ layers: 1, heads: 1, kvHeads: 1, headWidth: 16, vocabulary: 4000, hidden: 16 }, 1);
  const capped = { ...model.spec, logitSoftcap: 5 };
  const rows = 256;

  it("are counted twice: as they were, and capped", () => {
    expect(logitBytes(model.spec, rows)).toBe(4 * rows * 4000);
    expect(logitBytes(capped, rows)).toBe(8 * rows * 4000);
  });

  it.each([
    ["are", model.spec],
    ["with a cap are", capped],
  ])("%s what a step takes, and are planned for", async (_, spec) => {
    const backend = await createBackend("wasm", { threads: 1 });
    backends.push(backend);
    const runner = new StepRunner(backend, bind({ ...model, spec }, backend));
    const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: rows } as const;
    const memory = new SequenceMemory(backend, runner.decoder.shapes, settings);
    const before = backend.memoryBytes;
    await runner.run(memory, randomIds(rows, spec.vocabulary, 1), "all", () => undefined);
    const taken = backend.memoryBytes - before - memory.usedBytes;
    memory.dispose();
    expect(taken).toBeGreaterThan(logitBytes(spec, rows));
    expect(taken).toBeLessThanOrEqual(activationBytes(spec, { rows, outputs: rows }));
  });
});
