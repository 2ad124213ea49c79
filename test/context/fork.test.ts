/** A fork goes on by itself as if it had read the text from the beginning, and shares what it can with its parent. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import { familyNamed } from "../support/families.js";
import { drawHeadPolicy } from "../support/head-policies.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { bind, type RandomModelShape, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const BACKENDS = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
] as const;

const SHAPES: Readonly<Record<string, RandomModelShape>> = {
  "rotary positions": SMALL,
  "a window": { ...SMALL, window: 21 },
  "dynamic NTK": { ...SMALL, rope: { scaling: { kind: "dynamic", factor: 2, originalContext: 24 } } },
};

const POLICIES = ["full", "sinks:4,recent:20", "sinks:3,recent:17,evict=5", "recent:9,distance=text"];

/** A sequence, and one that has read the same text from the beginning. */
interface Twin {
  readonly memory: SequenceMemory;
  readonly witness: SequenceMemory;
}

/** Without what a step needs for a while: scratch pages of dynamic NTK. */
function pageBytes({ cache }: SequenceMemory): number {
  return cache.groups.reduce((sum, { bytes }) => sum + bytes, 0);
}

describe.each(BACKENDS)("forks on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  it.each(Object.entries(SHAPES))("give the bits of sequences that read all of it: %s", async (_, shape) => {
    const together = new Together(backend, bind(randomModel(shape, 4), backend));
    const before = backend.memoryBytes;
    const arbitrary = fc.record({ seed: fc.nat(), actions: fc.array(fc.nat(99), { minLength: 4, maxLength: 16 }) });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ seed, actions }) => {
        const random = new Random(seed);
        const text = POLICIES.at(random.below(POLICIES.length + 2));
        const policy = text === undefined ? drawHeadPolicy(seed).policy : parsePolicy(text);
        const kv = KV_TYPES[random.below(3)];
        const open = () => together.open({ policy, keyType: kv, valueType: kv });
        const read: Int32Array[] = [];
        const alive: (Twin & { readonly chunks: readonly Int32Array[] })[] = [
          { memory: open(), witness: open(), chunks: read },
        ];
        for (const action of actions) {
          const at = action % alive.length;
          const { memory, witness, chunks } = alive[at];
          if (action < 20 && alive.length < 4) {
            const other = open();
            for (const ids of chunks) await together.run([{ memory: other, ids }]);
            alive.push({ memory: memory.fork(), witness: other, chunks });
          } else if (action < 30 && alive.length > 1) {
            alive.splice(at, 1);
            for (const gone of [memory, witness]) gone.dispose();
          } else {
            const ids = randomIds(memory.stepLimit(1 + random.below(24)), SMALL.vocabulary, action + seed);
            expect(await together.run([{ memory, ids }])).toEqual(await together.run([{ memory: witness, ids }]));
            alive[at] = { memory, witness, chunks: [...chunks, ids] };
          }
          for (const twin of alive) expect(pageBytes(twin.memory)).toBe(pageBytes(twin.witness));
        }
        // What is left goes on in one step.
        const members = alive.map((twin, i) => ({ ...twin, ids: randomIds(1, SMALL.vocabulary, i) }));
        const witnesses = await together.run(members.map(({ witness: memory, ids }) => ({ memory, ids })));
        expect(await together.run(members)).toEqual(witnesses);
        for (const twin of alive) for (const gone of [twin.memory, twin.witness]) gone.dispose();
        if (name === "reference") expect(backend.memoryBytes).toBe(before);
      }),
      { numRuns: name === "reference" ? 4 : 12 },
    );
  });

  it("take one page a group, count their own bytes, and give all of it back in any order", async () => {
    const together = new Together(backend, bind(randomModel(SMALL, 4), backend));
    for (const order of [
      [0, 1, 2],
      [2, 0, 1],
      [1, 2, 0],
    ]) {
      const parent = together.open({ policy: parsePolicy("full") });
      await together.read(parent, randomIds(90, SMALL.vocabulary, 1));
      const { store } = parent.cache.groups[0];
      expect(store.usedBytes).toBe(6 * store.pageBytes);
      const child = parent.fork();
      expect(store.usedBytes).toBe(7 * store.pageBytes);
      const grandchild = child.fork();
      expect(store.usedBytes).toBe(8 * store.pageBytes);
      const all = [parent, child, grandchild];
      expect(all.map(({ usedBytes }) => usedBytes)).toEqual(all.map(() => 6 * store.pageBytes));
      // To the end of a page; then a fork shares everything.
      await together.read(child, randomIds(6, SMALL.vocabulary, 2));
      child.fork().dispose();
      const used = store.usedBytes;
      const whole = child.fork();
      expect(store.usedBytes).toBe(used);
      whole.dispose();
      for (const index of order) all[index].dispose();
      expect(store.usedBytes).toBe(0);
      expect(store.reservedBytes).toBe(0);
    }
  });

  it("follow a parent whose last step has failed", async () => {
    const together = new Together(backend, bind(randomModel(SMALL, 4), backend));
    const [parent, witness] = [0, 1].map(() => together.open({ policy: parsePolicy("sinks:2,recent:20") }));
    const ids = randomIds(50, SMALL.vocabulary, 3);
    for (const memory of [parent, witness]) await together.read(memory, ids, [25]);
    parent.begin(9);
    const child = parent.fork();
    for (const memory of [parent, child]) {
      const more = randomIds(12, SMALL.vocabulary, 5);
      if (memory === child) expect(await together.read(memory, more)).toEqual(await together.read(witness, more));
      memory.dispose();
    }
    witness.dispose();
  });
});

const LAYERS = ["jamba", "mamba", "mamba2", "t5"] as const;

describe.each(BACKENDS)("forks of states and sources on $name with $threads threads", ({ name, threads }) => {
  it.each(LAYERS)("%s", async (family) => {
    const model: LocalModel = await loadLocal(randomGguf(familyNamed(family), 2).path, { backend: name, threads });
    const together = new Together(model.runner.backend, model.runner.decoder);
    const vocabulary = FAMILY_TOKENS.length;
    const begin = async () => {
      const memory = together.open({ policy: parsePolicy("full") });
      if (model.info.encoderDecoder) await model.runner.encode(memory, randomIds(21, vocabulary, 9));
      await together.read(memory, randomIds(19, vocabulary, 1), [7]);
      return memory;
    };
    const [parent, one, two] = [await begin(), await begin(), await begin()];
    const child = parent.fork();
    const more = [2, 3].map((seed) => randomIds(8, vocabulary, seed));
    // In turns, so that what one writes would show in the other.
    for (const at of [0, 3, 6]) {
      for (const [memory, witness, ids] of [
        [parent, one, more[0]],
        [child, two, more[1]],
      ] as const) {
        const own = ids.subarray(at, at + 2);
        expect(await together.read(memory, own)).toEqual(await together.read(witness, own));
      }
    }
    parent.dispose();
    const last = randomIds(3, vocabulary, 4);
    expect(await together.read(child, last)).toEqual(await together.read(two, last));
    for (const memory of [child, one, two]) memory.dispose();
    await model.dispose();
  });
});
