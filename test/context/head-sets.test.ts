/** Heads that see and keep different tokens: against the literal model, for any sets, windows and chunks. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { headRuns, oneHeadSet, setsOfLayer } from "../../src/context/head-sets.js";
import { kvCacheBytes, kvLayouts } from "../../src/context/kv-layout.js";
import { EVERYTHING } from "../../src/context/policies/full.js";
import { windowRetention } from "../../src/context/policies/window.js";
import { type ContextPolicy, policyOf } from "../../src/context/policy.js";
import { checkFacts, memoryBytes, memoryFacts, readMemory, writeMemory } from "../../src/context/snapshot.js";
import type { Backend } from "../../src/tensor/backend.js";
import { InternalError } from "../../src/util/errors.js";
import { expectLiteral, TOLERANCE } from "../support/expect-literal.js";
import { drawHeadPolicy } from "../support/head-policies.js";
import { worst } from "../support/logits.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const BACKENDS = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
] as const;

const SHAPE = { ...SMALL, heads: 8, kvHeads: 8, headWidth: 4 };

/** Even heads keep all, odd ones sinks and a window: what DuoAttention does. */
function duo(sinks: number, recent: number): ContextPolicy {
  const streaming = windowRetention(sinks, recent, { evict: 1 });
  const facts = policyOf(EVERYTHING, { text: "duo", summary: "for a test", recompute: false });
  return {
    ...facts,
    sinks,
    distance: "cache",
    headSets: (_, kvHeads) => {
      const heads = Array.from({ length: kvHeads }, (_, head) => head);
      return [
        { heads: heads.filter((head) => head % 2 === 0), retention: EVERYTHING },
        { heads: heads.filter((head) => head % 2 === 1), retention: streaming },
      ];
    },
  };
}

describe.each(BACKENDS)("head sets on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  it("give what every head alone would keep, literally", async () => {
    const arbitrary = fc.record({
      seed: fc.nat(),
      positions: fc.constantFrom(undefined, "none" as const, "alibi" as const),
      scaling: fc.constantFrom({ kind: "none" as const }, { kind: "dynamic" as const, factor: 2, originalContext: 24 }),
      window: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
      length: fc.integer({ min: 1, max: 90 }),
      chunks: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ seed, positions, scaling, window, length, chunks }) => {
        const model = randomModel({ ...SHAPE, positions, rope: { scaling }, ...(window && { window }) }, seed);
        const together = new Together(backend, bind(model, backend));
        const { policy, literal } = drawHeadPolicy(seed);
        const ids = randomIds(length, SMALL.vocabulary, seed);
        const memory = together.open({ policy });
        const got = await together.read(memory, ids, chunks);
        memory.dispose();
        expectLiteral(got, model, ids, literal);
      }),
      { numRuns: name === "reference" ? 12 : 40 },
    );
  });

  it("take the memory of what each keeps, and say what the text has lost", async () => {
    const together = new Together(backend, bind(randomModel(SHAPE, 3), backend));
    const kind = { policy: duo(4, 28), keyType: "f32", valueType: "f32" } as const;
    const memory = together.open(kind);
    await together.read(memory, randomIds(400, SMALL.vocabulary, 1), [20]);
    const [full, streaming] = memory.cache.groups;
    expect(full.bytes).toBe(25 * full.store.pageBytes);
    expect(streaming.bytes).toBeLessThanOrEqual(5 * streaming.store.pageBytes);
    const extent = { tokens: 400, chunk: 20, limit: 400 };
    const planned = kvCacheBytes(backend, together.decoder.shapes.attention, kind, extent);
    expect(memory.usedBytes).toBeLessThanOrEqual(planned);
    // Four of eight heads, and a few pages for the others.
    const everything = { ...kind, policy: oneHeadSet(EVERYTHING) };
    expect(planned).toBeLessThan(0.7 * kvCacheBytes(backend, together.decoder.shapes.attention, everything, extent));
    expect([memory.cache.kept, memory.cache.horizon, memory.cache.sinks]).toEqual([400, null, 4]);
    memory.dispose();
  });

  it("are saved and restored", async () => {
    const together = new Together(backend, bind(randomModel(SHAPE, 3), backend));
    for (const seed of [1, 2, 3, 4]) {
      const { policy } = drawHeadPolicy(seed);
      const options = { policy, keyType: "f16", valueType: "q8" } as const;
      const memory = together.open(options);
      await together.read(memory, randomIds(75, SMALL.vocabulary, seed), [20]);
      const facts = memoryFacts(memory);
      const bytes = new Uint8Array(memoryBytes(memory, facts));
      let at = 0;
      await writeMemory(memory, facts, {
        put: (piece) => {
          bytes.set(piece, at);
          at += piece.length;
        },
      });
      expect(at).toBe(bytes.length);
      const restored = together.open(options);
      checkFacts(restored, facts);
      let from = 0;
      const take = (count: number) => {
        from += count;
        return bytes.subarray(from - count, from);
      };
      readMemory(restored, facts, { take });
      const more = randomIds(30, SMALL.vocabulary, seed + 9);
      expect(await together.read(restored, more)).toEqual(await together.read(memory, more));
      for (const one of [memory, restored]) one.dispose();
    }
  });

  it("a row in the middle of a chunk that sees most ranges sees all of them", async () => {
    const model = randomModel(SMALL, 5);
    const together = new Together(backend, bind(model, backend));
    // The first tokens are seen until position 30, those between never again: two ranges, but not first and not last.
    const retention = {
      ...EVERYTHING,
      visible: (t: number) => {
        if (t < 14) return [{ start: 0, end: t + 1 }];
        const newest = { start: t - 9, end: t + 1 };
        return t < 30 ? [{ start: 0, end: 4 }, newest] : [newest];
      },
    };
    const policy = policyOf(retention, { text: "fading", summary: "for a test", recompute: false });
    const ids = randomIds(48, SMALL.vocabulary, 5);
    const [one, many] = [together.open({ policy }), together.open({ policy })];
    const steps = await together.read(one, ids, [1]);
    expect(worst(await together.read(many, ids, [48]), steps)).toBeLessThan(TOLERANCE);
    one.dispose();
    many.dispose();
  });

  it("what is retained beyond what is visible may be seen again", async () => {
    const model = randomModel(SMALL, 6);
    const together = new Together(backend, bind(model, backend));
    // Every other token sees the beginning.
    const retention = {
      ...windowRetention(8, 20, { evict: 1, distance: "text" }),
      visible: (t: number) => {
        const newest = { start: Math.max(0, t - 19), end: t + 1 };
        return t % 2 === 0 && newest.start > 8 ? [{ start: 0, end: 8 }, newest] : [newest];
      },
      retained: (t: number) => [
        { start: 0, end: 8 },
        { start: Math.max(8, t - 19), end: t + 1 },
      ],
    };
    const policy = policyOf(retention, { text: "blinking", summary: "for a test", recompute: false });
    const ids = randomIds(70, SMALL.vocabulary, 6);
    const all: Float32Array[][] = [];
    for (const chunk of [1, 7, 70]) {
      const memory = together.open({ policy });
      all.push(await together.read(memory, ids, [chunk]));
      memory.dispose();
    }
    for (const rows of all) expect(worst(rows, all[0])).toBeLessThan(TOLERANCE);
  });
});

