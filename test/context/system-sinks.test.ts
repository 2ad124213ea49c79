/** Whole messages are kept and dropped: the arithmetic against a literal list of messages, models against the literal cache. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { systemRetention } from "../../src/context/policies/system-sinks.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { cutMessages, NO_MESSAGES, type TextMessages } from "../../src/context/text-messages.js";
import type { Backend } from "../../src/tensor/backend.js";
import { totalLength } from "../../src/util/ranges.js";
import { expectLiteral } from "../support/expect-literal.js";
import { type LiteralMessage, literalMessages } from "../support/literal-messages.js";
import { bind, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

/** Where they lie in a text of nothing else. */
function divided(messages: readonly LiteralMessage[]): TextMessages {
  let at = 0;
  let system: TextMessages["system"] = null;
  const starts: { at: number; answer: boolean }[] = [];
  for (const { role, length } of messages) {
    if (role === "system") system = { start: at, end: at + length };
    else starts.push({ at, answer: role === "assistant" });
    at += length;
  }
  return { system, starts };
}

const CONVERSATION = fc
  .record({
    system: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }),
    turns: fc.array(fc.tuple(fc.integer({ min: 1, max: 25 }), fc.integer({ min: 1, max: 25 })), {
      minLength: 1,
      maxLength: 8,
    }),
    documents: fc.boolean(),
  })
  .map(({ system, turns, documents }) => {
    const messages: LiteralMessage[] = system === undefined ? [] : [{ role: "system", length: system }];
    turns.forEach(([question, answer], i) => {
      if (documents && i % 2 === 1) messages.push({ role: "user", length: 1 + (question % 7) });
      messages.push({ role: "user", length: question }, { role: "assistant", length: answer });
    });
    return messages;
  });

const positions = (ranges: readonly { start: number; end: number }[]) =>
  ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));

describe("what is visible", () => {
  it("is what a literal list of messages holds", () => {
    fc.assert(
      fc.property(CONVERSATION, fc.integer({ min: 1, max: 60 }), (messages, recent) => {
        const retention = systemRetention({ messages: divided(messages) }, recent, "cache");
        literalMessages(messages, recent).forEach((held, t) => {
          const ranges = retention.visible(t);
          expect(positions(ranges), `at ${t}`).toEqual(held);
          expect(ranges.every(({ start }, i) => i === 0 || start > ranges[i - 1].end)).toBe(true);
          expect(totalLength(ranges)).toBeLessThanOrEqual(retention.budget ?? 0);
        });
      }),
      { numRuns: 150 },
    );
  });

  it("holds no half message but the newest, with its answer, whatever happens", () => {
    fc.assert(
      fc.property(CONVERSATION, fc.integer({ min: 1, max: 60 }), (messages, recent) => {
        const { system, starts } = divided(messages);
        const retention = systemRetention({ messages: { system, starts } }, recent, "cache");
        const length = messages.reduce((sum, one) => sum + one.length, 0);
        for (let t = 0; t < length; t++) {
          const begun = starts.filter(({ at }) => at <= t);
          const newest = begun.length > 1 && begun[begun.length - 1].answer ? begun.length - 2 : begun.length - 1;
          const visible = new Set(positions(retention.visible(t)));
          for (const [i, { at }] of begun.slice(0, Math.max(0, newest)).entries()) {
            // The first four tokens of the text stay, whosoever they are.
            const own = Array.from({ length: begun[i + 1].at - at }, (_, j) => at + j).filter((one) => one >= 4);
            const held = own.filter((one) => visible.has(one)).length;
            expect([0, own.length], `message ${i} at ${t}`).toContain(held);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it("never comes back once it is gone", () => {
    fc.assert(
      fc.property(CONVERSATION, fc.integer({ min: 1, max: 60 }), (messages, recent) => {
        const retention = systemRetention({ messages: divided(messages) }, recent, "cache");
        const length = messages.reduce((sum, one) => sum + one.length, 0);
        for (let t = 1; t < length; t++) {
          const before = new Set(positions(retention.visible(t - 1)));
          for (const one of positions(retention.visible(t))) expect(one === t || before.has(one)).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("without messages is that of four sinks and a window", () => {
    const [retention, window] = [
      systemRetention({ messages: NO_MESSAGES }, 20, "cache"),
      parsePolicy("sinks:4,recent:20").headSets(0, 1)[0].retention,
    ];
    for (let t = 0; t < 100; t++) expect(retention.visible(t)).toEqual(window.visible(t));
  });

  it("of a system message behind other text has both, and the first tokens", () => {
    const messages = { system: { start: 30, end: 40 }, starts: [{ at: 40, answer: false }] };
    const retention = systemRetention({ messages }, 20, "cache");
    expect(retention.visible(45)).toEqual([
      { start: 0, end: 4 },
      { start: 30, end: 46 },
    ]);
    expect(retention.visible(65)).toEqual([
      { start: 0, end: 4 },
      { start: 30, end: 40 },
      { start: 46, end: 66 },
    ]);
    expect([retention.sinks, retention.budget]).toEqual([4, 34]);
  });
});

test("messages that were not read, or are long gone, are left out", () => {
  const messages = {
    system: { start: 0, end: 5 },
    starts: [5, 9, 20, 31].map((at) => ({ at, answer: false })),
  };
  const at = (first: number, end: number) => cutMessages(messages, first, end).starts.map((start) => start.at);
  expect(at(0, 40)).toEqual([5, 9, 20, 31]);
  expect(at(9, 31)).toEqual([9, 20]);
  expect(at(19, 40)).toEqual([9, 20, 31]);
  expect(at(90, 100)).toEqual([31]);
  expect(cutMessages(messages, 0, 3)).toEqual({ system: null, starts: [] });
});

describe.each([
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 2 },
] as const)("on $name", ({ name, threads }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
  });
  afterAll(() => backend.dispose());

  it("models see what the literal cache has, whatever the chunks, the positions and the window", async () => {
    const arbitrary = fc.record({
      messages: CONVERSATION,
      recent: fc.integer({ min: 1, max: 60 }),
      inText: fc.boolean(),
      seed: fc.nat(),
      positions: fc.constantFrom(undefined, "none" as const, "alibi" as const),
      scaling: fc.constantFrom({ kind: "none" as const }, { kind: "dynamic" as const, factor: 2, originalContext: 24 }),
      window: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
      chunks: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ messages, recent, inText, seed, scaling, window, chunks, ...more }) => {
        const model = randomModel({ ...SMALL, ...more, rope: { scaling }, ...(window && { window }) }, seed);
        const together = new Together(backend, bind(model, backend));
        const policy = parsePolicy(`sinks:system,recent:${recent}${inText ? ",distance=text" : ""}`);
        const memory = together.open({ policy });
        memory.cache.messages = divided(messages);
        const held = literalMessages(messages, recent);
        const ids = randomIds(held.length, SMALL.vocabulary, seed);
        const got = await together.read(memory, ids, chunks);
        const { kept, sinks } = memory.cache;
        if (!window) expect(kept).toBe(held[held.length - 1].length);
        if (!window && kept < held.length) {
          expect(sinks).toBe(Math.max(4, messages[0].role === "system" ? messages[0].length : 0));
        }
        memory.dispose();
        const sets = held.map((one) => new Set(one));
        const everything = { sinks: 0, recent: 1_000_000, evict: 1, inText };
        expectLiteral(got, model, ids, { ...everything, stays: (t, j) => sets[t].has(j) });
      }),
      { numRuns: name === "reference" ? 10 : 30 },
    );
  });
});
