/** What a policy does to a model's numbers: against StreamingLLM taken literally, for any shape, chunk and length. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import type { RopeScaling } from "../../src/position/rope-scaling.js";
import type { Backend, BackendName } from "../../src/tensor/backend.js";
import type { KvType } from "../../src/tensor/dtype.js";
import { expectLiteral, TOLERANCE } from "../support/expect-literal.js";
import { literalStreaming } from "../support/literal-streaming.js";
import { meanKl, worst } from "../support/logits.js";
import {
  bind,
  type RandomModel,
  type RandomModelShape,
  randomIds,
  randomModel,
  SMALL,
} from "../support/random-model.js";

const backends: { readonly name: BackendName; readonly threads: number }[] = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
];

interface RunOptions {
  readonly policy: string;
  readonly chunk: number;
  readonly kv?: KvType;
}

/** Logits after every id, read in chunks. */
async function run(
  backend: Backend,
  model: RandomModel,
  ids: Int32Array,
  options: RunOptions,
): Promise<Float32Array[]> {
  const decoder = bind(model, backend);
  const runner = new StepRunner(backend, decoder);
  const kv = options.kv ?? "f32";
  const settings = { policy: parsePolicy(options.policy), keyType: kv, valueType: kv, limit: 4096 };
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  const rows: Float32Array[] = [];
  for (let at = 0; at < ids.length; ) {
    const count = memory.stepLimit(Math.min(options.chunk, ids.length - at));
    await runner.run(memory, ids.subarray(at, at + count), "all", (logits) => {
      for (let row = 0; row < count; row++)
        rows.push(logits.slice(row * SMALL.vocabulary, (row + 1) * SMALL.vocabulary));
    });
    at += count;
  }
  memory.dispose();
  return rows;
}

const HEADS: readonly Pick<RandomModelShape, "heads" | "kvHeads">[] = [
  { heads: 4, kvHeads: 1 },
  { heads: 4, kvHeads: 2 },
  { heads: 4, kvHeads: 4 },
];