test("layouts: a retention is one group for all layers, a window or another retention another", () => {
  const shape = { heads: 4, kvHeads: 4, keyWidth: 8, valueWidth: 8, scale: 1 };
  const shapes = [
    { ...shape, layer: 0 },
    { ...shape, layer: 2, window: 50 },
    { ...shape, layer: 3 },
  ];
  const kind = { policy: duo(4, 28), keyType: "f32", valueType: "f16" } as const;
  const groups = kvLayouts(shapes, kind).map(({ layout, window, members }) => ({
    heads: layout.members,
    window,
    members: members.map(({ layer, heads, member }) => ({ layer, heads, member })),
  }));
  const [even, odd] = [
    [0, 2],
    [1, 3],
  ];
  const both = (heads: number[]) => [
    { layer: 0, heads, member: 0 },
    { layer: 3, heads, member: 2 },
  ];
  expect(groups).toEqual([
    { heads: 4, window: undefined, members: both(even) },
    { heads: 4, window: undefined, members: both(odd) },
    { heads: 2, window: 50, members: [{ layer: 2, heads: even, member: 0 }] },
    { heads: 2, window: 50, members: [{ layer: 2, heads: odd, member: 0 }] },
  ]);
});

test("a head in no set, or in two, is a bug of the policy", () => {
  for (const heads of [
    [0, 1],
    [0, 1, 3, 3],
    [0, 2, 1],
    [0, 1, 2, 3],
  ]) {
    const sets = { headSets: () => [{ heads, retention: EVERYTHING }] };
    expect(() => setsOfLayer(sets, 1, 3)).toThrow(InternalError);
  }
  const apart = [
    { heads: [1], retention: EVERYTHING },
    { heads: [0, 2], retention: EVERYTHING },
  ];
  expect(setsOfLayer({ headSets: () => apart }, 1, 3)).toEqual(apart);
});

test("runs of neighbours", () => {
  expect(headRuns([])).toEqual([]);
  expect(headRuns([0, 1, 4, 6, 7, 8])).toEqual([
    { head: 0, heads: 2 },
    { head: 4, heads: 1 },
    { head: 6, heads: 3 },
  ]);
});
