/** Memory that is refused, at every place where a step asks for some: every sequence is as it was, and goes on. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { ReferenceKvStore, ReferencePageTable } from "../../src/backends/reference/kv.js";
import { Space } from "../../src/backends/wasm/space.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import { memoryFacts, writeMemory } from "../../src/context/snapshot.js";
import { type Outcome, StepRunner } from "../../src/engine/step/step-runner.js";
import type { Backend, BackendName } from "../../src/tensor/backend.js";
import { MemoryError } from "../../src/util/errors.js";
import { drawHeadPolicy } from "../support/head-policies.js";
import { bind, type RandomModelShape, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const BACKENDS = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
] as const;

const MODELS: Readonly<Record<string, RandomModelShape>> = {
  "rotary positions": SMALL,
  // Its keys are rotated into pages of their own. One token a step is what all of it admits.
  "dynamic NTK": { ...SMALL, rope: { scaling: { kind: "dynamic", factor: 2, originalContext: 2000 } } },
};

/** More than a step makes. */
const MOST_REQUESTS = 400;

/** Refuses a request for memory, or all from one on. */
class Refusal {
  private left = Number.POSITIVE_INFINITY;
  /** Whether requests after the first refused one are refused too. */
  further = false;

  /** What takes memory on this backend asks here until all mocks are restored. */
  watch(name: BackendName): void {
    const { allocate } = Space.prototype;
    const { alloc } = ReferenceKvStore.prototype;
    const { reserve } = ReferencePageTable.prototype;
    if (name === "wasm") {
      vi.spyOn(Space.prototype, "allocate").mockImplementation(this.asked(allocate));
      return;
    }
    vi.spyOn(ReferenceKvStore.prototype, "alloc").mockImplementation(this.asked(alloc));
    vi.spyOn(ReferencePageTable.prototype, "reserve").mockImplementation(this.asked(reserve));
  }

  private asked<A extends unknown[], R>(original: (...args: A) => R): (...args: A) => R {
    const ask = () => this.ask();
    return function (this: unknown, ...args: A): R {
      ask();
      return original.apply(this, args);
    };
  }

  private ask(): void {
    this.left--;
    if (this.left === -1 || (this.left < -1 && this.further)) throw new MemoryError("none left", {});
  }

  /** Runs `body` with the request after `passed` others refused; whether there was one. */
  async during(passed: number, body: () => Promise<void>): Promise<boolean> {
    this.left = passed;
    await body();
    const refused = this.left < 0;
    this.left = Number.POSITIVE_INFINITY;
    return refused;
  }
}

/** All that is held of a sequence, as a saved session would have it. */
async function held(memory: SequenceMemory): Promise<unknown> {
  const facts = memoryFacts(memory);
  const parts: string[] = [];
  await writeMemory(memory, facts, { put: (bytes) => parts.push(Buffer.from(bytes).toString("base64")) });
  const { used, kept } = { used: memory.usedBytes, kept: memory.cache.kept };
  return { facts, used, kept, parts };
}

/** The logits of the last id. */
function last(runner: StepRunner, memory: SequenceMemory, ids: Int32Array): Promise<Float32Array> {
  return runner.run(memory, ids, "last", (logits) => logits.slice());
}

/** Of the stores of keys and values, and of bounds. */
function usedBytes({ cache }: SequenceMemory): number[] {
  return cache.groups.flatMap(({ store, bounds }) => [store.usedBytes, bounds?.store.usedBytes ?? 0]);
}

