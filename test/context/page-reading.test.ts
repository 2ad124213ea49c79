/** Reading a choice of pages: what is kept, chosen, shared and taken back follows the text, whatever the way it was read. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { candidatesOf, ReferencePages, select } from "../../src/backends/reference/select.js";
import { kvCacheBytes } from "../../src/context/kv-layout.js";
import type { Origin } from "../../src/context/mixer-state.js";
import { EVERYTHING } from "../../src/context/policies/full.js";
import { type ContextPolicy, policyOf } from "../../src/context/policy.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { memoryBytes, memoryFacts, readMemory, writeMemory } from "../../src/context/snapshot.js";
import { Step } from "../../src/context/step.js";
import type { TextMessages } from "../../src/context/text-messages.js";
import type { Backend, SelectCall, SelectedPages } from "../../src/tensor/backend.js";
import { boundsLayout, PAGE_TOKENS } from "../../src/tensor/kv.js";
import { Random } from "../../src/util/random.js";
import { totalLength } from "../../src/util/ranges.js";
import { worst } from "../support/logits.js";
import { gatesFor } from "../support/model-gates.js";
import { bind, type RandomModelShape, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const BACKENDS = [
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
] as const;

const MODELS: Readonly<Record<string, RandomModelShape>> = {
  "grouped heads": SMALL,
  "one KV head": { ...SMALL, kvHeads: 1 },
  "as many KV heads": { ...SMALL, kvHeads: 4 },
  slopes: { ...SMALL, positions: "alibi" },
  "no positions": { ...SMALL, positions: "none" },
  "a window": { ...SMALL, window: 120 },
};

const POLICIES = [
  "full,read=quest:48,dense=0",
  "full,read=quest:64,dense=1",
  "sinks:20,recent:130,read=quest:70,dense=0",
  "recent:100,evict=9,read=quest:40,dense=0",
  "sinks:4,recent:90,distance=text,read=quest:48,dense=1",
  "sinks:system,recent:90,read=quest:48,dense=0",
  "auto:94,read=quest:50,dense=1",
];

/** Some given tokens in chunks, then those that follow one by one as if the model had written them: logits after each. */
async function readOn(
  together: Together,
  memory: SequenceMemory,
  ids: Int32Array,
  { given, chunk = given }: { readonly given: number; readonly chunk?: number },
): Promise<Float32Array[]> {
  const rows = given > 0 ? await together.read(memory, ids.subarray(0, given), [chunk]) : [];
  for (let at = given; at < ids.length; at++) rows.push(...(await written(together, memory, ids.subarray(at, at + 1))));
  return rows;
}

async function written(together: Together, memory: SequenceMemory, ids: Int32Array): Promise<Float32Array[]> {
  const [rows] = await together.run([{ memory, ids, origin: "written" }]);
  return rows;
}

/** What it was asked to select, and what it selected. */
class Watched extends ReferenceBackend {
  readonly seen: { readonly call: SelectCall; readonly lists: readonly (readonly (readonly number[])[])[] }[] = [];

  override select(call: SelectCall): readonly SelectedPages[] {
    const selected = select(call);
    this.seen.push({ call, lists: selected.map(({ lists }) => lists) });
    return selected;
  }
}

/** Chooses the oldest and the newest candidates that it must, and of the others the newest. */
class Newest extends ReferenceBackend {
  override select(call: SelectCall): readonly SelectedPages[] {
    return select(call).map(({ lists, pages }, i) => {
      const part = call.parts[i];
      const [first, end] = candidatesOf(call, part);
      const chosen = Array.from({ length: part.pages }, (_, k) => (k < part.oldest ? first + k : end - part.pages + k));
      return new ReferencePages(
        lists.map((list) => [...list.slice(0, pages - part.pages), ...chosen]),
        pages,
      );
    });
  }
}

/**
 * All is kept; prompts of `given` tokens see all, later rows `pages`, where they see more: the first page and the newest, or, once
 * a window of the model's own hides the first, the newest.
 */
