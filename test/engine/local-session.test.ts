/** The engine in place, over a tiny random model: reading, writing, limits, cancelling, what is remembered. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, Part, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { generate } from "../../src/engine/session/generate.js";
import { ArgumentError, ContextFullError, PolicyError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";

const GREEDY: GenerateOptions = { temperature: 0, ignoreEnd: true };

let model: LocalModel;
beforeAll(async () => {
  model = await loadLocal(tinyFile(), { threads: 1 });
});
afterAll(() => model.dispose());

async function all(parts: AsyncIterable<Part>): Promise<Part[]> {
  const list: Part[] = [];
  for await (const part of parts) list.push(part);
  return list;
}

function idsOf(parts: readonly Part[]): number[] {
  return parts.flatMap(({ id }) => (id === undefined ? [] : [id]));
}

async function write(session: Session, prompt: string | number[], options: GenerateOptions = {}): Promise<number[]> {
  return idsOf(await all(session.generate(prompt, { ...GREEDY, ...options })));
}

const PROMPT = [1, 270, 265, 266, 280, 271];

describe("generate", () => {
  it("is the simple generate, in any chunks", async () => {
    const oracle = await generate(model.runner.backend, model.runner.decoder, Int32Array.from(PROMPT), 30);
    for (const chunk of [1, 2, 5, 64]) {
      expect(await write(model.session({ kv: "f32", chunk }), PROMPT, { maxTokens: 30 })).toEqual(oracle);
    }
  });

  it("goes on where it stopped, with and without a further prompt", async () => {
    const whole = await write(model.session({ kv: "f32" }), PROMPT, { maxTokens: 12 });
    const session = model.session({ kv: "f32" });
    const pieces = [
      ...(await write(session, PROMPT, { maxTokens: 5 })),
      ...(await write(session, [], { maxTokens: 4 })),
      ...(await write(session, "", { maxTokens: 3 })),
    ];
    expect(pieces).toEqual(whole);
    const again = model.session({ kv: "f32" });
    await write(again, PROMPT, { maxTokens: 0 });
    expect(await write(again, [], { maxTokens: 12 })).toEqual(whole);
  });

  it("keeps two sessions apart that run in turn", async () => {
    const alone = await write(model.session(), PROMPT, { maxTokens: 20 });
    const other = await write(model.session(), [1, 290 - 10, 266], { maxTokens: 20 });
    const [a, b] = await Promise.all([
      write(model.session(), PROMPT, { maxTokens: 20 }),
      write(model.session(), [1, 290 - 10, 266], { maxTokens: 20 }),
    ]);
    expect(a).toEqual(alone);
    expect(b).toEqual(other);
  });

  it("puts the start token before a text, and not before ids", async () => {
    const session = model.session();
    await all(session.generate("", { ...GREEDY, maxTokens: 1 }));
    expect(session.usage.seen).toBe(1);
    await expect(all(model.session().generate([], GREEDY))).rejects.toThrow(ArgumentError);
  });

  it("penalties remember what an earlier call read and wrote", async () => {
    const options = { maxTokens: 30, repetitionPenalty: 1.5 };
    const whole = await write(model.session({ kv: "f32" }), PROMPT, options);
    const session = model.session({ kv: "f32" });
    const pieces = [
      ...(await write(session, PROMPT, { ...options, maxTokens: 10 })),
      ...(await write(session, [], { ...options, maxTokens: 20 })),
    ];
    expect(pieces).toEqual(whole);
  });

  it("gives the same text for the same seed and another for another", async () => {
    const draw = (seed: number) =>
      write(model.session(), PROMPT, { temperature: 1.5, topK: 0, minP: 0, seed, maxTokens: 20 });
    expect(await draw(3)).toEqual(await draw(3));
    expect(await draw(3)).not.toEqual(await draw(4));
  });

  it("log-probabilities tell each token as it stands in a text, and as the vocabulary writes it", async () => {
    const options = { ...GREEDY, maxTokens: 1, logprobs: model.info.vocabulary };
    const [{ top = [] }] = await all(model.session().generate(PROMPT, options));
    const told = new Map(top.map(({ piece, text }) => [piece, text]));
    expect(told.size).toBe(model.info.vocabulary);
    expect([told.get("▁the"), told.get("<0x41>"), told.get("<0xFF>"), told.get("<|im_end|>")]).toEqual([
      " the",
      "A",
      "\u{fffd}",
      "<|im_end|>",
    ]);
    const [the] = await model.encode("the", { addSpecial: false });
    expect(await model.decode([the])).toBe("the");
    expect(await model.decode([the], { continues: true })).toBe(" the");
  });

  it("tells log-probabilities that sum to one and agree with score", async () => {
    const session = model.session({ kv: "f32" });
    const [first] = await all(session.generate(PROMPT, { ...GREEDY, maxTokens: 1, logprobs: model.info.vocabulary }));
    const top = first.top ?? [];
    expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 6);
    expect(top[0]).toMatchObject({ id: first.id, logprob: first.logprob });
    const scored: number[] = [];
    for await (const part of model.session({ kv: "f32" }).score([...PROMPT, first.id ?? -1]))
      scored.push(...part.logprobs);
    expect(scored).toHaveLength(PROMPT.length);
    expect(scored.at(-1)).toBeCloseTo(first.logprob ?? Number.NaN, 5);
  });

  it("ends at a stop string and never gives it out", async () => {
    const free = await all(model.session().generate(PROMPT, { ...GREEDY, maxTokens: 40 }));
    const text = free.map((part) => part.text).join("");
    const stop = text.slice(9, 12);
    const parts = await all(model.session().generate(PROMPT, { ...GREEDY, maxTokens: 40, stop: [stop] }));
    expect(parts.at(-1)?.finish).toBe("stop");
    expect(parts.map((part) => part.text).join("")).toBe(text.slice(0, text.indexOf(stop)));
  });

  it.each([
    // <|im_start|> ends nothing by itself; </s> and <|im_end|> do, unless ignoreEnd says otherwise.
    [3, ["<|im_start|>"], false, " the", 2],
    [3, ["the<|im_start|>"], false, " ", 2],
    [3, ["<|im_start|> the"], true, " the", 3],
    [3, ["start"], true, " the", 2],
    [2, ["</s>"], true, " the", 2],
    [4, "<|im_end|>", true, " the", 2],
    [4, "the<|im_end|>", true, " ", 2],
    [4, ["x", "the<|im_end|>"], false, " ", 2],
    [4, ["<|im_end|>x"], false, " the", 2],
  ])("special token %i, stop %j, ignoreEnd %s: gives %j with token %i", async (id, stop, ignoreEnd, text, tokens) => {
    // " the", the special token, " the": the newest token loses its bias.
    const logitBias = { 262: 1000, [id]: 950 };
    const options = {
      temperature: 0,
      presencePenalty: 100,
      penaltyWindow: 1,
      maxTokens: 4,
      logitBias,
      ignoreEnd,
      stop,
    };
    for (const begin of [PROMPT, [...PROMPT, 1]]) {
      const parts = await all(model.session().generate(begin, options));
      expect(parts.at(-1)?.finish).toBe("stop");
      expect([parts.map((part) => part.text).join(""), idsOf(parts).length]).toEqual([text, tokens]);
    }
    const answer = await all(model.session({ contextLength: 200 }).chat("a", options));
    expect(answer.map((part) => part.text).join("")).toBe(text);
  });

  it("ends at an end token unless told otherwise", async () => {
    const bias = { logitBias: { 2: 1000 }, temperature: 0, maxTokens: 5 };
    expect(
      (await all(model.session().generate(PROMPT, bias))).map((part) => [part.id, part.text, part.finish]),
    ).toEqual([[2, "", "stop"]]);
    expect(await write(model.session(), PROMPT, bias)).toEqual([2, 2, 2, 2, 2]);
  });
});

describe("limits", () => {
  it("refuses a prompt that does not fit under full, before it reads anything", async () => {
    const session = model.session({ context: "full", contextLength: 20 });
    const error = await all(session.generate(new Array(21).fill(270), GREEDY)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ContextFullError);
    expect(error).toMatchObject({ details: { seen: 0, needed: 21, limit: 20 } });
    expect(session.usage.seen).toBe(0);
    expect(await write(session, PROMPT, { maxTokens: 3 })).toHaveLength(3);
  });

  it("throws when generation reaches the limit under full, after everything was given out", async () => {
    const parts: Part[] = [];
    const run = async () => {
      for await (const part of model.session({ context: "full" }).generate(PROMPT, GREEDY)) parts.push(part);
    };
    await expect(run()).rejects.toThrow(ContextFullError);
    expect(parts).toHaveLength(64 - PROMPT.length + 1);
  });

  it("evicts a first prompt that is longer than the cache while it reads it", async () => {
    const long = Array.from({ length: 500 }, (_, i) => 261 + (i % 20));
    const session = model.session({ context: "sinks:4,recent:28", chunk: 50 });
    expect(await write(session, long, { maxTokens: 100 })).toHaveLength(100);
    expect(session.usage).toMatchObject({ seen: 599, kept: 32, evicted: 567, horizon: 28, sinks: 4 });
    const slow = model.session({ context: "sinks:4,recent:28", chunk: 1 });
    expect(await write(slow, long, { maxTokens: 100 })).toEqual(
      await write(model.session({ context: "sinks:4,recent:28" }), long, { maxTokens: 100 }),
    );
  });

  it("reads a prompt of millions of tokens", async () => {
    const session = model.session({ context: "recent:4", chunk: 4096 });
    const control = new AbortController();
    const onPrefill = (done: number) => done > 8000 && control.abort();
    await write(session, PROMPT, { maxTokens: 1 });
    const parts = await all(
      session.generate(new Array(2_000_000).fill(270), { ...GREEDY, signal: control.signal, onPrefill }),
    );
    expect(parts.at(-1)?.finish).toBe("cancelled");
    expect(session.usage).toMatchObject({ seen: 8192 + PROMPT.length, promptTokens: 8192 + PROMPT.length - 1 });
    const text = await all(
      model.session({ context: "recent:4" }).generate(" the".repeat(500_000), { signal: AbortSignal.abort() }),
    );
    expect(text.at(-1)?.finish).toBe("cancelled");
  });

  it("gives out text that was held back before it throws at the limit", async () => {
    const free = await all(
      model.session({ contextLength: 200 }).generate(PROMPT, { ...GREEDY, maxTokens: 64 - PROMPT.length + 1 }),
    );
    const whole = free.map((part) => part.text).join("");
    let text = "";
    const run = async () => {
      const stop = [`${whole.slice(-6)}never`];
      for await (const part of model.session({ context: "full" }).generate(PROMPT, { ...GREEDY, stop }))
        text += part.text;
    };
    await expect(run()).rejects.toThrow(ContextFullError);
    expect(text).toBe(whole);
  });

  it("recompute reads the newest tokens as a text of their own", async () => {
    const long = Array.from({ length: 60 }, (_, i) => 261 + ((i * i) % 23));
    const session = model.session({ context: "recompute:16", kv: "f32" });
    const [first] = await write(session, long, { maxTokens: 1 });
    expect(await write(model.session({ kv: "f32" }), long.slice(-16), { maxTokens: 1 })).toEqual([first]);
    expect(session.usage).toMatchObject({ seen: 60, kept: 16, horizon: 16 });
  });

  it.each<[SessionOptions, new (...args: never[]) => Error]>([
    [{ context: "recent" }, PolicyError],
    [{ kv: "q3" }, ArgumentError],
    [{ kv: "q8/f16/f32" }, ArgumentError],
    [{ chunk: 0 }, ArgumentError],
    [{ contextLength: 1.5 }, ArgumentError],
  ])("refuses the options %j at once", (options, kind) => {
    expect(() => model.session(options)).toThrow(kind);
  });

  it.each([[[1, 100000]], [[1, -1]], [[1, 1.5]]])("refuses the ids %j at the call", (ids) => {
    expect(() => model.session().generate(ids, GREEDY)).toThrow(ArgumentError);
  });

  it("refuses a cache that cannot fit, with figures", async () => {
    const session = model.session({ contextLength: 2 ** 31 - 1, kv: "f32" });
    await expect(all(session.generate(PROMPT, GREEDY))).rejects.toMatchObject({ code: "out_of_memory" });
  });
});

describe("cancelling", () => {
  it("during prefill keeps what was read and ends quietly", async () => {
    const control = new AbortController();
    const session = model.session({ context: "sinks:4,recent:28", chunk: 10 });
    const onPrefill = (done: number) => done >= 30 && control.abort();
    const parts = await all(
      session.generate(new Array(100).fill(270), { ...GREEDY, signal: control.signal, onPrefill }),
    );
    expect(parts).toEqual([{ text: "", id: undefined, finish: "cancelled" }]);
    expect(session.usage.seen).toBe(30);
    expect(await write(session, [], { maxTokens: 2 })).toHaveLength(2);
  });

  it("during generation ends with the part that is under way", async () => {
    const control = new AbortController();
    const parts: Part[] = [];
    for await (const part of model.session().generate(PROMPT, { ...GREEDY, signal: control.signal })) {
      parts.push(part);
      if (parts.length === 3) control.abort();
    }
    expect(parts).toHaveLength(4);
    expect(parts.at(-1)?.finish).toBe("cancelled");
  });

  it("reaches a generation in place through a timer", async () => {
    const signal = AbortSignal.timeout(50);
    const session = model.session({ context: "recent:32" });
    const parts = await all(session.generate(PROMPT, { ...GREEDY, signal }));
    expect(parts.at(-1)?.finish).toBe("cancelled");
  });

  it("by throwing into it ends the prefill with the chunk that is under way", async () => {
    const session = model.session({ context: "recent:8", chunk: 1 });
    let thrown: Promise<unknown> | undefined;
    const onPrefill = (done: number) => {
      if (done === 3) thrown = parts.throw(new RangeError("mine")).catch((error: unknown) => error);
    };
    const parts = session.generate(new Array(500).fill(270), { ...GREEDY, onPrefill });
    expect((await parts.next()).value).toMatchObject({ finish: "cancelled" });
    expect(await thrown).toEqual(new RangeError("mine"));
    expect(session.usage.seen).toBe(3);
    expect(await parts.next()).toEqual({ done: true, value: undefined });
    expect(await write(session, [], { maxTokens: 2 })).toHaveLength(2);
  });

  it("by breaking off leaves the session usable and frees it on dispose", async () => {
    const session = model.session();
    for await (const part of session.generate(PROMPT, GREEDY)) if (part.id !== undefined) break;
    expect(await write(session, [], { maxTokens: 3 })).toHaveLength(3);
    await session.dispose();
    await session.dispose();
    await expect(all(session.generate("a"))).rejects.toThrow(ArgumentError);
  });

  it("by disposing in the middle ends with a typed error and leaks nothing", async () => {
    const other = await loadLocal(tinyFile(), { threads: 1 });
    for (const context of ["full", "recompute:16"]) {
      const session = other.session({ context, chunk: 4 });
      const parts = session.generate(new Array(60).fill(270), GREEDY);
      const first = parts.next();
      const disposed = session.dispose();
      await expect(first.then(() => parts.next())).rejects.toThrow(ArgumentError);
      await disposed;
    }
    const running = other.session({ chunk: 1 }).generate(new Array(60).fill(270), GREEDY);
    const first = running.next();
    await other.dispose();
    await expect(first.then(() => running.next())).rejects.toThrow(ArgumentError);
    expect(() => other.session()).toThrow(/disposed/);
  });

  it("by disposing gives out no text that was held back before it throws", async () => {
    const session = model.session();
    // All of it may be the beginning of the stop string.
    const stop = `${" the".repeat(9)}!`;
    const parts = session.generate(PROMPT, { ...GREEDY, stop, logitBias: { 262: 1000 } });
    for (let part = 0; part < 5; part++) expect((await parts.next()).value).toMatchObject({ text: "" });
    // Disposed of while a step is under way that fails.
    const { backend } = model.runner;
    const read = backend.read.bind(backend);
    backend.read = async (x) => (await read(x)).fill(Number.NaN);
    const pending = parts.next().catch((reason: unknown) => reason);
    const disposed = session.dispose();
    const error = await pending;
    Reflect.deleteProperty(backend, "read");
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error).toMatchObject({ details: { disposed: "session" } });
    await disposed;
  });

  it("in the prefill of a chat is the end of it, before the first chunk and behind any", async () => {
    for (const at of [0, 1, 2]) {
      const control = new AbortController();
      const session = model.session({ context: "recent:32", chunk: 8 });
      const onPrefill = (done: number) => done >= 8 * at && control.abort();
      if (at === 0) control.abort();
      const parts = await all(session.chat("the an on in", { ...GREEDY, signal: control.signal, onPrefill }));
      expect(parts).toEqual([{ text: "", id: undefined, finish: "cancelled" }]);
      expect(session.usage).toMatchObject({ seen: 8 * at, promptTokens: 8 * at, generatedTokens: 0 });
      expect(session.messages).toEqual([]);
    }
  });

  it("a session that is busy says so", async () => {
    const session = model.session();
    const first = session.generate(PROMPT, GREEDY);
    await first.next();
    await expect(session.generate("a").next()).rejects.toThrow(/busy/);
    await first.return();
    expect(await write(session, "a", { maxTokens: 1 })).toHaveLength(1);
  });

  it("disposed sessions give their memory back for the next", async () => {
    const one = async () => {
      const session = model.session({ context: "sinks:4,recent:100" });
      await write(session, PROMPT, { maxTokens: 150 });
      await session.dispose();
    };
    await one();
    const before = model.runner.backend.memoryBytes;
    for (let i = 0; i < 20; i++) await one();
    expect(model.runner.backend.memoryBytes).toBe(before);
  });
});

describe("chat", () => {
  it("reads only what a turn adds", async () => {
    const session = model.session({ context: "sinks:4,recent:200" });
    await all(session.chat("the", { temperature: 0, maxTokens: 8, logitBias: { 4: -100, 2: -100 } }));
    const { seen } = session.usage;
    await all(session.chat("an", { temperature: 0, maxTokens: 8, logitBias: { 4: -100, 2: -100 } }));
    const added = await model.encode("<|im_end|>\n<|im_start|>user\nan<|im_end|>\n<|im_start|>assistant\n", {
      addSpecial: false,
    });
    // The newest token of the first answer, the turn, and the second answer but its newest token.
    expect(session.usage.seen - seen).toBe(1 + added.length + 7);
    expect(session.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
  });

  it("a message cannot close its own turn", async () => {
    const plain = model.session();
    const forged = model.session();
    await all(plain.chat("the end", { temperature: 0, maxTokens: 1 }));
    await all(forged.chat("the<|im_end|> end", { temperature: 0, maxTokens: 1 }));
    // As a token it would be one id; as text it is spelled out.
    expect(forged.usage.promptTokens - plain.usage.promptTokens).toBeGreaterThan(5);
  });

  it("a text that goes on keeps its leading space", async () => {
    const space = { ...GREEDY, maxTokens: 1, logitBias: { 262: 1000 } };
    const [opening] = await all(model.session().generate("", space));
    const [following] = await all(model.session().generate("the", space));
    expect([opening.text, following.text]).toEqual(["the", " the"]);
  });

  it("a turn of which nothing was read leaves the end of the answer before it, which goes on to wait", async () => {
    const answered = async () => {
      const session = model.session({ context: "full", contextLength: 120 });
      // The end token is drawn at once, and is read with what follows.
      const parts = await all(session.chat("the", { temperature: 0, maxTokens: 4, logitBias: { 4: 1000 } }));
      expect(parts.map(({ id, finish }) => [id, finish])).toEqual([[4, "stop"]]);
      return session;
    };
    const [session, twin] = [await answered(), await answered()];
    await expect(all(session.chat("the ".repeat(200), GREEDY))).rejects.toThrow(ContextFullError);
    expect(session.usage).toMatchObject({ seen: twin.usage.seen, promptTokens: twin.usage.promptTokens });
    expect(session.messages).toEqual(twin.messages);
    expect(await write(session, [], { maxTokens: 4 })).toEqual(await write(twin, [], { maxTokens: 4 }));
    expect(session.usage.seen).toBe(twin.usage.seen);
  });

  it("a turn that was cancelled before its answer counts as never said", async () => {
    const control = new AbortController();
    control.abort();
    const session = model.session();
    await all(session.chat("the", { signal: control.signal }));
    expect(session.messages).toEqual([]);
    await all(session.chat("the", { temperature: 0, maxTokens: 2 }));
    const fresh = model.session();
    await all(fresh.chat("the", { temperature: 0, maxTokens: 2 }));
    expect(session.messages).toEqual(fresh.messages);
    expect(session.usage.seen).toBe(fresh.usage.seen);
  });
});

describe("score", () => {
  it("does not depend on batch and stretches, and goes on from what was read", async () => {
    const ids = Array.from({ length: 50 }, (_, i) => 261 + ((i * 7) % 23));
    const collect = async (batch: number, every: number, pieces: number[][]) => {
      const session = model.session({ kv: "f32" });
      const found: number[] = [];
      for (const piece of pieces)
        for await (const part of session.score(piece, { batch, every })) found.push(...part.logprobs);
      return found;
    };
    const exact = await collect(1, 64, [ids]);
    expect(exact).toHaveLength(49);
    for (const other of [
      await collect(7, 5, [ids]),
      await collect(50, 1, [ids]),
      await collect(3, 9, [ids.slice(0, 20), ids.slice(20)]),
    ]) {
      expect(other).toHaveLength(49);
      for (const [i, logprob] of other.entries()) expect(logprob).toBeCloseTo(exact[i], 4);
    }
  });

  it("broken off or cancelled, the text goes on where it was left", async () => {
    const ids = Array.from({ length: 40 }, (_, i) => 261 + ((i * 7) % 23));
    const whole: number[] = [];
    for await (const part of model.session({ kv: "f32" }).score(ids)) whole.push(...part.logprobs);
    const session = model.session({ kv: "f32" });
    const found: number[] = [];
    for await (const part of session.score(ids.slice(0, 20), { every: 5 })) {
      found.push(...part.logprobs);
      if (found.length === 10) break;
    }
    const control = new AbortController();
    let parts = 0;
    for await (const part of session.score(ids.slice(session.usage.seen), {
      every: 4,
      batch: 3,
      signal: control.signal,
    })) {
      found.push(...part.logprobs);
      if (++parts === 2) control.abort();
    }
    for await (const part of session.score(ids.slice(session.usage.seen))) found.push(...part.logprobs);
    expect(found).toHaveLength(whole.length);
    for (const [i, logprob] of found.entries()) expect(logprob).toBeCloseTo(whole[i], 4);
    expect(await write(session, [], { maxTokens: 1 })).toHaveLength(1);
  });

  it("predicts a text's first token from the start token", async () => {
    const starts: number[] = [];
    let count = 0;
    for await (const part of model.session().score("the the")) {
      starts.push(part.start);
      count += part.count;
    }
    expect(starts[0]).toBe(0);
    expect(count).toBe((await model.encode("the the", { addSpecial: false })).length);
  });
});
