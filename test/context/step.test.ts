/** Several sequences in one step: each gets the bits that it would get alone, and one that cannot begin fails alone. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { CommandList } from "../../src/backends/wasm/command-list.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { ContextFullError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import type { Family } from "../support/families.js";
import { drawHeadPolicy } from "../support/head-policies.js";
import { randomGguf } from "../support/random-gguf.js";
import { bind, type RandomModelShape, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const BACKENDS = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
] as const;

const MODELS: Readonly<Record<string, RandomModelShape>> = {
  "rotary positions": SMALL,
  "a window": { ...SMALL, window: 21 },
  slopes: { ...SMALL, positions: "alibi" },
  "dynamic NTK": { ...SMALL, rope: { scaling: { kind: "dynamic", factor: 2, originalContext: 24 } } },
};

/** Wide enough for every format. */
const WIDE: Family = {
  name: "llama",
  architecture: "llama",
  keys: {
    block_count: 2,
    context_length: 128,
    embedding_length: 256,
    feed_forward_length: 256,
    "attention.head_count": 4,
    "attention.head_count_kv": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
  },
  has: /^output|ffn_gate\.w/,
};

const POLICIES = [
  "full",
  "recent:9",
  "sinks:4,recent:20",
  "sinks:3,recent:17,evict=5",
  "sinks:2,recent:12,distance=text",
  "recompute:15",
];

/** A sequence under way: what it reads together with others, and alone. */
interface Twin {
  readonly shared: SequenceMemory;
  readonly alone: SequenceMemory;
  readonly ids: Int32Array;
  at: number;
}

function openTwin(together: Together, seed: number, length: number): Twin {
  const random = new Random(seed);
  const text = POLICIES.at(random.below(POLICIES.length + 2));
  const policy = text === undefined ? drawHeadPolicy(seed).policy : parsePolicy(text);
  const options = { policy, keyType: KV_TYPES[random.below(3)], valueType: KV_TYPES[random.below(3)] };
  const ids = randomIds(length, SMALL.vocabulary, seed);
  return { shared: together.open(options), alone: together.open(options), ids, at: 0 };
}

/** All that have something left read up to `chunk` more, each alone and all together. */
async function stepAll(together: Together, twins: readonly Twin[], chunkOf: (twin: number) => number): Promise<void> {
  const alone: Float32Array[][] = [];
  const members = twins.flatMap((twin, i) => {
    const left = twin.ids.length - twin.at;
    if (left === 0) return [];
    const count = twin.shared.stepLimit(Math.min(left, chunkOf(i)));
    const ids = twin.ids.subarray(twin.at, twin.at + count);
    twin.at += count;
    return [{ memory: twin.shared, alone: twin.alone, ids }];
  });
  for (const { alone: memory, ids } of members) alone.push(...(await together.run([{ memory, ids }])));
  expect(await together.run(members)).toEqual(alone);
}

