/** Options that make no sense for a model are refused with the reason; what works in part is said; the rest works. */
import { afterAll, describe, expect, it } from "vitest";
import type { Part, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { fitTraits } from "../../src/engine/session/policy-fit.js";
import { ArgumentError, ContextFullError, PolicyError, UnsupportedError } from "../../src/util/errors.js";
import { type Family, familyNamed } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";

const open: LocalModel[] = [];
afterAll(async () => {
  for (const model of open) await model.dispose();
});

async function loaded(family: string | Family, backend: "reference" | "wasm" = "reference"): Promise<LocalModel> {
  const { path } = randomGguf(typeof family === "string" ? familyNamed(family) : family);
  const model = await loadLocal(path, { backend, threads: 1 });
  open.push(model);
  return model;
}

const ids = (count: number) => Array.from({ length: count }, (_, i) => 3 + ((i * 7) % 30));

async function write(session: Session, prompt: string | number[], maxTokens = 3): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of session.generate(prompt, { temperature: 0, ignoreEnd: true, maxTokens })) parts.push(part);
  return parts;
}

describe("pure Mamba", () => {
  it.each(["sinks:4,recent:20", "recent:20", "sinks:4,recent:20,distance=text"])("refuses %s", async (context) => {
    const model = await loaded("mamba");
    const message = `"${context}" makes no sense for mamba: it has no attention`;
    expect(() => model.session({ context })).toThrow(PolicyError);
    expect(() => model.session({ context })).toThrow(message);
  });

  it("has no limit under full: it reads on beyond any context length, in the same memory", async () => {
    const model = await loaded("mamba2");
    const session = model.session({ contextLength: 32 });
    expect(session.notes).toEqual([]);
    await write(session, ids(10));
    const { cacheBytes } = session.usage;
    await write(session, ids(300));
    expect(session.usage).toMatchObject({ seen: 315, kept: 315, horizon: null, cacheBytes });
  });

  it("may be read again", async () => {
    const session = (await loaded("mamba")).session({ context: "recompute:8" });
    await write(session, ids(20));
    expect(session.usage).toMatchObject({ seen: 22, kept: 8, horizon: 8 });
  });
});

describe("Jamba", () => {
  it("says that a policy applies to some layers, and keeps its memory", async () => {
    const model = await loaded("jamba");
    expect(model.session().notes).toEqual([]);
    expect(model.session({ context: "recompute:8" }).notes).toEqual([]);
    const session = model.session({ context: "sinks:4,recent:20", chunk: 16 });
    expect(session.notes).toEqual([
      "sinks:4,recent:20 applies to the layers with attention, 1 of 3; the others keep a state of constant size.",
    ]);
    await write(session, ids(100));
    const { cacheBytes } = session.usage;
    for (let i = 0; i < 5; i++) await write(session, ids(80));
    expect(session.usage.cacheBytes).toBeLessThanOrEqual(cacheBytes);
    expect(session.usage).toMatchObject({ kept: 24, horizon: 20, sinks: 4 });
  });

  it("takes nothing for its states where a backend cannot have its heads", async () => {
    const jamba = familyNamed("jamba");
    const model = await loaded({ ...jamba, keys: { ...jamba.keys, embedding_length: 30 } }, "wasm");
    const before = model.runner.backend.memoryBytes;
    const session = model.session();
    await expect(write(session, ids(3))).rejects.toThrow(UnsupportedError);
    await session.dispose();
    expect(model.runner.backend.memoryBytes).toBe(before);
  });

  it("has a limit under full, for its attention", async () => {
    const session = (await loaded("jamba")).session({ contextLength: 32 });
    await expect(write(session, ids(33))).rejects.toThrow(ContextFullError);
  });
});

