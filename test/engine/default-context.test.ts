/** The default context: prompts fit or are refused, and writing goes on past the limit, or ends there like a length. */
import { afterAll, describe, expect, it } from "vitest";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { Part, ScorePart, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { ArgumentError, ContextFullError, PolicyError } from "../../src/util/errors.js";
import { familyNamed } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";
import { tinyFile } from "../support/tiny-gguf.js";

const open: LocalModel[] = [];
afterAll(async () => {
  for (const model of open) await model.dispose();
});

/** A context of 64 tokens. */
async function tiny(): Promise<LocalModel> {
  const model = await loadLocal(tinyFile(), { threads: 1 });
  open.push(model);
  return model;
}

async function random(family: string): Promise<LocalModel> {
  const model = await loadLocal(randomGguf(familyNamed(family)).path, { backend: "reference", threads: 1 });
  open.push(model);
  return model;
}

const ids = (count: number) => Array.from({ length: count }, (_, i) => 3 + ((i * 7) % 30));
const words = (count: number) => Array.from({ length: count }, (_, i) => 261 + ((i * 7) % 23));

async function write(session: Session, prompt: string | number[], maxTokens?: number): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of session.generate(prompt, {
    temperature: 0,
    ignoreEnd: true,
    ...(maxTokens !== undefined && { maxTokens }),
  }))
    parts.push(part);
  return parts;
}