const SCALINGS: readonly RopeScaling[] = [
  { kind: "none" },
  { kind: "linear", factor: 4 },
  { kind: "ntk", factor: 2 },
  { kind: "yarn", factor: 4, originalContext: 32 },
  { kind: "llama3", factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
  { kind: "dynamic", factor: 2, originalContext: 24 },
];

describe.each(backends)("policies on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  const runs = name === "reference" ? 8 : 25;

  it("offsets equal giving every cached key a position anew at its place in the cache: rotary, partly rotary, ALiBi, none", async () => {
    const arbitrary = fc.record({
      heads: fc.constantFrom(...HEADS),
      layout: fc.constantFrom("interleaved" as const, "halves" as const),
      dims: fc.constantFrom(4, 8),
      positions: fc.constantFrom(undefined, "none" as const, "alibi" as const),
      sinks: fc.integer({ min: 0, max: 20 }),
      recent: fc.integer({ min: 1, max: 40 }),
      evict: fc.integer({ min: 1, max: 8 }),
      inText: fc.boolean(),
      length: fc.integer({ min: 1, max: 90 }),
      chunk: fc.integer({ min: 1, max: 40 }),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(
        arbitrary,
        async ({ heads, layout, dims, positions, sinks, recent, evict: wish, inText, length, chunk, seed }) => {
          const evict = Math.min(wish, recent);
          const model = randomModel({ ...SMALL, ...heads, rope: { layout, dims }, positions }, seed);
          const ids = randomIds(length, SMALL.vocabulary, seed);
          const policy = `sinks:${sinks},recent:${recent},evict=${evict}${inText ? ",distance=text" : ""}`;
          const got = await run(backend, model, ids, { policy, chunk });
          expectLiteral(got, model, ids, { sinks, recent, evict, inText });
        },
      ),
      { numRuns: runs },
    );
  });

  it.each(SCALINGS)("holds for RoPE scaling $kind, full and streaming, in any chunks", async (scaling) => {
    for (const [seed, chunk] of [
      [1, 1],
      [2, 13],
      [3, 64],
    ]) {
      const model = randomModel({ ...SMALL, rope: { scaling } }, seed);
      const ids = randomIds(60, SMALL.vocabulary, seed);
      const full = await run(backend, model, ids, { policy: "full", chunk });
      expect(worst(full, literalStreaming(model, ids, { sinks: 0, recent: 1000, evict: 1 }))).toBeLessThan(TOLERANCE);
      const streaming = await run(backend, model, ids, { policy: "sinks:3,recent:30", chunk });
      expect(worst(streaming, literalStreaming(model, ids, { sinks: 3, recent: 30, evict: 1 }))).toBeLessThan(
        TOLERANCE,
      );
    }
  });

  it("a model's own window combines with the policy, in any chunks", async () => {
    const arbitrary = fc.record({
      window: fc.integer({ min: 1, max: 60 }),
      sinks: fc.integer({ min: 0, max: 20 }),
      recent: fc.integer({ min: 1, max: 40 }),
      evict: fc.integer({ min: 1, max: 20 }),
      inText: fc.boolean(),
      chunk: fc.integer({ min: 1, max: 100 }),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ window, sinks, recent, evict: wish, inText, chunk, seed }) => {
        const evict = Math.min(wish, recent);
        const model = randomModel({ ...SMALL, window }, seed);
        const ids = randomIds(100, SMALL.vocabulary, seed);
        const policy = `sinks:${sinks},recent:${recent},evict=${evict}${inText ? ",distance=text" : ""}`;
        const got = await run(backend, model, ids, { policy, chunk });
        expectLiteral(got, model, ids, { sinks, recent, evict, inText });
      }),
      {
        numRuns: runs,
        examples: [
          // Sinks that neither the first nor the last row of a chunk sees.
          [{ window: 50, sinks: 20, recent: 10, evict: 1, inText: true, chunk: 100, seed: 1 }],
        ],
      },
    );
  });

  it("a budget of at least the length is full attention, at every page remainder", async () => {
    const model = randomModel(SMALL, 7);
    for (let length = 1; length <= 50; length += name === "reference" ? 7 : 1) {
      const ids = randomIds(length, SMALL.vocabulary, length);
      const full = await run(backend, model, ids, { policy: "full", chunk: 50 });
      const budget = await run(backend, model, ids, { policy: `sinks:1,recent:${Math.max(1, length - 1)}`, chunk: 3 });
      expect(worst(full, budget)).toBeLessThan(TOLERANCE);
      expect(worst(full, literalStreaming(model, ids, { sinks: 0, recent: 100, evict: 1 }))).toBeLessThan(TOLERANCE);
    }
  });

  it("an f16 cache and a q8 cache stay close to f32", async () => {
    const model = randomModel({ ...SMALL, headWidth: 8 }, 11);
    const ids = randomIds(80, SMALL.vocabulary, 11);
    const exact = await run(backend, model, ids, { policy: "sinks:4,recent:40", chunk: 9 });
    const halves = await run(backend, model, ids, { policy: "sinks:4,recent:40", chunk: 9, kv: "f16" });
    const bytes = await run(backend, model, ids, { policy: "sinks:4,recent:40", chunk: 9, kv: "q8" });
    expect(meanKl(exact, halves)).toBeLessThan(1e-6);
    // Rounding to 1/127 of the largest moves logits of this spread by about 0.02; KL is half the square.
    expect(meanKl(exact, bytes)).toBeLessThan(1e-3);
    expect(worst(exact, bytes)).toBeGreaterThan(0);
  });

  it.skipIf(name === "reference")("long ranges that only rows within a chunk see are seen", async () => {
    const model = randomModel({ ...SMALL, layers: 1, window: 1150 }, 9);
    const ids = randomIds(1200, SMALL.vocabulary, 9);
    const policy = "sinks:40,recent:1100,distance=text";
    const steps = await run(backend, model, ids, { policy, chunk: 1 });
    expect(worst(await run(backend, model, ids, { policy, chunk: 100 }), steps)).toBeLessThan(TOLERANCE);
  });

  it.each(["recent:1", "recent:8,evict=8", "recent:32,evict=32", "sinks:1,recent:16,evict=16"])(
    "%s holds a few pages, however much goes at once",
    async (policy) => {
      const decoder = bind(randomModel(SMALL, 3), backend);
      const runner = new StepRunner(backend, decoder);
      const settings = { policy: parsePolicy(policy), keyType: "f32", valueType: "f32", limit: 4096 } as const;
      const memory = new SequenceMemory(backend, decoder.shapes, settings);
      for (let at = 0; at < 400; at++) {
        await runner.run(memory, randomIds(1, SMALL.vocabulary, at), "last", () => undefined);
        expect(memory.usedBytes).toBeLessThanOrEqual(4 * memory.cache.groups[0].store.pageBytes);
      }
      memory.dispose();
      expect(() => memory.begin(1)).toThrow(/disposed/);
    },
  );

  it("tells what a model's own window leaves of the text", async () => {
    const decoder = bind(randomModel({ ...SMALL, window: 20 }, 3), backend);
    const runner = new StepRunner(backend, decoder);
    for (const [policy, kept, horizon, sinks] of [
      ["full", 20, 20, 0],
      ["sinks:4,recent:12", 16, 12, 4],
      ["sinks:4,recent:40", 20, 20, 0],
    ] as const) {
      const settings = { policy: parsePolicy(policy), keyType: "f32", valueType: "f32", limit: 4096 } as const;
      const memory = new SequenceMemory(backend, decoder.shapes, settings);
      await runner.run(memory, randomIds(100, SMALL.vocabulary, 1), "last", () => undefined);
      expect([memory.cache.kept, memory.cache.horizon, memory.cache.sinks]).toEqual([kept, horizon, sinks]);
      memory.dispose();
    }
  });

  it("memory follows the policy, not the text", async () => {
    const decoder = bind(randomModel(SMALL, 3), backend);
    const runner = new StepRunner(backend, decoder);
    const settings = {
      policy: parsePolicy("sinks:4,recent:44"),
      keyType: "f32",
      valueType: "f32",
      limit: 4096,
    } as const;
    const memory = new SequenceMemory(backend, decoder.shapes, settings);
    const pageBytes = memory.cache.groups[0].store.pageBytes;
    for (let at = 0; at < 600; at += 20) {
      await runner.run(memory, randomIds(20, SMALL.vocabulary, at), "last", () => undefined);
      expect(memory.cache.kept).toBe(Math.min(48, at + 20));
      // Budget and chunk, plus a page at each of the three edges.
      expect(memory.usedBytes).toBeLessThanOrEqual((Math.ceil((48 + 20) / 16) + 3) * pageBytes);
    }
    expect(memory.cache.horizon).toBe(44);
    memory.dispose();
  });
});
