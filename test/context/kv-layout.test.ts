/** The bytes that are planned for a cache are those that it takes when it is full, with the scratch pages of dynamic NTK. */
import { describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import type { Retention } from "../../src/context/head-sets.js";
import { kvCacheBytes, kvLayouts } from "../../src/context/kv-layout.js";
import { EVERYTHING } from "../../src/context/policies/full.js";
import { type ContextPolicy, policyOf } from "../../src/context/policy.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import { mixerShapes } from "../../src/nn/mixer.js";
import type { RopeScaling } from "../../src/position/rope-scaling.js";
import { UnsupportedError } from "../../src/util/errors.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";

const DYNAMIC: RopeScaling = { kind: "dynamic", factor: 2, originalContext: 24 };
const SHAPE = { ...SMALL, layers: 3, heads: 4, kvHeads: 4 };
/** Of a head's keys and values in f32. */
const PAGE_HEAD_BYTES = 16 * (8 + 8) * 4;

/** Head 2 of the first layer has a retention of its own, so that layers have other numbers of heads in a group. */
const apart: Retention = { ...EVERYTHING };
const SCATTERED: ContextPolicy = {
  ...policyOf(EVERYTHING, { text: "scattered", summary: "for a test", recompute: false }),
  headSets: (layer, kvHeads) => {
    const heads = Array.from({ length: kvHeads }, (_, head) => head);
    if (layer > 0) return [{ heads, retention: EVERYTHING }];
    return [
      { heads: heads.filter((head) => head !== 2), retention: EVERYTHING },
      { heads: [2], retention: apart },
    ];
  },
};

/** Most bytes that the memory of a text of `tokens` tokens had after a step, and what was planned. */
async function fill(policy: ContextPolicy, scaling: RopeScaling, { tokens, chunk, limit }: Record<string, number>) {
  const model = randomModel({ ...SHAPE, rope: { scaling } }, 1);
  const backend = await createBackend("wasm", { threads: 1 });
  const runner = new StepRunner(backend, bind(model, backend));
  const kind = { policy, keyType: "f32", valueType: "f32" } as const;
  const memory = new SequenceMemory(backend, runner.decoder.shapes, { ...kind, limit: tokens });
  const ids = randomIds(tokens, SHAPE.vocabulary, 1);
  let most = 0;
  for (let at = 0; at < tokens; ) {
    const count = memory.stepLimit(Math.min(chunk, tokens - at));
    await runner.run(memory, ids.subarray(at, at + count), "last", () => undefined);
    most = Math.max(most, memory.usedBytes);
    at += count;
  }
  await backend.dispose();
  const { attention } = mixerShapes(model.spec);
  const planned = kvCacheBytes(backend, attention, kind, {
    tokens: policy.budget ?? tokens,
    chunk,
    ...(limit !== undefined && { limit }),
  });
  return { most, planned };
}

describe("a cache that is full", () => {
  const full = { tokens: 80, limit: 80, chunk: 16 };
  /** Five pages of so many heads. */
  const pages = (heads: number) => 5 * heads * PAGE_HEAD_BYTES;

  it.each([
    ["all heads alike", parsePolicy("full"), { kind: "none" } as const, pages(12)],
    // Layers run one after another, so a group has scratch pages for one of them: the one with most heads.
    ["all heads alike, dynamic NTK", parsePolicy("full"), DYNAMIC, pages(12 + 4)],
    ["scattered heads", SCATTERED, { kind: "none" } as const, pages(12)],
    ["scattered heads, dynamic NTK", SCATTERED, DYNAMIC, pages(12 + 4 + 1)],
  ])("takes what was planned to the last byte: %s", async (_, policy, scaling, bytes) => {
    expect(await fill(policy, scaling, full)).toEqual({ most: bytes, planned: bytes });
  });

  it.each([
    ["recent:32", DYNAMIC],
    ["sinks:3,recent:40", DYNAMIC],
    ["sinks:3,recent:40", { kind: "none" } as const],
    ["sinks:3,recent:40,evict=7", DYNAMIC],
  ])("takes no more than was planned, and no more than a page less per end: %s %o", async (text, scaling) => {
    const { most, planned } = await fill(parsePolicy(text), scaling, { tokens: 200, chunk: 8 });
    expect(most).toBeLessThanOrEqual(planned);
    const heads = scaling.kind === "dynamic" ? 12 + 4 : 12;
    expect(planned - most).toBeLessThanOrEqual(2 * heads * PAGE_HEAD_BYTES);
  });
});

test("a choice of pages is refused under dynamic NTK, whose keys are rotated anew with every token", () => {
  const shapes = (scaling: RopeScaling) => mixerShapes(randomModel({ ...SHAPE, rope: { scaling } }, 1).spec).attention;
  const kind = { policy: parsePolicy("full,read=quest:64,dense=0"), keyType: "f32", valueType: "f32" } as const;
  expect(() => kvLayouts(shapes(DYNAMIC), kind)).toThrow(UnsupportedError);
  expect(() => kvLayouts(shapes(DYNAMIC), kind)).toThrow("Leave read= out.");
  expect(kvLayouts(shapes({ kind: "none" }), kind)[0].choice?.reading.tokens).toBe(64);
  expect(kvLayouts(shapes(DYNAMIC), { ...kind, policy: parsePolicy("full") })[0].choice).toBeUndefined();
});
