/** Chats under `sinks:system,recent:N`: which messages are held after each turn, against a literal list of them. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChatMessageInput, GenerateOptions, Part, Session } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { LocalSession } from "../../src/engine/session/local-session.js";
import { MemoryError, PolicyError } from "../../src/util/errors.js";
import { type LiteralMessage, literalMessages } from "../support/literal-messages.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { loadAs, MODES } from "./channel-thread.js";

/** The id of <|im_start|>. */
const START = 3;
const ROLES = ["user", "assistant", "tool"] as const;
const SYSTEM = { role: "system", content: "the an on in the" } as const;
const user = (content: string) => ({ role: "user", content }) as const;
/** Whatever it would say, it writes as many tokens as it may. */
const answer = (maxTokens: number): GenerateOptions => ({
  temperature: 0,
  maxTokens,
  logitBias: { 4: -100, 2: -100, 3: -100 },
});

let model: LocalModel;
beforeAll(async () => {
  model = await loadLocal(tinyFile({ metadata: { "llama.context_length": 128 } }), { threads: 1 });
});
afterAll(() => model.dispose());

async function all(parts: AsyncIterable<Part>): Promise<string> {
  let text = "";
  for await (const part of parts) text += part.text;
  return text;
}

/** A session and the ids that it has read. */
class Watched {
  ids: number[] = [];

  constructor(readonly session: LocalSession) {
    const { text } = session;
    const read = text.read.bind(text);
    text.read = (ids, wanted, use, options) => {
      const used: typeof use = (logits, count) => {
        this.ids.push(...ids.subarray(0, count));
        return use(logits, count);
      };
      return read(ids, wanted, used, options);
    };
    const forget = text.forget.bind(text);
    text.forget = () => {
      this.ids = [];
      forget();
    };
  }

  /** Positions that are visible to the newest token. */
  get held(): number[] {
    const { usage, text } = this.session;
    const [group] = text.reader.memory.cache.groups;
    return group
      .visible(usage.seen - 1)
      .flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
  }

  /** The messages of the text as its special tokens say: from one <|im_start|> to the next; the first has what is before it. */
  get messages(): LiteralMessage[] {
    const { ids } = this;
    const starts = ids.flatMap((id, at) => (id === START ? [at] : []));
    return starts.map((at, i) => {
      const end = starts[i + 1] ?? ids.length;
      const [, role] =
        model.tokenizer
          .decode(ids.slice(at, at + 16), { special: true })
          .match(/^<\|im_start\|>\s?(system|user|assistant|tool)/) ?? [];
      const known = ROLES.find((one) => one === role) ?? "system";
      return { role: known, length: end - (i === 0 ? 0 : at) };
    });
  }
}

function open(context: string, options = {}): Watched {
  const session = model.session({ context, ...options });
  if (!(session instanceof LocalSession)) throw new Error("The engine is in place.");
  return new Watched(session);
}

/** That exactly those messages are held that a literal list would hold. */
function expectHeld(watched: Watched, recent: number): void {
  const { messages, ids, held } = watched;
  expect(ids).toHaveLength(watched.session.usage.seen);
  expect(held).toEqual(literalMessages(messages, recent)[ids.length - 1]);
}

/** Said from the first eviction on. */
const PASSED = expect.stringMatching(/^The conversation has passed what sinks:system,recent:/);

const WORDS = ["the", "an on", "the in an on the", "on", "the the the an on in the an on", "in", "an", "on the an"];