const idsOf = (parts: readonly Part[]) => parts.flatMap(({ id }) => (id === undefined ? [] : [id]));

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("writing on", () => {
  it("passes the limit with the first 4 and the newest tokens, and says so then", async () => {
    const model = await tiny();
    const session = model.session();
    expect(session.context).toBe("auto:64");
    const first = await write(session, words(20), 44);
    expect(session.notes).toEqual([]);
    expect(session.usage).toMatchObject({ seen: 63, kept: 63, evicted: 0, horizon: null, sinks: 4 });
    const rest = await write(session, [], 100);
    expect(session.usage).toMatchObject({ seen: 163, kept: 64, evicted: 99, horizon: 60, sinks: 4 });
    expect(session.notes).toEqual([
      "The text has passed the context of 64 tokens. The model now sees its first 4 and its newest 60 tokens; those between were let go.",
    ]);
    const streaming = model.session({ context: "sinks:4,recent:60" });
    expect(idsOf([...first, ...rest])).toEqual(idsOf(await write(streaming, words(20), 144)));
    const full = model.session({ context: "full" });
    expect(idsOf(first)).toEqual(idsOf(await write(full, words(20), 44)));
  });

  it("reads less than is kept with the option read, which goes on to what it comes to", async () => {
    const model = await tiny();
    const write100 = async (context: string, contextLength?: number) => {
      const session = model.session({ context, ...(contextLength !== undefined && { contextLength }) });
      const parts = idsOf(await write(session, words(70), 100));
      const { context: text, usage } = session;
      const { kept, read, sinks } = usage;
      const again = await model.restore(await session.save());
      expect([again.context, again.usage.read]).toEqual([text, read]);
      return { text, parts, usage: { kept, read, sinks } };
    };
    for (const reading of ["read=quest:64", "read=quest:64,dense=0", "read=quest:70,dense=1"]) {
      const window = await write100(`sinks:4,recent:116,${reading}`);
      expect(window.usage.read).toBeLessThanOrEqual(/dense/.test(reading) ? 70 : 120);
      expect(await write100(`auto,${reading}`, 120)).toEqual({ ...window, text: `auto:120,${reading}` });
      expect(await write100(`auto:120,${reading}`)).toEqual({ ...window, text: `auto:120,${reading}` });
    }
    const tooMuch = () => model.session({ context: "auto,read=quest:64" });
    expect(tooMuch).toThrow(PolicyError);
    expect(tooMuch).toThrow(/"auto:64,read=quest:64".*less than what is kept, 64 tokens/s);
  });

  it("reads less where positions cannot be moved too, and is refused without attention", async () => {
    const model = await random("gpt2");
    const limit = model.info.trainedContext;
    const session = model.session({ context: "auto,read=quest:32,dense=0" });
    expect(session.context).toBe(`auto:${limit},read=quest:32,dense=0`);
    const written = idsOf(await write(session, ids(limit - 20)));
    expect(session.usage.read).toBeLessThanOrEqual(32);
    const full = model.session({ context: "full,read=quest:32,dense=0" });
    expect(written.slice(0, 15)).toEqual(idsOf(await write(full, ids(limit - 20), 15)));
    const mamba = await random("mamba");
    expect(() => mamba.session({ context: "auto,read=quest:32" })).toThrow(/no attention.*Leave read=quest:32 out/s);
  });

  it("full makes the limit an error", async () => {
    const session = (await tiny()).session({ context: "full" });
    expect(await failure(write(session, words(20)))).toBeInstanceOf(ContextFullError);
    expect(session.usage).toMatchObject({ seen: 64, evicted: 0 });
  });

  it("takes the limit from contextLength or from auto:N, and refuses two that differ", async () => {
    const model = await tiny();
    expect(model.session({ contextLength: 40 }).context).toBe("auto:40");
    expect(model.session({ context: "auto" }).context).toBe("auto:64");
    const session = model.session({ context: "auto:40" });
    await write(session, words(10), 80);
    expect(session.usage).toMatchObject({ kept: 40, horizon: 36 });
    expect(() => model.session({ context: "auto:40", contextLength: 41 })).toThrow(ArgumentError);
    for (const contextLength of [1, 2, 3, 5, 8]) {
      const small = model.session({ contextLength });
      await write(small, [270], 20);
      expect(small.usage.kept).toBe(contextLength);
    }
  });

  it.each(["gpt2", "sluice, sinusoidal with sinks"])(
    "ends at the limit like a length where positions cannot be moved: %s",
    async (family) => {
      const model = await random(family);
      const limit = model.info.trainedContext;
      const session = model.session();
      expect(session.context).toBe(`auto:${limit}`);
      const parts = await write(session, ids(limit - 5));
      expect(parts.at(-1)?.finish).toBe("length");
      expect(idsOf(parts)).toHaveLength(6);
      expect(session.usage).toMatchObject({ seen: limit, kept: limit, evicted: 0 });
      expect(session.notes.join()).toMatch(/cannot be moved, so writing ends here/);
      expect(await write(session, [])).toEqual([{ text: "", id: undefined, finish: "length" }]);
      expect(await failure(write(session, ids(1)))).toBeInstanceOf(ContextFullError);
      const longer = () => model.session({ context: `auto:${limit + 1}` });
      if (model.info.positions === null) expect(longer).not.toThrow();
      else expect(longer).toThrow(/learned embeddings/);
    },
  );

  it("has no limit without attention", async () => {
    const session = (await random("mamba")).session({ contextLength: 16 });
    await write(session, ids(100), 100);
    expect(session.usage).toMatchObject({ seen: 199, kept: 199, evicted: 0 });
    expect([session.context, session.notes]).toEqual(["auto", []]);
  });

  it("says of a hybrid which layers let go", async () => {
    const session = (await random("jamba")).session({ contextLength: 32 });
    await write(session, ids(20), 20);
    expect(session.notes.join()).toMatch(
      /The layers with attention, \d of \d, now see its first 4 and its newest 28 tokens/,
    );
  });

  it("takes no more memory than planned, also under a window of the model's own", async () => {
    const model = await random("mistral");
    for (const context of ["auto", "sinks:4,recent:60", "sinks:4,recent:60,evict=50"]) {
      const options = { context, contextLength: context === "auto" ? 64 : 100, chunk: 8 };
      const { cacheBytes } = await model.plan(options);
      const session = model.session(options);
      await write(session, ids(30), 120);
      // Where tokens go 50 at a time, sinks come back into the window and are kept with what lies between.
      if (!context.includes("evict")) expect(session.usage.cacheBytes).toBeLessThanOrEqual(cacheBytes);
    }
  });
});