describe.each(BACKENDS)("a step on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  it.each(Object.entries(MODELS))("gives every sequence its own bits: %s", async (_, shape) => {
    const together = new Together(backend, bind(randomModel(shape, 4), backend));
    const arbitrary = fc.record({ seed: fc.nat(), count: fc.integer({ min: 1, max: name === "reference" ? 5 : 12 }) });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ seed, count }) => {
        const random = new Random(seed);
        const twins = Array.from({ length: count }, (_, i) => openTwin(together, seed + i, 1 + random.below(60)));
        while (twins.some(({ at, ids }) => at < ids.length)) {
          const chunks = twins.map(() => (random.below(2) === 0 ? 1 : 1 + random.below(24)));
          await stepAll(together, twins, (i) => chunks[i]);
        }
        for (const { shared, alone } of twins) for (const memory of [shared, alone]) memory.dispose();
      }),
      { numRuns: name === "reference" ? 2 : 6 },
    );
  });

  it.each(name === "reference" ? (["q4_0"] as const) : (["q4_0", "q8_0", "q4_k"] as const))(
    "gives every sequence its own bits with quantised weights: %s",
    async (dtype) => {
      const model = await loadLocal(randomGguf(WIDE, 3, dtype).path, { backend: name, threads });
      const together = new Together(model.runner.backend, model.runner.decoder);
      const lengths = new Random(3);
      const twins = Array.from({ length: name === "reference" ? 3 : 32 }, (_, i) =>
        openTwin(together, 200 + i, 10 + lengths.below(30)),
      );
      await stepAll(together, twins, (i) => 1 + ((i * 7) % 20));
      for (let step = 0; step < 3; step++) await stepAll(together, twins, (i) => (i % 3 === 0 ? 9 : 1));
      for (const { shared, alone } of twins) for (const memory of [shared, alone]) memory.dispose();
      await model.dispose();
    },
  );

  it("of 32 sequences", async () => {
    const together = new Together(backend, bind(randomModel(SMALL, 4), backend));
    const lengths = new Random(8);
    const twins = Array.from({ length: 32 }, (_, i) => openTwin(together, 100 + i, 20 + lengths.below(30)));
    await stepAll(together, twins, (i) => 1 + ((i * 7) % 20));
    for (let step = 0; step < 3; step++) await stepAll(together, twins, () => 1);
    for (const { shared, alone } of twins) for (const memory of [shared, alone]) memory.dispose();
  });

  it.each(Object.entries(MODELS))(
    "gives every sequence its own bits, though others come, leave and change places: %s",
    async (_, shape) => {
      const decoder = bind(randomModel(shape, 4), backend);
      const together = new Together(backend, decoder);
      // One for all steps of those that share them, and another one: what a runner keeps from step to step is its own.
      const [shared, alone] = [new StepRunner(backend, decoder), new StepRunner(backend, decoder)];
      const texts = ["sinks:2,recent:9", "sinks:4,recent:20", "recent:9", "sinks:2,recent:12,distance=text", "full"];
      const open = (i: number) => together.open({ policy: parsePolicy(texts[i % texts.length]) });
      const twins = texts.map((_, i) => ({ shared: open(i), alone: open(i) }));
      const random = new Random(9);
      const orders = [
        [0, 1, 2, 3],
        [1, 0, 2, 3],
        [0, 1],
        [2, 3],
        [3, 2],
        [0, 4, 1],
        [1, 4, 0],
        [4],
        [0],
        [0, 1, 2, 3, 4],
      ];
      for (let round = 0; round < (name === "reference" ? 1 : 3); round++) {
        for (const order of orders) {
          const ids = order.map(() => randomIds(1 + random.below(7), shape.vocabulary, random.below(1000)));
          const rows = order.map((i, at) => ids[at].subarray(0, twins[i].shared.stepLimit(ids[at].length)));
          const expected: Float32Array[] = [];
          for (const [at, i] of order.entries())
            expected.push(await alone.run(twins[i].alone, rows[at], "all", (logits) => logits.slice()));
          const wants = order.map((i, at) => ({
            state: twins[i].shared,
            ids: rows[at],
            wanted: "all" as const,
            use: (logits: Float32Array) => logits.slice(),
          }));
          const found = await shared.step(wants);
          expect(found).toEqual(expected.map((value) => ({ status: "fulfilled", value })));
        }
        // One goes, and another one takes its pages.
        for (const memory of [twins[1].shared, twins[1].alone]) memory.dispose();
        twins[1] = { shared: open(1), alone: open(1) };
      }
      for (const twin of twins) for (const memory of [twin.shared, twin.alone]) memory.dispose();
    },
  );

  it("makes one call to write and one to attend for a layer, and uploads what layers share once", async () => {
    const together = new Together(backend, bind(randomModel({ ...SMALL, layers: 4 }, 4), backend));
    const twins = Array.from({ length: 8 }, (_, i) => openTwin(together, i, 40));
    await stepAll(together, twins, () => 33);
    const calls = { append: vi.spyOn(backend, "append"), attention: vi.spyOn(backend, "attention") };
    const input = vi.spyOn(backend, "input");
    const rotate = vi.spyOn(backend, "rotate");
    await together.run(twins.map(({ shared, ids }) => ({ memory: shared, ids: ids.subarray(0, 1) })));
    expect(calls.append).toHaveBeenCalledTimes(4);
    expect(calls.attention).toHaveBeenCalledTimes(4);
    // Ids, spans, angles of the keys, and those of the queries of each range that is moved, by the sets of a layer.
    const most = twins.reduce((sum, { shared }) => Math.max(sum, ...shared.cache.plans.map((own) => own.queries)), 0);
    expect(input.mock.calls.length).toBeLessThanOrEqual(3 + 4 * (most - 1));
    expect(rotate.mock.calls.length).toBeLessThanOrEqual(4 * most);
    vi.restoreAllMocks();
    for (const { shared, alone } of twins) for (const memory of [shared, alone]) memory.dispose();
  });

  it.runIf(name === "wasm")("takes hardly more commands for 32 sequences than for one", async () => {
    const together = new Together(backend, bind(randomModel({ ...SMALL, layers: 6 }, 4), backend));
    const twins = Array.from({ length: 32 }, (_, i) => openTwin(together, i, 60));
    await stepAll(together, twins, () => 44);
    const begin = vi.spyOn(CommandList.prototype, "begin");
    const commandsOf = async (count: number) => {
      begin.mockClear();
      await together.run(twins.slice(0, count).map(({ shared, ids }) => ({ memory: shared, ids: ids.subarray(0, 1) })));
      return begin.mock.calls.length;
    };
    const one = await commandsOf(1);
    expect(await commandsOf(32)).toBeLessThanOrEqual(1.3 * one);
    vi.restoreAllMocks();
    for (const { shared, alone } of twins) for (const memory of [shared, alone]) memory.dispose();
  });

  it("goes on without one that cannot begin", async () => {
    const together = new Together(backend, bind(randomModel(SMALL, 4), backend));
    const [one, other] = [openTwin(together, 1, 30), openTwin(together, 2, 30)];
    const full = together.open({ policy: parsePolicy("full"), limit: 10 });
    await stepAll(together, [one, other], () => 8);
    await together.read(full, randomIds(10, SMALL.vocabulary, 3));
    const used = full.usedBytes;
    expect(() => full.begin(1)).toThrow(ContextFullError);
    await stepAll(together, [one, other], () => 8);
    expect(full.usedBytes).toBe(used);
    expect(full.seen).toBe(10);
    for (const { shared, alone } of [one, other]) for (const memory of [shared, alone]) memory.dispose();
    full.dispose();
  });
});