describe.each(BACKENDS)("memory refused on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  const refusal = new Refusal();
  beforeEach(async () => {
    backend = await createBackend(name, { threads });
    refusal.further = false;
    refusal.watch(name);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await backend.dispose();
  });

  /** A table of exactly as many pages as it has room for, one that lets pages go, a new one, and one of many groups. */
  const CASES = [
    { policy: parsePolicy("full"), before: name === "reference" ? 32 : 1024, rows: 40 },
    { policy: parsePolicy("sinks:4,recent:40"), before: 90, rows: 33 },
    { policy: parsePolicy("recent:20,evict=7"), before: 0, rows: 17 },
    { policy: drawHeadPolicy(5).policy, before: 64, rows: 1 },
    // The next token needs another page, and another block of bounds.
    { policy: parsePolicy("full,read=quest:32,dense=1"), before: 256, rows: 1 },
    { policy: parsePolicy("sinks:4,recent:100,read=quest:64,dense=1"), before: 256, rows: 17 },
  ];

  async function texts(together: Together, cases = CASES): Promise<SequenceMemory[]> {
    const made: SequenceMemory[] = [];
    for (const [i, { policy, before }] of cases.entries()) {
      const memory = together.open({ policy });
      await together.read(memory, randomIds(before, SMALL.vocabulary, i), [64]);
      made.push(memory);
    }
    return made;
  }

  it("in begin, changes nothing", async () => {
    const together = new Together(backend, bind(randomModel(SMALL, 4), backend));
    for (const [i, parent] of (await texts(together)).entries()) {
      const { rows } = CASES[i];
      for (let passed = 0; ; passed++) {
        const memory = parent.fork();
        const before = await held(memory);
        const used = usedBytes(memory);
        const refused = await refusal.during(passed, async () => {
          try {
            memory.begin(rows);
          } catch (error) {
            expect(error).toBeInstanceOf(MemoryError);
            expect(await held(memory)).toEqual(before);
            expect(usedBytes(memory)).toEqual(used);
          }
        });
        memory.dispose();
        if (!refused) break;
        expect(passed).toBeLessThan(MOST_REQUESTS);
      }
    }
  });

  it.each(Object.entries(MODELS))(
    "in a step of several, is a failure that its sequences outlive: %s",
    async (_, shape) => {
      const decoder = bind(randomModel(shape, 4), backend);
      const together = new Together(backend, decoder);
      const runner = new StepRunner(backend, decoder);
      // Dynamic NTK has no keys that could be bounded.
      const cases = CASES.filter(({ policy }) => shape === SMALL || !policy.reading);
      const parents = await texts(together, cases);
      const witnesses: (readonly [Float32Array, Float32Array])[] = [];
      const ids = cases.map(({ rows }, i) => randomIds(rows, SMALL.vocabulary, i + 9));
      const next = randomIds(1, SMALL.vocabulary, 50);
      for (const [i, parent] of parents.entries()) {
        const witness = parent.fork();
        witnesses.push([await last(runner, witness, ids[i]), await last(runner, witness, next)]);
        witness.dispose();
      }
      const used = () => parents.map(usedBytes);
      const usedBefore = used();
      const use = (logits: Float32Array) => logits.slice();
      for (const further of [false, true]) {
        refusal.further = further;
        for (let passed = 0; ; passed++) {
          const memories = parents.map((parent) => parent.fork());
          const wants = memories.map((state, i) => ({ state, ids: ids[i], wanted: "last" as const, use }));
          let outcomes: Outcome<Float32Array>[] = [];
          const refused = await refusal.during(passed, async () => {
            outcomes = await runner.step(wants);
          });
          if (refused && further) expect(outcomes.map(({ status }) => status)).toContain("rejected");
          for (const [i, outcome] of outcomes.entries()) {
            if (outcome.status === "rejected") {
              expect(outcome.reason).toBeInstanceOf(MemoryError);
              expect([memories[i].seen, memories[i].cache.kept]).toEqual([parents[i].seen, parents[i].cache.kept]);
            }
            const value = outcome.status === "fulfilled" ? outcome.value : await last(runner, memories[i], ids[i]);
            expect(value).toEqual(witnesses[i][0]);
          }
          for (const [i, memory] of memories.entries()) {
            expect(await last(runner, memory, next)).toEqual(witnesses[i][1]);
            memory.dispose();
          }
          expect(used()).toEqual(usedBefore);
          if (!refused) break;
          expect(passed).toBeLessThan(MOST_REQUESTS);
        }
      }
    },
  );

  it("in a fork, leaves the parent and takes nothing", async () => {
    const together = new Together(backend, bind(randomModel(SMALL, 4), backend));
    for (const parent of await texts(together)) {
      const before = await held(parent);
      const used = parent.cache.groups.map(({ store }) => store.usedBytes);
      for (let passed = 0; ; passed++) {
        const refused = await refusal.during(passed, async () => {
          try {
            parent.fork().dispose();
          } catch (error) {
            expect(error).toBeInstanceOf(MemoryError);
          }
        });
        expect(parent.cache.groups.map(({ store }) => store.usedBytes)).toEqual(used);
        expect(await held(parent)).toEqual(before);
        if (!refused) break;
        expect(passed).toBeLessThan(MOST_REQUESTS);
      }
    }
  });
});