function firstAndNewest(given: number, pages: number, window = Number.POSITIVE_INFINITY): ContextPolicy {
  const retention = {
    ...EVERYTHING,
    retained: (t: number) => [{ start: 0, end: t + 1 }],
    visible: (t: number) => {
      const start = (Math.floor(t / PAGE_TOKENS) + 2 - pages) * PAGE_TOKENS;
      if (t < given || start <= PAGE_TOKENS) return [{ start: 0, end: t + 1 }];
      if (t >= window) return [{ start: start - PAGE_TOKENS, end: t + 1 }];
      return [
        { start: 0, end: PAGE_TOKENS },
        { start, end: t + 1 },
      ];
    },
  };
  return policyOf(retention, { text: "first and newest", summary: "for a test", recompute: false });
}

describe("what is chosen", () => {
  it.each(Object.entries(MODELS))("attention reads it and nothing else, at its own distances: %s", async (_, shape) => {
    const model = randomModel(shape, 4);
    const ids = randomIds(150, SMALL.vocabulary, 8);
    for (const given of [0, 96]) {
      const backend = new Newest();
      const together = new Together(backend, bind(model, backend));
      const chosen = together.open({ policy: parsePolicy("full,read=quest:80,dense=0") });
      const plain = together.open({ policy: firstAndNewest(given, 5, shape.window) });
      const found = await readOn(together, chosen, ids, { given });
      const expected = await readOn(together, plain, ids, { given });
      expect(worst(expected, found)).toBeLessThan(1e-6);
      expect(chosen.cache.read).toBe(64 + 6);
    }
  });

  it("are pages within the budget, with the oldest and the newest among them, of those that are seen whole", async () => {
    const backend = new Watched();
    const together = new Together(backend, bind(randomModel({ ...SMALL, layers: 3 }, 4), backend));
    const budgetPages = 5;
    const turns = [40, 75, 110, 111, 160, 190].map((at) => ({ at, answer: false, turn: true }));
    const policies: readonly (readonly [string, TextMessages["system"]])[] = [
      ["full", null],
      ["sinks:20,recent:130", null],
      ["recent:100,evict=9", null],
      ["sinks:4,recent:90,distance=text", null],
      ["auto:120", null],
      ["sinks:system,recent:110", { start: 0, end: 33 }],
      ["sinks:system,recent:110,distance=text", { start: 18, end: 33 }],
    ];
    for (const [text, system] of policies) {
      const memory = together.open({ policy: parsePolicy(`${text},read=quest:${budgetPages * PAGE_TOKENS + 7}`) });
      memory.cache.messages = { system, starts: turns };
      let ranges = 1;
      const ids = randomIds(220, SMALL.vocabulary, 8);
      await readOn(together, memory, ids.subarray(0, 60), { given: 60 });
      expect(backend.seen).toEqual([]);
      for (let t = 60; t < ids.length; t++) {
        await written(together, memory, ids.subarray(t, t + 1));
        const visible = memory.cache.groups[0].visible(t);
        const touched = visible.reduce(
          (sum, { start, end }) => sum + Math.ceil(end / PAGE_TOKENS) - Math.floor(start / PAGE_TOKENS),
          0,
        );
        // Two layers read everything, and so does one that sees no more than the budget, in tokens or in whole pages.
        const isMore = touched > budgetPages && totalLength(visible) > budgetPages * PAGE_TOKENS + 7;
        expect(backend.seen).toHaveLength(isMore ? 1 : 0);
        for (const { call, lists } of backend.seen.splice(0)) {
          const newest = visible[visible.length - 1];
          const earlier = visible
            .slice(0, -1)
            .flatMap(({ start, end }) => pagesOf(Math.floor(start / PAGE_TOKENS), end));
          ranges = Math.max(ranges, visible.length);
          for (const list of lists[0]) {
            const textPages = list.map((entry) => memory.cache.groups[0].positionOf(entry * PAGE_TOKENS) / PAGE_TOKENS);
            expect(list.length).toBeLessThanOrEqual(budgetPages);
            expect(textPages.slice(0, earlier.length)).toEqual(earlier);
            const chosen = textPages.slice(earlier.length);
            expect(chosen.length).toBe(call.parts[0].pages);
            expect(chosen.every((page, i) => i === 0 || page > chosen[i - 1])).toBe(true);
            expect(chosen[0]).toBeGreaterThanOrEqual(Math.ceil(newest.start / PAGE_TOKENS));
            expect(chosen.at(-1)).toBe(Math.floor(t / PAGE_TOKENS));
            if (newest.start === 0) expect(chosen[0]).toBe(0);
            if (chosen.length >= 4) expect(chosen.at(-2)).toBe(Math.floor(t / PAGE_TOKENS) - 1);
            const last = (t % PAGE_TOKENS) + 1;
            const inEarlier = visible.slice(0, -1).reduce((sum, { start, end }) => sum + end - start, 0);
            expect(memory.cache.read).toBe(inEarlier + (chosen.length - 1) * PAGE_TOKENS + last);
          }
        }
      }
      expect(ranges).toBe(system && system.start > 0 ? 3 : /sinks|auto/.test(text) ? 2 : 1);
      memory.dispose();
    }
  });
});