describe.each(["gpt2", "starcoder", "sluice, learned"])("learned positions of %s", (family) => {
  it.each<[SessionOptions, string]>([
    [{ context: "sinks:4,recent:20" }, "cannot be moved. Add distance=text (for up to 64 tokens), or use recompute:N."],
    [{ context: "recent:20" }, "cannot be moved"],
    [{ context: "recompute:65" }, 'embeddings for 64 positions; "recompute:65" needs 65.'],
  ])("refuse %j", async (options, message) => {
    const model = await loaded(family);
    expect(() => model.session(options)).toThrow(PolicyError);
    expect(() => model.session(options)).toThrow(message);
  });

  it("refuse a context that is longer than their table", async () => {
    const model = await loaded(family);
    expect(() => model.session({ contextLength: 65 })).toThrow(ArgumentError);
    expect(() => model.session({ contextLength: 65 })).toThrow("contextLength is 65");
    expect(() => model.session({ contextLength: 64 })).not.toThrow();
  });

  it("end with their table, also where tokens are freed, but not where the newest are read again", async () => {
    const model = await loaded(family);
    for (const context of ["full", "sinks:4,recent:20,distance=text"]) {
      const session = model.session({ context });
      expect(session.notes).toEqual([]);
      await write(session, ids(60));
      const error = await write(session, ids(10)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ContextFullError);
      expect(error).toMatchObject({ details: { limit: 64, seen: 62, needed: 73, positions: 64 } });
      await write(session, [], 2);
      expect(session.usage.seen).toBe(64);
    }
    const session = model.session({ context: "recompute:64" });
    await write(session, ids(100));
    expect(session.usage).toMatchObject({ seen: 102, kept: 64 });
  });

  it("advises what the model does not refuse where contextLength is full", async () => {
    const session = (await loaded(family)).session({ contextLength: 20 });
    const error = await write(session, ids(30)).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ContextFullError);
    expect(String(error)).toContain("the limit is 20");
    expect(String(error)).toContain("Use recompute:64");
    expect(String(error)).not.toContain("sinks");
  });
});

describe("sinusoidal positions", () => {
  const FAMILY = "sluice, sinusoidal with sinks";

  it.each(["sinks:4,recent:20", "recent:20", "recent:20,evict=3"])("refuse %s, and name no limit", async (context) => {
    const model = await loaded(FAMILY);
    expect(model.info).toMatchObject({ positions: null, fixedPositions: true });
    expect(() => model.session({ context })).toThrow(PolicyError);
    expect(() => model.session({ context })).toThrow(
      `"${context}" counts distances in the cache, but the positions of this sluice model are sinusoidal and part of what ` +
        "each token is: they cannot be moved. Add distance=text, or use recompute:N.",
    );
  });

  it("have no end: neither a context nor what is read again is too long, and streaming goes on", async () => {
    const model = await loaded(FAMILY);
    expect(() => model.session({ contextLength: 1000 })).not.toThrow();
    expect(() => model.session({ context: "recompute:1000" })).not.toThrow();
    const session = model.session({ context: "sinks:4,recent:20,distance=text" });
    expect(session.notes).toEqual([]);
    await write(session, ids(150));
    expect(session.usage).toMatchObject({ seen: 152, kept: 24 });
  });
});

it.each([
  "sluice, window and sinks",
  "sluice, alibi with sinks",
  "sluice, relative with a window",
  "sluice, no positions",
])("what adds no position to its tokens may move them: %s", async (family) => {
  const model = await loaded(family);
  expect(model.info).toMatchObject({ positions: null, fixedPositions: false });
  expect(() => model.session({ context: "sinks:4,recent:20" })).not.toThrow();
});

