/** BigBird as a policy: the blocks that are drawn, and models against the mask taken literally. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { kvCacheBytes } from "../../src/context/kv-layout.js";
import { blocksSeen, drawKey } from "../../src/context/policies/bigbird.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import { checkFacts, memoryBytes, memoryFacts, readMemory, writeMemory } from "../../src/context/snapshot.js";
import type { Backend } from "../../src/tensor/backend.js";
import { parsePattern } from "../../src/train/patterns/pattern.js";
import { expectLiteral, TOLERANCE } from "../support/expect-literal.js";
import type { LiteralPolicy } from "../support/literal-attention.js";
import { worst } from "../support/logits.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const BACKENDS = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
] as const;

describe("the blocks that a block of queries sees", () => {
  const blocks = Array.from({ length: 200 }, (_, block) => block);
  const keys = [drawKey(0, 0, 0), drawKey(0, 21, 3), drawKey(999_999_999_999_999, 0, 1)];

  it("are the first, the newest three and three of those between, once each, ascending", () => {
    for (const key of keys) {
      for (const block of blocks) {
        const seen = blocksSeen(block, key);
        const always = [0, block - 2, block - 1, block].filter((one) => one >= 0);
        for (const one of always) expect(seen, `block ${block}`).toContain(one);
        expect(seen).toHaveLength(Math.min(block + 1, 7));
        expect(seen.every((one, i) => Number.isInteger(one) && (i === 0 || one > seen[i - 1]))).toBe(true);
        expect(seen.at(-1)).toBe(block);
      }
    }
  });

  it("are the same every time, and others for other blocks, heads, layers and seeds", () => {
    const drawn = (block: number, key: number) => blocksSeen(block, key).slice(1, -3).join();
    const of = (seed: number, layer: number, head: number) =>
      Array.from({ length: 30 }, (_, i) => drawn(100 + i, drawKey(seed, layer, head))).join(" ");
    expect(of(0, 0, 0)).toBe(of(0, 0, 0));
    const all = [0, 1, 2].flatMap((seed) =>
      [0, 1, 2].flatMap((layer) => [0, 1, 2].map((head) => of(seed, layer, head))),
    );
    expect(new Set(all).size).toBe(27);
    expect(new Set(of(0, 0, 0).split(" ")).size).toBeGreaterThan(27);
  });

  it("reach every block between, each about as often", () => {
    const counts = new Map<number, number>();
    for (let layer = 0; layer < 40; layer++) {
      for (let head = 0; head < 25; head++) {
        for (const block of blocksSeen(23, drawKey(7, layer, head)).slice(1, -3)) {
          counts.set(block, (counts.get(block) ?? 0) + 1);
        }
      }
    }
    // 20 blocks between share 3,000 draws: 150 each, with a deviation of 11.
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    for (const count of counts.values()) expect(Math.abs(count - 150)).toBeLessThan(5 * 11);
  });

  it("stay what they are: models were trained with them", () => {
    expect([10, 50, 1000].map((block) => blocksSeen(block, drawKey(0, 0, 0)))).toEqual(PINNED[0]);
    expect([10, 50, 1000].map((block) => blocksSeen(block, drawKey(5, 7, 3)))).toEqual(PINNED[1]);
  });
});

const PINNED = [
  [
    [0, 2, 4, 6, 8, 9, 10],
    [0, 17, 25, 27, 48, 49, 50],
    [0, 38, 556, 945, 998, 999, 1000],
  ],
  [
    [0, 2, 6, 7, 8, 9, 10],
    [0, 14, 19, 42, 48, 49, 50],
    [0, 186, 887, 927, 998, 999, 1000],
  ],
];

test("the training pattern of that name is the policy", () => {
  for (const text of ["bigbird", "bigbird:16", "bigbird:32,seed=9"]) {
    const [pattern, policy] = [parsePattern(text), parsePolicy(text)];
    for (const layer of [0, 5]) {
      const sets = policy.headSets(layer, 3);
      expect(sets.map(({ heads }) => heads)).toEqual([[0], [1], [2]]);
      pattern.headSets(layer, 3).forEach(({ heads, retention }, i) => {
        expect(heads).toEqual(sets[i].heads);
        for (let t = 0; t < 1000; t += 7) expect(retention.visible(t)).toEqual(sets[i].retention.visible(t));
      });
    }
  }
});

/** By the definition, whatever ranges and slots are made of it. */
function literal(size: number, seed: number): LiteralPolicy {
  const everything = { sinks: 0, recent: 1_000_000, evict: 1, inText: true };
  return {
    ...everything,
    byHead: (layer, head) => ({
      ...everything,
      sees: (t, j) =>
        j <= t && blocksSeen(Math.floor(t / size), drawKey(seed, layer, head)).includes(Math.floor(j / size)),
    }),
  };
}