function pagesOf(start: number, end: number): number[] {
  return Array.from({ length: Math.ceil(end / PAGE_TOKENS) - start }, (_, i) => start + i);
}

describe.each(BACKENDS)("reading a choice on $name with $threads threads", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  const open = (shape: RandomModelShape, seed = 4) => new Together(backend, bind(randomModel(shape, seed), backend));

  /** The reference is slow. */
  const models = Object.entries(MODELS).filter((_, i) => name === "wasm" || i % 3 === 0);

  it.each(models)("with a budget for all gives full's bits, and else other numbers: %s", async (_, shape) => {
    const together = open(shape);
    for (let length = 64; length < 82; length += 5) {
      const ids = randomIds(length, SMALL.vocabulary, length);
      const logits = async (policy: string) => {
        const memory = together.open({ policy: parsePolicy(policy) });
        const rows = await readOn(together, memory, ids, { given: 40 });
        memory.dispose();
        return rows;
      };
      const full = await logits("full");
      for (const budget of [length, Math.ceil(length / 16) * 16])
        expect(await logits(`full,read=quest:${budget},dense=0`)).toEqual(full);
      const some = await logits("full,read=quest:32,dense=0");
      expect(some.slice(0, 40)).toEqual(full.slice(0, 40));
      expect(some).not.toEqual(full);
    }
  });

  it("prompts read everything, in whatever chunks", async () => {
    const together = open(SMALL);
    const ids = randomIds(170, SMALL.vocabulary, 3);
    for (const policy of POLICIES) {
      const read = async (chunk: number) => {
        const memory = together.open({ policy: parsePolicy(policy) });
        const rows = await readOn(together, memory, ids, { given: 150, chunk });
        expect(memory.cache.read).toBeLessThan(memory.cache.kept);
        memory.dispose();
        return rows;
      };
      const whole = await read(150);
      for (const chunk of [64, 7]) expect(worst(whole, await read(chunk))).toBeLessThan(1e-5);
    }
  });

  it.each(models)("a sequence has the bits that it has alone, in any company: %s", async (_, shape) => {
    const together = open(shape);
    const policies = [...POLICIES, "full", "sinks:4,recent:20"];
    const twins = policies.map((text, i) => {
      const options = { policy: parsePolicy(text), keyType: "f16", valueType: i % 2 === 0 ? "f16" : "q8" } as const;
      const ids = randomIds(260, SMALL.vocabulary, i);
      return { shared: together.open(options), alone: together.open(options), ids, at: 0, given: 60 + 17 * i };
    });
    for (let step = 0; step < (name === "reference" ? 18 : 40); step++) {
      const members = twins.map((twin, i) => {
        const isGiven = twin.at < twin.given;
        const count = isGiven ? Math.min(13 + 5 * i, twin.given - twin.at) : 1;
        const ids = twin.ids.subarray(twin.at, twin.at + count);
        twin.at += count;
        return { memory: twin.shared, alone: twin.alone, ids, origin: isGiven ? "given" : "written" } as const;
      });
      const alone: Float32Array[][] = [];
      for (const { alone: memory, ids, origin } of members)
        alone.push(...(await together.run([{ memory, ids, origin }])));
      expect(await together.run(members)).toEqual(alone);
    }
    for (const { shared, alone } of twins) for (const memory of [shared, alone]) memory.dispose();
  });

  it.each(POLICIES)("forked, taken back, failed and restored it goes on as it would have: %s", async (policy) => {
    const together = open({ ...SMALL, layers: 3 });
    for (const [given, keyType] of [
      [97, "f32"],
      [112, "f16"],
      [256, "q8"],
      [263, "f16"],
    ] as const) {
      if (name === "reference" && given > 200) continue;
      const options = { policy: parsePolicy(policy), keyType, valueType: keyType };
      const ids = randomIds(given + 50, SMALL.vocabulary, given);
      const memory = together.open(options);
      await readOn(together, memory, ids.subarray(0, given + 20), { given });
      const next = ids.subarray(given + 20);

      const restored = together.open(options);
      await restore(memory, restored);
      const forked = memory.fork();
      expect(forked.usedBytes).toBe(memory.usedBytes);
      // The fork reads something else, and its parent too, which is then taken back.
      const other = randomIds(4, SMALL.vocabulary, 1);
      const before = memory.seen;
      const takesBack = Array.from(other).every(() => memory.canTakeBack());
      if (takesBack) {
        for (let i = 0; i < 4 && memory.canTakeBack(); i++) await written(together, memory, other.subarray(i, i + 1));
        memory.takeBack(before);
      }
      // A step that was begun and never ended well.
      memory.begin(5);
      const expected = await readOn(together, restored, next, { given: 0 });
      // Between its tokens a sibling, with which it shares pages, writes another text, over the end of a page.
      const sibling = memory.fork();
      const rows = await readOn(together, forked, next.subarray(0, 18), { given: 0 });
      await readOn(together, sibling, randomIds(20, SMALL.vocabulary, 2), { given: 0 });
      rows.push(...(await readOn(together, forked, next.subarray(18), { given: 0 })));
      expect(rows).toEqual(expected);
      sibling.dispose();
      expect(await readOn(together, memory, next, { given: 0 })).toEqual(expected);
      for (const one of [memory, restored, forked]) one.dispose();
    }
  });

  it.skipIf(name === "reference").each(["f16", "q8", "q4"] as const)(
    "restored at any place of a page it goes on as it would have: %s",
    async (keyType) => {
      const together = open(SMALL);
      const options = { policy: parsePolicy("full,read=quest:48,dense=0"), keyType, valueType: keyType };
      const memory = together.open(options);
      await readOn(together, memory, randomIds(95, SMALL.vocabulary, 1), { given: 80 });
      for (let tokens = 96; tokens < 112; tokens++) {
        await written(together, memory, Int32Array.of(tokens % SMALL.vocabulary));
        const [restored, plain] = [together.open(options), memory.fork()];
        await restore(memory, restored);
        expect(restored.seen).toBe(tokens);
        const next = randomIds(18, SMALL.vocabulary, tokens);
        expect(await readOn(together, restored, next, { given: 0 })).toEqual(
          await readOn(together, plain, next, { given: 0 }),
        );
        for (const one of [restored, plain]) one.dispose();
      }
      memory.dispose();
    },
  );

  it("counts slots within the lists, also of sinks that a window has in part", async () => {
    const together = open({ ...SMALL, window: 140 });
    const memory = together.open({ policy: parsePolicy("sinks:20,recent:130,read=quest:96,dense=0") });
    await together.read(memory, randomIds(300, SMALL.vocabulary, 1), [100]);
    backend.beginStep();
    memory.begin(1, "written");
    const [plan] = memory.cache.plans[0].plans;
    // Tokens 10 to 19, and 171 to 300, of which the four last pages are as good as any.
    expect([plan.ranges, plan.pairs]).toEqual([2, 4]);
    expect([...plan.spans.subarray(4, 8)]).toEqual([10, 20, 32, 32 + 48 + 13]);
    expect(plan.choice).toEqual({ first: 11, pages: 4, oldest: 0, newest: 2 });
    expect(plan.readTokens).toBe(10 + 48 + 13);
    memory.dispose();
  });

  it("with gates heads that keep everything choose, and those that stream read what they keep", async () => {
    const together = open({ ...SMALL, layers: 3, heads: 8, kvHeads: 4, headWidth: 4 });
    const gates = gatesFor(together.decoder.shapes.attention, 4);
    const ids = randomIds(150, SMALL.vocabulary, 5);
    const logits = async (text: string, given = 130) => {
      const memory = together.open({ policy: parsePolicy(text, { gates }) });
      const rows = await readOn(together, memory, ids, { given });
      const { read, kept, groups } = memory.cache;
      const bounded = groups.map(({ bounds }) => bounds?.store.layout.members);
      memory.dispose();
      return { rows, read, kept, bounded };
    };
    const all = await logits("duo:one,sinks:4,recent:20,read=quest:48,dense=0");
    expect(all.rows).toEqual((await logits("full,read=quest:48,dense=0")).rows);
    const mixed = await logits("duo:mixed,sinks:4,recent:20,read=quest:48,dense=1");
    expect([mixed.read, mixed.kept]).toEqual([32 + 6, 150]);
    const heads = gates
      .get("mixed")
      ?.layers.slice(1)
      .flat()
      .filter((gate) => gate >= 0.5).length;
    expect([...mixed.bounded].sort()).toEqual([heads, undefined]);
    expect(mixed.rows).not.toEqual((await logits("duo:mixed,sinks:4,recent:20")).rows);
  });

  it("finds a needle that was written long ago, and nothing that is not chosen", async () => {
    const shape = { layer: 0, heads: 4, kvHeads: 2, keyWidth: 8, valueWidth: 4, scale: 1 / Math.sqrt(8) };
    const step = new Step(backend, { attention: [shape] });
    const shapes = { attention: [shape], recurrent: [], cross: [], encoder: [] };
    const random = new Random(5);
    for (const needle of [17, 150, 298, 471]) {
      const policy = parsePolicy("full,read=quest:64,dense=0");
      const memory = new SequenceMemory(backend, shapes, { policy, keyType: "f16", valueType: "f16", limit: 600 });
      const direction = Float32Array.from({ length: 8 }, () => random.double() * 2 - 1);
      const attend = async (count: number, origin: Origin) => {
        backend.beginStep();
        const start = memory.seen;
        memory.begin(count, origin);
        step.begin([{ start: 0, count, state: memory }]);
        const numbers = (columns: number, of: (row: number, column: number) => number) =>
          backend.tensor(
            backend.input(
              Float32Array.from({ length: count * columns }, (_, i) => of(Math.floor(i / columns), i % columns)),
            ),
            count,
            columns,
          );
        const q = numbers(32, (_, column) => 9 * direction[column % 8]);
        const k = numbers(16, (row, column) =>
          start + row === needle ? 9 * direction[column % 8] : random.double() * 0.2 - 0.1,
        );
        const v = numbers(8, (row, column) => (start + row === needle ? column : 0));
        const out = backend.empty(count, 16);
        step.attention(0).attend(backend, { q, k, v, out });
        const found = (await backend.read(out)).slice();
        memory.collected();
        return found;
      };
      await attend(500, "given");
      const found = await attend(1, "written");
      expect(memory.cache.read).toBe(3 * 16 + 5);
      const expected = Array.from({ length: 16 }, (_, i) => (i % 4) + 4 * Math.floor(i / 8));
      for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i], 2);
      memory.dispose();
    }
  });

  it("under auto and sinks:system has the bits of the sinks and window that they come to", async () => {
    const together = open({ ...SMALL, layers: 3 });
    const ids = randomIds(200, SMALL.vocabulary, 6);
    const rows = async (text: string, system = 0) => {
      const memory = together.open({ policy: parsePolicy(text) });
      if (system > 0) memory.cache.messages = { system: { start: 0, end: system }, starts: [] };
      const found = await readOn(together, memory, ids, { given: 150 });
      const { read, kept } = memory.cache;
      memory.dispose();
      return { found, read, kept };
    };
    for (const reading of ["read=quest:64", "read=quest:64,dense=0", "read=quest:70,dense=1"]) {
      const window = await rows(`sinks:4,recent:116,${reading}`);
      expect([window.read <= 70, window.kept]).toEqual([true, 120]);
      expect(await rows(`auto:120,${reading}`)).toEqual(window);
      expect(await rows(`sinks:system,recent:116,${reading}`)).toEqual(window);
      const longer = await rows(`sinks:21,recent:100,${reading}`);
      expect([longer.read <= 70, longer.kept]).toEqual([true, 121]);
      expect(await rows(`sinks:system,recent:100,${reading}`, 21)).toEqual(longer);
    }
  });

  it("takes no memory and no more commands or uploads with every token that it writes", async () => {
    const together = open({ ...SMALL, layers: 4 });
    const memory = together.open({ policy: parsePolicy("sinks:20,recent:130,read=quest:70,dense=1") });
    await together.read(memory, randomIds(400, SMALL.vocabulary, 1), [60]);
    const ids = randomIds(60, SMALL.vocabulary, 2);
    for (let i = 0; i < 20; i++) await written(together, memory, ids.subarray(i, i + 1));
    const taken = backend.memoryBytes;
    const inputs = vi.spyOn(backend, "input");
    const counts = new Set<number>();
    for (let i = 20; i < 60; i++) {
      inputs.mockClear();
      await written(together, memory, ids.subarray(i, i + 1));
      counts.add(inputs.mock.calls.length);
      // The reference has no slabs.
      if (name === "wasm") expect(backend.memoryBytes).toBe(taken);
    }
    // The token, the spans, the angles of keys and of the query of the sinks.
    expect([...counts]).toEqual([4]);
    inputs.mockRestore();
    memory.dispose();
  });

  it("takes the memory of keys, values and bounds, as planned", async () => {
    const together = open({ ...SMALL, layers: 3 });
    const { attention } = together.decoder.shapes;
    for (const tokens of [15, 16, 17, 256, 257]) {
      const kind = { policy: parsePolicy("full,read=quest:32,dense=1"), keyType: "f16", valueType: "f16" } as const;
      const memory = together.open(kind);
      await together.read(memory, randomIds(tokens, SMALL.vocabulary, 1), [100]);
      const layout = { members: 6, keyWidth: 8, valueWidth: 8, ...kind };
      const pages = Math.ceil(tokens / 16);
      const bytes =
        pages * backend.kvPageBytes(layout) +
        Math.ceil(tokens / 256) * backend.kvPageBytes(boundsLayout({ ...layout, members: 4 }));
      expect(memory.usedBytes).toBe(bytes);
      expect(kvCacheBytes(backend, attention, kind, { tokens, chunk: 100, limit: tokens })).toBe(bytes);
      memory.dispose();
    }
    // Under a window blocks go with the last of their pages.
    for (const text of ["recent:100,evict=9,read=quest:40,dense=0", "sinks:20,recent:130,read=quest:70"]) {
      const kind = { policy: parsePolicy(text), keyType: "f32", valueType: "q8" } as const;
      const memory = together.open(kind);
      const extent = { tokens: kind.policy.budget ?? 0, chunk: 40 };
      const planned = kvCacheBytes(backend, attention, kind, extent);
      for (let read = 0; read < 560; read += 40) {
        await together.read(memory, randomIds(40, SMALL.vocabulary, read));
        expect(memory.usedBytes).toBeLessThanOrEqual(planned);
      }
      const [{ bounds, held }] = memory.cache.groups;
      const blocks = new Set(
        held.flatMap(({ first, count }) => pagesOf(first, (first + count) * 16)).map((p) => p >> 4),
      );
      expect(bounds?.bytes).toBe(blocks.size * (bounds?.store.pageBytes ?? 0));
      memory.dispose();
    }
  });
});

async function restore(from: SequenceMemory, to: SequenceMemory): Promise<void> {
  const facts = memoryFacts(from);
  const pieces: Uint8Array[] = [];
  await writeMemory(from, facts, { put: (piece) => void pieces.push(piece.slice()) });
  const bytes = Buffer.concat(pieces);
  expect(bytes.length).toBe(memoryBytes(from, facts));
  let at = 0;
  const take = (count: number) => {
    at += count;
    return bytes.subarray(at - count, at);
  };
  readMemory(to, facts, { take });
}
