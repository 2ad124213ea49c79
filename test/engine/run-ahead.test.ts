/** Through a thread and in place: the same parts, the same usage, and the same text to go on from, wherever a reader leaves. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, Model, Session, Usage } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { loadRemote } from "../../src/engine/thread/remote-model.js";
import { FAMILIES } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { ChannelThread } from "./channel-thread.js";

/** What a reader does after a part. */
type Act = "reads on" | "leaves" | "aborts" | "waits" | "disposes" | "saves";

interface Call {
  readonly kind: "generate" | "chat" | "score";
  /** What happens after the part of this number; nothing, where there are fewer. */
  readonly at: number;
  readonly act: Act;
  readonly options: GenerateOptions;
}

const calls: fc.Arbitrary<Call> = fc.record({
  kind: fc.constantFrom("generate", "generate", "chat", "score"),
  at: fc.integer({ min: 1, max: 45 }),
  act: fc.constantFrom("reads on", "leaves", "aborts", "waits", "saves"),
  options: fc.record({
    maxTokens: fc.integer({ min: 0, max: 60 }),
    temperature: fc.constantFrom(0, 1),
    seed: fc.integer({ min: 0, max: 9 }),
    ignoreEnd: fc.boolean(),
    stop: fc.constantFrom([], [" the the"], ["he", "nine"]),
    repetitionPenalty: fc.constantFrom(1, 1.3),
    frequencyPenalty: fc.constantFrom(0, 0.5),
  }),
});
const CONTEXTS = [
  "auto",
  "full",
  "recent:20",
  "sinks:4,recent:30",
  "sinks:2,recent:40,evict=20",
  "recompute:24",
  "full,read=quest:32,dense=1",
];

/** Without what is measured. */
function plain({ prefillTokensPerSecond: _, decodeTokensPerSecond: __, ...usage }: Usage): Partial<Usage> {
  return usage;
}

/** All that a reader sees of a call. */
async function seen(session: Session, vocabulary: number, { kind, at, act, options }: Call): Promise<unknown[]> {
  const all: unknown[] = [];
  const abort = new AbortController();
  const show = () => all.push([plain(session.usage), [...session.messages], [...session.notes]]);
  const text = "the he an on";
  const parts =
    kind === "chat"
      ? session.chat(text, { ...options, signal: abort.signal })
      : kind === "generate"
        ? session.generate(text, { ...options, signal: abort.signal })
        : session.score(
            Array.from({ length: 30 }, (_, i) => (5 + 7 * i) % vocabulary),
            { every: 2, signal: abort.signal },
          );
  try {
    let count = 0;
    for await (const part of parts) {
      all.push("usage" in part ? { ...part, usage: plain(part.usage), elapsedMs: 0 } : part);
      show();
      if (++count !== at) continue;
      if (act === "leaves") break;
      if (act === "aborts") abort.abort();
      if (act === "waits") await new Promise((resolve) => setTimeout(resolve, 40));
      if (act === "disposes") await session.dispose();
      if (act === "saves") all.push(await session.save().catch(String));
      show();
    }
  } catch (error) {
    all.push(String(error));
  }
  show();
  return all;
}

/** What the session writes after all that. */
async function goesOn(session: Session): Promise<unknown[]> {
  const all: unknown[] = [];
  try {
    for await (const part of session.generate([], {
      temperature: 0,
      maxTokens: 5,
      ignoreEnd: true,
      frequencyPenalty: 1,
      logprobs: 1,
    }))
      all.push(part);
  } catch (error) {
    all.push(String(error));
  }
  return [...all, plain(session.usage)];
}

const files: readonly (readonly [string, string])[] = [
  ["llama", tinyFile({ seed: 3 })],
  ...["mistral", "jamba", "gpt2"].map((name) => {
    const family = FAMILIES.find((one) => one.name === name);
    if (!family) throw new Error(`There is no family ${name}.`);
    return [name, randomGguf(family).path] as const;
  }),
];