describe("a source", () => {
  it("is refused where there is no encoder", async () => {
    const model = await loaded("llama");
    expect(() => model.session({ source: "a b" })).toThrow(ArgumentError);
    expect(() => model.session({ source: ids(3) })).toThrow("llama has no encoder");
  });

  it("is the first prompt of T5, and there is no second", async () => {
    const session = (await loaded("t5")).session();
    await write(session, ids(9));
    await expect(write(session, ids(3))).rejects.toThrow(/has read its source. Go on with an empty prompt/);
    expect(await write(session, [])).toHaveLength(3);
    await session.reset();
    expect(await write(session, ids(4))).toHaveLength(3);
  });

  it("may be given with the session; then prompts are the decoder's", async () => {
    const model = await loaded("t5");
    const first = model.session();
    const second = model.session({ source: ids(9) });
    expect(await write(second, "")).toEqual(await write(first, ids(9)));
    expect(await write(second, ids(3))).toHaveLength(3);
    const other = model.session({ source: ids(10) });
    expect(await write(other, "", 9)).not.toEqual(await write(model.session({ source: ids(9) }), "", 9));
  });

  it("is needed, not empty, and no longer than the encoder reads", async () => {
    const model = await loaded("t5");
    await expect(model.session().score(ids(3)).next()).rejects.toThrow(/give the session's source/);
    await expect(write(model.session(), [])).rejects.toThrow(/source is empty/);
    const error = await write(model.session(), ids(65)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ContextFullError);
    expect(error).toMatchObject({ details: { option: "source", limit: 64 } });
    expect(await write(model.session(), ids(64))).toHaveLength(3);
  });

  it("is not read once the caller has cancelled", async () => {
    const session = (await loaded("t5")).session({ source: ids(9) });
    const signal = AbortSignal.abort();
    const parts = [];
    for await (const part of session.generate("", { signal })) parts.push(part);
    expect(parts).toEqual([{ text: "", id: undefined, finish: "cancelled" }]);
    const scored = [];
    for await (const { count, finish } of session.score(ids(3), { signal })) scored.push({ count, finish });
    expect(scored).toEqual([{ count: 0, finish: "cancelled" }]);
    expect(session.usage).toMatchObject({ seen: 0, cacheBytes: 0 });
  });
});

it("a session that is being reset takes no other work", async () => {
  const session = (await loaded("llama")).session();
  await write(session, ids(9));
  const reset = session.reset();
  await expect(write(session, ids(3))).rejects.toThrow(/busy/);
  await reset;
  expect(await write(session, ids(3))).toHaveLength(3);
});

describe("LongRoPE", () => {
  it("says which of its factors a session's text gets: the size of the context decides", async () => {
    const model = await loaded("phi3 with long rope");
    expect(model.info.longRopeContext).toBe(32);
    const notes = (options: SessionOptions) => model.session(options).notes.join();
    expect(notes({})).toMatch(/a context of 64 tokens is longer than the original 32, .* factors for long texts/);
    expect(notes({ contextLength: 32 })).toMatch(
      /a context of 32 tokens is within the original 32, .* for short texts/,
    );
    expect(notes({ context: "sinks:4,recent:28" })).toMatch(/a context of 32 tokens is within .* for short texts/);
    expect(notes({ context: "recompute:40" })).toMatch(/a context of 40 tokens is longer .* for long texts/);
    expect(notes({ context: "recent:28,distance=text" })).toMatch(/a context without a limit .* for long texts/);
    expect(notes({})).toContain("transformers goes by the length of the text");
  });

  it("is no matter of other models", async () => {
    const model = await loaded("llama");
    expect(model.info.longRopeContext).toBeNull();
    expect(model.session().notes).toEqual([]);
  });
});

describe("more tokens at once than the model was trained for", () => {
  const beyond = (what: string, count: string, trained = "64") =>
    `${what} lets the model see ${count} tokens at once; it was trained for ${trained}, and most models write nonsense beyond that.`;

  it.each<[SessionOptions, string, string]>([
    [{ context: "sinks:4,recent:2044" }, "sinks:4,recent:2044", "2,048"],
    [{ context: "recent:10000" }, "recent:10000", "10,000"],
    [{ context: "sinks:4,recent:61,distance=text" }, "sinks:4,recent:61,distance=text", "65"],
    [{ context: "recompute:65" }, "recompute:65", "65"],
    [{ context: "auto:65" }, "auto:65", "65"],
    [{ contextLength: 1e6 }, "auto:1000000", "1,000,000"],
    [{ context: "full", contextLength: 1e6 }, "full with a contextLength of 1,000,000", "1,000,000"],
  ])("are a note: %j", async (options, what, count) => {
    const model = await loaded("llama");
    expect(model.session(options).notes).toEqual([beyond(what, count)]);
  });

  it.each<SessionOptions>([
    {},
    { context: "full" },
    { context: "auto:64" },
    { contextLength: 64 },
    { context: "sinks:4,recent:60" },
    { context: "recompute:64" },
    // The length counts under auto and full only.
    { context: "recent:10", contextLength: 1000 },
  ])("are none up to the trained length: %j", async (options) => {
    expect((await loaded("llama")).session(options).notes).toEqual([]);
  });

  it("do not matter without attention, and cannot be where positions end with a table", async () => {
    const mamba = await loaded("mamba");
    expect(mamba.session({ contextLength: 1e6 }).notes).toEqual([]);
    expect(mamba.session({ context: "recompute:1000" }).notes).toEqual([]);
    const gpt2 = await loaded("gpt2");
    expect(gpt2.session({ context: "sinks:4,recent:1000,distance=text" }).notes).toEqual([]);
  });

  it("are no advice of an error", async () => {
    const model = await loaded("llama");
    const error = async (options: SessionOptions, count: number) =>
      String(await write(model.session(options), ids(count)).catch((cause: unknown) => cause));
    const full = { context: "full", contextLength: 100 };
    expect(await error(full, 1101)).toBe(
      "ContextFullError: The context is full: 0 tokens are held, 1,101 more were to be read, and the limit is 100. Nothing was " +
        'cut. Use a policy that frees tokens (for example "sinks:4,recent:60"), or shorten the text by 1,001 tokens.',
    );
    expect(await error({ ...full, contextLength: 30 }, 31)).toContain(
      '"sinks:4,recent:26"), raise contextLength (the model was trained for 64 tokens), or shorten the text by 1 token.',
    );
    expect(await error({ contextLength: 100 }, 1101)).toMatch(
      /Shorten it by 1,001 tokens, or choose a context that .* such as "sinks:4,recent:60"\.$/,
    );
    expect(await error({ contextLength: 30 }, 31)).toMatch(
      /by 1 token, raise contextLength \(the model was trained for 64 tokens\), or .* "sinks:4,recent:26"\.$/,
    );
    const sinusoidalModel = await loaded("sluice, sinusoidal with sinks");
    const sinusoidal = sinusoidalModel.session({ context: "full", contextLength: 20 });
    const refused = String(await write(sinusoidal, ids(30)).catch((cause: unknown) => cause));
    const [, advised = ""] = /for example "(.*?)"/.exec(refused) ?? [];
    expect(advised).toBe("sinks:4,recent:16,distance=text");
    expect(() => sinusoidalModel.session({ context: advised })).not.toThrow();
  });

  it("text that the model wrote itself is not to be shortened", async () => {
    const model = await loaded("llama");
    const session = model.session({ context: "full", contextLength: 30 });
    const error = String(await write(session, ids(29), 10).catch((cause: unknown) => cause));
    expect(error).toContain("30 tokens are held, 1 more was to be read, and the limit is 30.");
    expect(error).toContain("trained for 64 tokens), or begin anew with session.reset().");
    expect(error).not.toContain("shorten");
    const again = String(await write(session, ids(5)).catch((cause: unknown) => cause));
    expect(again).toContain("30 tokens are held, 6 more were");
    expect(again).not.toContain("shorten");
    const one = model.session({ context: "full", contextLength: 1 });
    const two = String(await write(one, ids(1), 10).catch((cause: unknown) => cause));
    expect(two).toContain("1 token is held, 1 more was");
  });
});

describe("reading a choice", () => {
  const context = "full,read=quest:32,dense=0";
  const read = { position: 5, text: context };

  it("is refused where there is nothing to choose from, or keys do not stay as they are", async () => {
    const mamba = await loaded("mamba");
    expect(() => mamba.session({ context })).toThrow(
      expect.objectContaining({ code: "bad_policy", details: { ...read, architecture: "mamba" } }),
    );
    const llama = familyNamed("llama");
    const scaling = { "rope.scaling.type": "dynamic", "rope.scaling.factor": 2 };
    const dynamic = await loaded({ ...llama, keys: { ...llama.keys, ...scaling } });
    expect(dynamic.info.dynamicRope).toBe(true);
    expect(() => dynamic.session({ context })).toThrow(/dynamic NTK.*Leave read=quest:32 out/);
    expect(() => dynamic.session({ context: "full" })).not.toThrow();
  });

  it.each(["llama", "gemma2", "gpt-oss", "bloom", "mpt", "jamba", "gpt2", "sluice, alibi with sinks"])(
    "%s reads as much as it was given while it writes and scores, and all of a prompt",
    async (family) => {
      const model = await loaded(family, "wasm");
      expect(model.info.dynamicRope).toBe(false);
      const session = model.session({ context, chunk: 16 });
      await write(session, ids(40), 1);
      expect(session.usage).toMatchObject({ seen: 40, kept: 40, read: 40 });
      await write(session, [], 6);
      const { seen, read: readNow } = session.usage;
      expect(seen).toBe(46);
      expect(readNow).toBe(16 + 14);
      const saved = await session.save();
      expect((await model.restore(saved)).usage.read).toBe(readNow);
      for await (const { usage } of session.score(ids(3), { every: 1 }))
        expect(usage.read).toBe(16 + ((usage.seen - 1) % 16) + 1);
      await session.reset();
      expect(session.usage.read).toBe(0);
    },
  );

  it("says that what is scored in steps of several tokens reads everything", async () => {
    const session = (await loaded("llama", "wasm")).session({ context, chunk: 16 });
    const score = async (count: number, batch: number) => {
      for await (const _ of session.score(ids(count), { batch }));
      return session.notes;
    };
    expect(await score(30, 1)).toEqual([]);
    expect(await score(2, 64)).toEqual([]);
    expect(await score(1, 64)).toEqual([
      expect.stringMatching(/^full.*: what is scored 16 tokens at once reads all that is kept/),
    ]);
    await session.reset();
    expect(await score(40, 1)).toEqual([]);
  });

  it("goes on alike in one run and in several, and scores alike one by one", async () => {
    const model = await loaded("llama", "wasm");
    const [one, several] = [model.session({ context }), model.session({ context })];
    const whole = (await write(one, ids(40), 12)).map(({ id }) => id);
    const pieces: (number | undefined)[] = [];
    for (let i = 0; i < 4; i++) pieces.push(...(await write(several, i === 0 ? ids(40) : [], 3)).map(({ id }) => id));
    expect(pieces).toEqual(whole);
  });
});

describe("options that change nothing", () => {
  const notes = async (family: string, options: SessionOptions) => (await loaded(family)).session(options).notes;

  it.each<[string, SessionOptions, RegExp | null]>([
    [
      "llama",
      { context: "full,read=quest:32,dense=99" },
      /^full.*: read=quest:32 changes .* first 99 layers .* Give dense=\d+ at most\.$/,
    ],
    ["llama", { context: "recent:60,read=quest:32,dense=99" }, /^recent:60.*: read=quest:32 changes nothing/],
    ["llama", { context: "full,read=quest:32,dense=0" }, null],
    ["llama", { context: "full,read=quest:63,dense=0" }, null],
    [
      "llama",
      { context: "full,read=quest:64,dense=0" },
      /: read=quest:64 changes .* ends at 64 tokens here\. Give it fewer/,
    ],
    ["llama", { context: "full,read=quest:32,dense=0", contextLength: 32 }, /ends at 32 tokens here/],
    ["llama", { context: "recent:60,read=quest:32,dense=0", contextLength: 32 }, null],
    ["gpt2", { context: "auto,read=quest:64,dense=0" }, /^auto.* ends at \d+ tokens here/],
    [
      "llama",
      { context: "bigbird", contextLength: 448 },
      /^bigbird leaves nothing out, as full: .* 7 blocks, 448 tokens, .* blocks of 48 at most/,
    ],
    ["llama", { context: "bigbird:16", contextLength: 112 }, /^bigbird:16 leaves nothing out.* Use full\.$/],
    ["llama", { context: "bigbird:16,seed=3", contextLength: 32 }, /Use full\.$/],
  ])("%s %j: %s", async (family, options, note) => {
    const beyond = /trained for/;
    const told = (await notes(family, options)).filter((text) => !beyond.test(text));
    expect(told).toEqual(note ? [expect.stringMatching(note)] : []);
  });

  it("are told up to the last layer with attention and up to the last token of a pattern", async () => {
    const model = await loaded("jamba");
    const { lastAttentionLayer: last, layers } = model.info;
    expect(last).toBeLessThan(layers - 1);
    const told = (dense: number) =>
      model
        .session({ context: `full,read=quest:32,dense=${dense}` })
        .notes.filter((text) => /changes nothing/.test(text));
    expect([told(last).length, told(last + 1).length]).toEqual([0, 1]);
    const long = (await notes("llama", { context: "bigbird:16", contextLength: 113 })).filter((n) =>
      /nothing out/.test(n),
    );
    expect(long).toEqual([]);
    expect(fitTraits((await loaded("mamba")).spec).lastAttentionLayer).toBe(-1);
  });
});