describe("a chat under sinks:system,recent:N", () => {
  it.each([
    ["a system message", [SYSTEM], 80],
    ["one that is longer than all others may be", [{ role: "system", content: "the an on in ".repeat(12) }], 60],
    ["no system message", [], 70],
    ["two messages and an answer in the first call", [SYSTEM, user("an"), { role: "assistant", content: "on" }], 80],
    ["a window that holds hardly a question", [SYSTEM], 12],
  ] as const)("with %s holds what a literal list of messages holds, after every turn", async (_, before, recent) => {
    for (const chunk of [256, 7]) {
      const watched = open(`sinks:system,recent:${recent}`, { chunk });
      const { session } = watched;
      let evicted = 0;
      for (const [i, words] of WORDS.entries()) {
        const added: ChatMessageInput[] = [...(i === 0 ? before : []), user(words)];
        await all(session.chat(added, answer(3 + 2 * (i % 4))));
        expectHeld(watched, recent);
        evicted = session.usage.evicted;
      }
      expect(evicted).toBeGreaterThan(0);
      expect(session.messages.filter(({ role }) => role === "assistant")).toHaveLength(
        WORDS.length + before.filter(({ role }) => role !== "system").length / 2,
      );
      await session.dispose();
    }
  });

  it.each([40, 70, 110, 160])(
    "with results of tools holds whole turns, and of one that is too long whole messages: %i",
    async (recent) => {
      const watched = open(`sinks:system,recent:${recent}`);
      const { session } = watched;
      let brokenTurns = 0;
      for (const [i, words] of WORDS.entries()) {
        const call = [
          user(words),
          { role: "assistant", content: "in" },
          { role: "tool", content: "on the an" },
        ] as const;
        await all(session.chat([...(i === 0 ? [SYSTEM] : []), ...(i % 3 === 1 ? call : [user(words)])], answer(4)));
        expectHeld(watched, recent);
        // The model asks for a tool itself, whose result comes as a turn of its own.
        if (i % 3 === 2) await all(session.chat([{ role: "tool", content: words }], answer(6)));
        expectHeld(watched, recent);
        const { starts } = session.text.messages;
        const oldest = watched.held.find((at) => at >= session.usage.sinks);
        if (starts.some(({ at, turn }) => at === oldest && !turn)) brokenTurns++;
      }
      expect(session.usage.evicted).toBeGreaterThan(0);
      if (recent > 100) expect(brokenTurns).toBe(0);
      await session.dispose();
    },
  );

  it("counts and tells what it holds", async () => {
    const { session } = open("sinks:system,recent:60");
    expect(session.notes).toEqual([]);
    for (const words of WORDS) await all(session.chat([...(words === "the" ? [SYSTEM] : []), user(words)], answer(6)));
    const { seen, kept, evicted, horizon, sinks } = session.usage;
    expect(evicted).toBe(seen - kept);
    expect(kept - sinks).toBe(horizon);
    expect(horizon).toBeLessThanOrEqual(60);
    expect(sinks).toBe(session.text.messages.system?.end);
    expect(session.notes).toEqual([PASSED]);
    await session.dispose();
  });

  it("writes the same after it was saved and restored between turns, and its snapshot says where messages lie", async () => {
    const straight = open("sinks:system,recent:70");
    let session: Session = model.session({ context: "sinks:system,recent:70" });
    for (const [i, words] of WORDS.entries()) {
      const added = [...(i === 0 ? [SYSTEM] : []), user(words)];
      const expected = await all(straight.session.chat(added, answer(5)));
      expect(await all(session.chat(added, answer(5)))).toBe(expected);
      const bytes = await session.save();
      await session.dispose();
      session = await model.restore(bytes);
      if (!(session instanceof LocalSession)) throw new Error("The engine is in place.");
      expect(session.text.messages).toEqual(straight.session.text.messages);
      expect(session.usage.kept).toBe(straight.session.usage.kept);
    }
    await session.dispose();
    await straight.session.dispose();
  });

  it("of which several lie in one token is saved and restored", async () => {
    const template = "{% for m in messages %}{{ m.content }}{% endfor %}";
    const metadata = { "llama.context_length": 128, "tokenizer.chat_template": template };
    const joined = await loadLocal(tinyFile({ metadata }), { threads: 1 });
    const session = joined.session({ context: "sinks:system,recent:30" });
    // Of "t" and "h" the tokenizer makes "th", so that "h" begins where "t" does.
    await all(session.chat([user("an t"), user("h"), user("e an")], answer(3)));
    const restored = await joined.restore(await session.save());
    expect(await all(restored.chat("on", answer(4)))).toBe(await all(session.chat("on", answer(4))));
    await joined.dispose();
  });

  it("a turn that is cancelled in its answer ends there, and the next is held as any other", async () => {
    const watched = open("sinks:system,recent:60");
    const { session } = watched;
    for (const [i, words] of WORDS.entries()) {
      const control = new AbortController();
      let parts = 0;
      const options = { ...answer(20), signal: control.signal };
      for await (const _ of session.chat([...(i === 0 ? [SYSTEM] : []), user(words)], options)) {
        if (++parts === 3) control.abort();
      }
      expectHeld(watched, 60);
    }
    await session.dispose();
  });

  it("a turn that is given up before it is read leaves all as it was; one that was read in part is read anew", async () => {
    const watched = open("sinks:system,recent:60", { chunk: 4 });
    const { session } = watched;
    await all(session.chat([SYSTEM, user("the")], answer(4)));
    const before = session.text.messages;
    const stopped = new AbortController();
    stopped.abort();
    await all(session.chat("an on", { ...answer(4), signal: stopped.signal }));
    expect(session.text.messages).toEqual(before);
    const control = new AbortController();
    const onPrefill = () => control.abort();
    await all(session.chat("an on in the an on", { ...answer(4), signal: control.signal, onPrefill }));
    const { starts } = session.text.messages;
    expect(starts.every(({ at }) => at < session.usage.seen)).toBe(true);
    await all(session.chat("in", answer(4)));
    expectHeld(watched, 60);
    expect(session.messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user", "assistant"]);
    await session.dispose();
  });

  it("begins anew with reset, and a fork goes its own way", async () => {
    const watched = open("sinks:system,recent:60");
    const { session } = watched;
    await all(session.chat([SYSTEM, user("the")], answer(4)));
    const { memory } = session.text.reader;
    const forked = memory.fork();
    expect(forked.cache.messages).toEqual(memory.cache.messages);
    memory.cache.messages = { system: null, starts: [] };
    expect(forked.cache.messages.starts).toHaveLength(2);
    forked.dispose();
    await session.reset();
    watched.ids = [];
    expect(session.text.messages).toEqual({ system: null, starts: [] });
    await all(session.chat("an", answer(4)));
    expectHeld(watched, 60);
    expect(session.text.messages.starts).toHaveLength(2);
    await session.dispose();
  });
});

it("a model in a thread of its own says and holds the same", async () => {
  const file = tinyFile({ metadata: { "llama.context_length": 128 } });
  const turns = [...WORDS, "the an on in ".repeat(14)];
  const seen: unknown[] = [];
  for (const mode of MODES) {
    const loaded = await loadAs(mode, file);
    let session = loaded.session({ context: "sinks:system,recent:70" });
    const told: unknown[] = [];
    for (const [i, words] of turns.entries()) {
      const text = await all(session.chat([...(i === 0 ? [SYSTEM] : []), user(words)], answer(5)));
      const { kept, evicted, horizon, sinks } = session.usage;
      told.push({ text, kept, evicted, horizon, sinks, notes: session.notes });
      if (i !== 4) continue;
      const bytes = await session.save();
      await session.dispose();
      session = await loaded.restore(bytes);
    }
    expect(session.notes).toEqual([PASSED, expect.stringMatching(/its beginning was let go/)]);
    seen.push(told);
    await loaded.dispose();
  }
  expect(seen[1]).toEqual(seen[0]);
});

describe("notes", () => {
  it("tell of a text without messages", async () => {
    const { session } = open("sinks:system,recent:20");
    await all(session.generate("the an on", { temperature: 0, maxTokens: 40, ignoreEnd: true }));
    expect(session.notes).toEqual([expect.stringMatching(/no messages.*the first 4 and the newest tokens/)]);
    const { seen, kept, sinks } = session.usage;
    expect([seen > 24, kept, sinks]).toEqual([true, 24, 4]);
    await session.dispose();
  });

  it("tell of a system message that is longer than the model was trained for, and of what that leaves", async () => {
    const trained = model.info.trainedContext;
    const { session } = open("sinks:system,recent:40");
    await all(session.chat([{ role: "system", content: "the ".repeat(trained + 5) }, user("an")], answer(1)));
    expect(session.notes).toEqual([expect.stringMatching(/The system message alone has .* trained for/)]);
    await session.dispose();
    const other = open("sinks:system,recent:40");
    await all(other.session.chat([{ role: "system", content: "the ".repeat(trained - 20) }, user("an")], answer(2)));
    expect(other.session.notes).toEqual([expect.stringMatching(/lets the model see .* at once; it was trained for/)]);
    await other.session.dispose();
  });

  it("tell of a message that does not fit, while it is the newest", async () => {
    const { session } = open("sinks:system,recent:24");
    await all(session.chat([SYSTEM, user("the an on in ".repeat(12))], answer(3)));
    expect(session.notes).toEqual([PASSED, expect.stringMatching(/its beginning was let go/)]);
    const { kept, sinks } = session.usage;
    expect(kept).toBe(sinks + 24);
    await all(session.chat("in", answer(3)));
    expect(session.notes).toEqual([PASSED]);
    await session.dispose();
  });

  it("tell of a turn that does not fit, while it is the newest", async () => {
    const { session } = open("sinks:system,recent:60");
    const note = expect.stringMatching(
      /^The newest question, with all that follows it, .* its first messages were let go/,
    );
    await all(session.chat([SYSTEM, user("the an on in the")], answer(4)));
    for (let calls = 0; calls < 6; calls++) {
      expect(session.notes).toEqual(calls > 0 ? [PASSED, note] : []);
      await all(session.chat([{ role: "tool", content: "on the an" }], answer(4)));
    }
    await all(session.chat("in", answer(3)));
    expect(session.notes).toEqual([PASSED]);
    await session.dispose();
  });

  it.each<[string, number]>([
    ["sinks:4,recent:60", 60],
    ["recent:60", 60],
    ["recompute:60", 60],
    ["auto:64", 60],
    ["sinks:20,recent:60", 60],
    ["sinks:64,recent:20", Number.POSITIVE_INFINITY],
    ["full", Number.POSITIVE_INFINITY],
  ])("tell under %s when the system message is lost, and of the policy that keeps it", async (context, recent) => {
    const { session } = open(context);
    const lost = expect.stringMatching(
      /^The system message, or its beginning, is no longer seen: .* sinks:system,recent:N keeps it/,
    );
    const rounds = context === "full" ? 2 : WORDS.length;
    for (const [i, words] of WORDS.slice(0, rounds).entries()) {
      await all(session.chat([...(i === 0 ? [SYSTEM] : []), user(words)], answer(4)));
      const { seen, sinks, evicted } = session.usage;
      const gone = evicted > 0 && seen - recent > sinks;
      const told = session.notes.filter((note) => /system message/.test(note));
      expect(told).toEqual(gone ? [lost] : []);
      const saved = await model.restore(await session.save());
      expect(saved.notes).toEqual(session.notes);
      await saved.dispose();
    }
    if (context !== "full") expect(session.usage.evicted).toBeGreaterThan(0);
    await session.reset();
    expect(session.notes).toEqual([]);
    await all(session.chat([user("the an")], answer(4)));
    for (const words of WORDS.slice(0, rounds)) await all(session.chat(words, answer(4)));
    expect(session.notes.filter((note) => /system message/.test(note))).toEqual([]);
    await session.dispose();
  });

  it("tell once when the oldest turns are let go", async () => {
    for (const [before, stays] of [
      [
        [SYSTEM],
        /what was said first was let go\. The system message of \d+ tokens stays, and the newest .* up to 80 tokens\.$/,
      ],
      [[], /what was said first was let go\. The text begins with no system message: its first 4 tokens stay/],
    ] as const) {
      const { session } = open("sinks:system,recent:80");
      const told = new Set<string>();
      for (const [i, words] of WORDS.entries()) {
        await all(session.chat([...(i === 0 ? before : []), user(words)], answer(4)));
        expect(session.notes).toHaveLength(session.usage.evicted > 0 ? 1 : 0);
        for (const note of session.notes) told.add(note);
      }
      expect([...told]).toEqual([expect.stringMatching(stays)]);
      await session.dispose();
    }
  });

  it("tell of a system message that leaves nothing to choose of what is to be read", async () => {
    for (const [tokens, told] of [
      [64, false],
      [63, true],
    ] as const) {
      const { session } = open(`sinks:system,recent:90,read=quest:${tokens},dense=0`);
      await all(session.chat([SYSTEM, user("the")], answer(3)));
      expect(session.notes).toEqual([]);
      for (const words of WORDS) await all(session.chat(words, answer(5)));
      const { read, kept, sinks } = session.usage;
      expect([sinks > 16, sinks <= 32, read < kept]).toEqual([true, true, !told]);
      const note = expect.stringMatching(
        /^The system message of \d+ tokens, .* leaves nothing to choose of read=quest:63/,
      );
      expect(session.notes).toEqual(told ? [PASSED, note] : [PASSED]);
      await session.dispose();
    }
  });

  it("tell of a chat without a system message once something was let go", async () => {
    const { session } = open("sinks:system,recent:40");
    await all(session.chat("the", answer(3)));
    expect(session.notes).toEqual([]);
    for (const words of WORDS) await all(session.chat(words, answer(5)));
    expect(session.notes).toEqual([expect.stringMatching(/no system message: its first 4 tokens stay/)]);
    await session.dispose();
  });
});

describe("options", () => {
  it.each(["sinks:system,recent:8,evict=2", "sinks:system", "sinks:systems,recent:4", "sinks:system,recent:0"])(
    "%s is refused",
    (context) => {
      expect(() => model.session({ context })).toThrow(PolicyError);
    },
  );

  it("a system message that does not fit into the memory is refused before anything is read", async () => {
    const small = await loadLocal(tinyFile(), { threads: 1, backend: "reference", memoryLimitBytes: 3_500_000 });
    const session = small.session({ context: "sinks:system,recent:20", chunk: 16 });
    await all(session.chat([SYSTEM, user("the")], answer(3)));
    await session.reset();
    const long = { role: "system", content: "the an on in ".repeat(9000) } as const;
    await expect(all(session.chat([long, user("the")], answer(3)))).rejects.toThrow(MemoryError);
    expect(session.usage.seen).toBe(0);
    await all(session.chat([SYSTEM, user("the")], answer(3)));
    expect(session.messages).toHaveLength(3);
    await small.dispose();
  });
});