describe.each(files)("a session of %s in a thread and in place", (name, file) => {
  let here: Model;
  let there: Model;
  let thread: CountingThread;
  beforeAll(async () => {
    thread = new CountingThread();
    [here, there] = await Promise.all([loadLocal(file, { threads: 1 }), loadRemote(thread, file, { threads: 1 })]);
  });
  afterAll(async () => {
    await Promise.all([here.dispose(), there.dispose()]);
  });

  it("is the same after any calls, wherever they are left or cancelled", { timeout: 120_000 }, async () => {
    const kinds =
      name === "llama"
        ? calls
        : calls.map((call) => ({ ...call, kind: call.kind === "chat" ? ("generate" as const) : call.kind }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...CONTEXTS),
        fc.array(kinds, { minLength: 1, maxLength: 4 }),
        async (context, all) => {
          const distance = name === "gpt2" && !/auto|full|recompute/.test(context) ? ",distance=text" : "";
          const options = { context: context + distance, chunk: 16 };
          const [one, other] = [here.session(options), there.session(options)];
          for (const call of all) {
            const expected = await seen(one, here.info.vocabulary, call);
            expect(await seen(other, here.info.vocabulary, call)).toEqual(expected);
          }
          expect(await goesOn(other)).toEqual(await goesOn(one));
          await Promise.all([one.dispose(), other.dispose()]);
        },
      ),
      { numRuns: 60, seed: 7 },
    );
  });

  it("gives out what was held back when it is cancelled, and the conversation has it", async () => {
    if (name !== "llama") return;
    // Every character may be the beginning of a stop string.
    const stop = Array.from({ length: 256 }, (_, code) => `${String.fromCharCode(code)}\u0001\u0002`);
    for (let at = 1; at < 15; at++) {
      for (const act of ["aborts", "leaves"] as const) {
        const options = { temperature: 1, seed: at, maxTokens: 20, ignoreEnd: true, stop };
        const [one, other] = [here.session(), there.session()];
        const expected = await seen(one, here.info.vocabulary, { kind: "chat", at, act, options });
        expect(await seen(other, here.info.vocabulary, { kind: "chat", at, act, options })).toEqual(expected);
        expect(await goesOn(other)).toEqual(await goesOn(one));
      }
    }
  });

  it("has no answer where the caller failed before the first part", async () => {
    if (name !== "llama") return;
    const own = new Error("mine");
    const sessions = [here.session({ chunk: 4 }), there.session({ chunk: 4 })];
    const found = [];
    for (const session of sessions) {
      const onPrefill = (done: number, total: number) => {
        if (done === total) throw own;
      };
      const answer = session.chat("the he", { temperature: 0, maxTokens: 9, ignoreEnd: true, onPrefill });
      await expect(answer.next()).rejects.toBe(own);
      found.push([session.messages, plain(session.usage), await goesOn(session)]);
    }
    expect(found[0][0]).toEqual([]);
    expect(found[1]).toEqual(found[0]);
  });

  it("ends alike when it is disposed of in the midst", async () => {
    for (const at of [1, 2, 7]) {
      for (const stop of [[], [" the the"]]) {
        const call: Call = {
          kind: "generate",
          at,
          act: "disposes",
          options: { temperature: 0, maxTokens: 20, ignoreEnd: true, stop },
        };
        const [one, other] = [here.session(), there.session()];
        const parts = (all: unknown[]) => all.filter((entry) => !Array.isArray(entry));
        expect(parts(await seen(other, here.info.vocabulary, call))).toEqual(
          parts(await seen(one, here.info.vocabulary, call)),
        );
      }
    }
  });

  it("takes few messages for many parts", async () => {
    const [context, maxTokens] = name === "gpt2" ? ["full", 60] : ["sinks:4,recent:28", 200];
    const session = there.session({ context });
    const options = { temperature: 0, maxTokens, ignoreEnd: true };
    let count = 0;
    const before = thread.messages;
    for await (const _ of session.generate([1], options)) count++;
    expect(count).toBe(maxTokens);
    // Where steps can be taken back: not the states of a state space.
    if (name !== "jamba") expect(thread.messages - before).toBeLessThan(count / 2);
    await session.dispose();
  });
});

/** A thread that counts the messages of both ways. */
class CountingThread extends ChannelThread {
  messages = 0;
  override post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.messages++;
    super.post(message, transfer);
  }
  override onMessage(listener: (message: unknown) => void): void {
    super.onMessage((message) => {
      this.messages++;
      listener(message);
    });
  }
}