describe("a prompt that does not fit", () => {
  it("is refused before anything is read, with what to do", async () => {
    const session = (await tiny()).session();
    const error = await failure(write(session, words(65), 1));
    expect(error).toBeInstanceOf(ContextFullError);
    expect(error).toMatchObject({ details: { seen: 0, needed: 65, limit: 64 } });
    expect(String(error)).toMatch(/65 tokens.*holds 64.*Nothing was read.*by 1 tokens?.*sinks:4,recent:60/);
    expect(session.usage.seen).toBe(0);
    await write(session, words(64), 3);
    expect(session.usage).toMatchObject({ seen: 66, kept: 64, evicted: 2 });
  });

  it("counts the start token of a text", async () => {
    const model = await tiny();
    const text = " the".repeat(63);
    expect((await model.encode(text, { addSpecial: false })).length).toBe(64);
    expect(await failure(write(model.session(), text, 1))).toMatchObject({ details: { needed: 65, limit: 64 } });
    expect(idsOf(await write(model.session(), " the".repeat(62), 1))).toHaveLength(1);
  });

  it("later may push out what was before it, but not the sinks", async () => {
    const session = (await tiny()).session();
    await write(session, words(60), 1);
    const before = session.usage;
    const error = await failure(write(session, words(61), 1));
    expect(error).toMatchObject({ code: "context_full", details: { seen: 60, needed: 65, limit: 64 } });
    expect(session.usage).toEqual(before);
    expect(idsOf(await write(session, words(60), 2))).toHaveLength(2);
    expect(session.usage).toMatchObject({ seen: 122, kept: 64, evicted: 58 });
  });

  it("is an error of score as well, before a number is given out", async () => {
    const session = (await tiny()).session();
    const scored = async (count: number) => {
      const parts: ScorePart[] = [];
      for await (const part of session.score(words(count), { batch: 8 })) parts.push(part);
      return parts.reduce((sum, part) => sum + part.count, 0);
    };
    expect(await failure(scored(65))).toBeInstanceOf(ContextFullError);
    expect(session.usage.seen).toBe(0);
    expect(await scored(64)).toBe(63);
    expect(await scored(60)).toBe(60);
  });

  it("of a chat leaves the conversation as it was", async () => {
    const session = (await tiny()).session();
    const options = { temperature: 0, maxTokens: 3, logitBias: { 4: -100, 2: -100 } };
    const say = async (text: string) => {
      for await (const _ of session.chat(text, options));
    };
    await say("the");
    for (let turn = 0; turn < 4; turn++) {
      const { usage, messages } = session;
      const before = { usage, messages: [...messages] };
      expect(await failure(say(" the".repeat(100)))).toBeInstanceOf(ContextFullError);
      expect({ usage: session.usage, messages: session.messages }).toEqual(before);
      await say("an");
    }
    expect(session.messages).toHaveLength(10);
    expect(session.usage.evicted).toBeGreaterThan(0);
  });
});

it("a session that was saved past its limit goes on bit for bit", async () => {
  const model = await tiny();
  for (const options of [{}, { contextLength: 32 }, { context: "auto:48" }] satisfies SessionOptions[]) {
    const session = model.session(options);
    await write(session, words(20), 100);
    const again = await model.restore(await session.save());
    expect([again.context, again.notes, again.usage.evicted]).toEqual([
      session.context,
      session.notes,
      session.usage.evicted,
    ]);
    expect(await write(again, [], 30)).toEqual(await write(session, [], 30));
  }
});

it("a text form is read back as the same policy", () => {
  for (const text of ["auto", "auto:1", "auto:7", "auto:4096"]) expect(parsePolicy(text).text).toBe(text);
});
