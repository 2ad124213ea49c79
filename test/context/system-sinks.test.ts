/** Whole turns are kept and dropped: the arithmetic against a literal list of them, models against the literal cache. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { systemRetention } from "../../src/context/policies/system-sinks.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { cutMessages, type MessageStart, NO_MESSAGES, type TextMessages } from "../../src/context/text-messages.js";
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
  const starts: MessageStart[] = [];
  for (const { role, length } of messages) {
    if (role === "system") system = { start: at, end: at + length };
    else starts.push({ at, answer: role === "assistant", turn: role === "user" });
    at += length;
  }
  return { system, starts };
}

const LENGTH = fc.integer({ min: 1, max: 25 });

/** Turns of a document, a question and an answer, before which tools may be called; the model may speak first. */
const CONVERSATION = fc
  .record({
    system: fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }),
    greeting: fc.option(LENGTH, { nil: undefined, freq: 4 }),
    turns: fc.array(fc.record({ question: LENGTH, answer: LENGTH, calls: fc.array(LENGTH, { maxLength: 3 }) }), {
      minLength: 1,
      maxLength: 6,
    }),
    documents: fc.boolean(),
    tools: fc.boolean(),
  })
  .map(({ system, greeting, turns, documents, tools }) => {
    const messages: LiteralMessage[] = system === undefined ? [] : [{ role: "system", length: system }];
    if (greeting !== undefined) messages.push({ role: "assistant", length: greeting });
    turns.forEach(({ question, answer, calls }, i) => {
      if (documents && i % 2 === 1) messages.push({ role: "user", length: 1 + (question % 7) });
      messages.push({ role: "user", length: question });
      for (const length of tools ? calls : []) {
        messages.push({ role: "assistant", length: 1 + (length % 5) }, { role: "tool", length });
      }
      messages.push({ role: "assistant", length: answer });
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

  it("holds no half turn but the newest, and no half message but the newest of that, with its answer", () => {
    fc.assert(
      fc.property(CONVERSATION, fc.integer({ min: 1, max: 60 }), (messages, recent) => {
        const { system, starts } = divided(messages);
        const retention = systemRetention({ messages: { system, starts } }, recent, "cache");
        const length = messages.reduce((sum, one) => sum + one.length, 0);
        for (let t = 0; t < length; t++) {
          const begun = starts.filter(({ at }) => at <= t);
          const visible = new Set(positions(retention.visible(t)));
          const wholeOrGone = (from: number, end: number, what: string) => {
            // The first four tokens of the text stay, whosoever they are.
            const own = Array.from({ length: end - from }, (_, j) => from + j).filter((one) => one >= 4);
            expect([0, own.length], `${what} at ${t}`).toContain(own.filter((one) => visible.has(one)).length);
          };
          const turns = begun.filter(({ turn }, i) => turn || i === 0);
          for (const [i, { at }] of turns.slice(0, -1).entries()) wholeOrGone(at, turns[i + 1].at, `turn ${i}`);
          const newest = begun.length > 1 && begun[begun.length - 1].answer ? begun.length - 2 : begun.length - 1;
          for (const [i, { at }] of begun.slice(0, Math.max(0, newest)).entries())
            wholeOrGone(at, begun[i + 1].at, `message ${i}`);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("keeps the results of tools with their question, and lets go of whole messages where the newest turn is too long", () => {
    const messages = (
      [
        ["user", 5],
        ["assistant", 6],
        ["tool", 7],
        ["assistant", 2],
        ["user", 5],
        ["assistant", 6],
        ["tool", 7],
        ["assistant", 12],
      ] as const
    ).map(([role, length]) => ({ role, length }));
    const newestPart = (recent: number, t: number) =>
      systemRetention({ messages: divided(messages) }, recent, "cache")
        .visible(t)
        .at(-1)?.start;
    // Position 20 begins the second turn: with room for 24 tokens the first is held until its first token does not fit.
    expect([newestPart(24, 27), newestPart(24, 28)]).toEqual([0, 20]);
    // That turn has 30 tokens: it loses its question, then the call; what the answer answers goes last, token by token.
    expect([43, 44, 48, 49, 49 + 1].map((t) => newestPart(24, t))).toEqual([20, 25, 25, 31, 31]);
    expect([newestPart(18, 48), newestPart(18, 49)]).toEqual([31, 32]);
  });

  it("goes by messages where all are told to be turns, as those of sessions saved before are", () => {
    const { system, starts } = divided([10, 6, 5, 6, 5].map((length) => ({ role: "user", length })));
    const old = { system, starts: starts.map(({ at }, i) => ({ at, answer: i % 2 === 1, turn: true })) };
    const retention = systemRetention({ messages: old }, 20, "cache");
    expect([23, 24, 25].map((t) => retention.visible(t).at(-1)?.start)).toEqual([0, 10, 10]);
    expect(retention.visible(31).at(-1)).toEqual({ start: 16, end: 32 });
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
    const messages = { system: { start: 30, end: 40 }, starts: [{ at: 40, answer: false, turn: true }] };
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
    starts: [5, 9, 20, 31].map((at) => ({ at, answer: false, turn: true })),
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