async function saved(memory: SequenceMemory): Promise<Uint8Array> {
  const facts = memoryFacts(memory);
  const bytes = new Uint8Array(memoryBytes(memory, facts));
  let at = 0;
  await writeMemory(memory, facts, {
    put: (piece) => {
      bytes.set(piece, at);
      at += piece.length;
    },
  });
  return bytes;
}

function restored(bytes: Uint8Array, from: SequenceMemory, into: SequenceMemory): SequenceMemory {
  const facts = memoryFacts(from);
  checkFacts(into, facts);
  let at = 0;
  const take = (count: number) => {
    at += count;
    return bytes.subarray(at - count, at);
  };
  readMemory(into, facts, { take });
  return into;
}

describe.each(BACKENDS)("bigbird on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  it("is its mask, literally, whatever the group, the positions, the model's window and the chunks", async () => {
    const arbitrary = fc.record({
      seed: fc.nat(),
      kvHeads: fc.constantFrom(1, 2, 4),
      positions: fc.constantFrom(undefined, "none" as const, "alibi" as const),
      scaling: fc.constantFrom(
        { kind: "none" as const },
        { kind: "dynamic" as const, factor: 2, originalContext: 150 },
      ),
      window: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
      length: fc.integer({ min: 1, max: 230 }),
      chunks: fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ seed, kvHeads, positions, scaling, window, length, chunks }) => {
        const shape = { ...SMALL, heads: 4, kvHeads, positions, rope: { scaling }, ...(window && { window }) };
        const model = randomModel(shape, seed);
        const together = new Together(backend, bind(model, backend));
        const memory = together.open({ policy: parsePolicy(`bigbird:16,seed=${seed}`) });
        const ids = randomIds(length, SMALL.vocabulary, seed);
        const got = await together.read(memory, ids, chunks);
        memory.dispose();
        expectLiteral(got, model, ids, literal(16, seed));
      }),
      { numRuns: name === "reference" ? 5 : 12 },
    );
  }, 60_000);

  it("reads the same in chunks, one by one, restored and forked", async () => {
    const model = randomModel({ ...SMALL, heads: 4, kvHeads: 2 }, 3);
    const together = new Together(backend, bind(model, backend));
    const ids = randomIds(301, SMALL.vocabulary, 4);
    const options = { policy: parsePolicy("bigbird:32") };
    const [one, whole, odd] = [together.open(options), together.open(options), together.open(options)];
    const single = await together.read(one, ids, [1]);
    const rows = await together.read(whole, ids);
    expect(worst(rows, single)).toBeLessThan(TOLERANCE);
    expect(worst(await together.read(odd, ids, [61, 13, 1]), single)).toBeLessThan(TOLERANCE);
    const again = restored(await saved(one), one, together.open(options));
    const forked = one.fork();
    const more = randomIds(70, SMALL.vocabulary, 5);
    const expected = await together.read(one, more, [1]);
    expect(await together.read(again, more, [1])).toEqual(expected);
    expect(await together.read(forked, more, [1])).toEqual(expected);
    // Not what full would give.
    const full = together.open({ ...options, policy: parsePolicy("full") });
    expect(worst((await together.read(full, ids)).slice(-1), rows.slice(-1))).toBeGreaterThan(100 * TOLERANCE);
    for (const memory of [one, whole, odd, again, forked, full]) memory.dispose();
  });

  it("takes the memory of full, in one group of pages, to the last byte", async () => {
    const together = new Together(backend, bind(randomModel({ ...SMALL, heads: 4, kvHeads: 4 }, 3), backend));
    const ids = randomIds(200, SMALL.vocabulary, 1);
    const { attention } = together.decoder.shapes;
    const taken = [];
    for (const text of ["full", "bigbird:16"]) {
      const kind = { policy: parsePolicy(text), keyType: "f32", valueType: "f32" } as const;
      const memory = together.open({ ...kind, limit: 200 });
      await together.read(memory, ids, [40]);
      expect(memory.cache.groups).toHaveLength(1);
      const [group] = memory.cache.groups;
      expect(group.store.layout.members).toBe(4 * attention.length);
      expect([memory.cache.kept, memory.cache.horizon, memory.cache.sinks]).toEqual([200, null, 0]);
      expect(() => memory.admit(1)).toThrow(/The context is full/);
      const planned = kvCacheBytes(backend, attention, kind, { tokens: 200, chunk: 40, limit: 200 });
      // 13 pages of 16 tokens, each with keys and values of 8 numbers.
      expect(memory.usedBytes).toBe(13 * 16 * (8 + 8) * 4 * 4 * attention.length);
      taken.push([memory.usedBytes, planned]);
      memory.dispose();
    }
    expect(taken[1]).toEqual(taken[0]);
    expect(taken[0][0]).toBe(taken[0][1]);
  });
});
