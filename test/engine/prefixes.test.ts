/** Sessions that begin like a text that was read before: they take it over, and give what they give when they read all of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { type Family, familyNamed } from "../support/families.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";
import { tinyFile } from "../support/tiny-gguf.js";

const VOCABULARY = FAMILY_TOKENS.length;
const LIMIT = 900;
const ANY: GenerateOptions = { temperature: 0.8, seed: 5, ignoreEnd: true, logprobs: 0 };

const longer = (family: Family): Family => ({ ...family, keys: { ...family.keys, context_length: LIMIT } });

async function write(session: Session, prompt: Int32Array, maxTokens: number): Promise<unknown[]> {
  const given: unknown[] = [];
  for await (const { id, text, logprob } of session.generate(prompt, { ...ANY, maxTokens }))
    given.push({ id, text, logprob });
  return given;
}

/** The first tokens of one text, then others. */
function branching(same: number, others: number, seed: number): Int32Array {
  return Int32Array.from([...randomIds(same, VOCABULARY, 1), ...randomIds(others, VOCABULARY, seed)]);
}

describe.each(["llama", "gemma2", "jamba", "mamba", "falcon 7b", "t5"])("%s", (name) => {
  let sharing: LocalModel;
  let apart: LocalModel;
  beforeAll(async () => {
    const { path } = randomGguf(longer(familyNamed(name)));
    sharing = await loadLocal(path, { threads: 1 });
    apart = await loadLocal(path, { threads: 1, prefixBytes: 0 });
  });
  afterAll(async () => {
    await sharing.dispose();
    await apart.dispose();
  });

  const policies = ["full", "sinks:2,recent:200", "full,read=quest:128,dense=0", "recent:90", "recompute:8"];
  const cases = policies.flatMap((context) => [32, 100, 256].map((chunk) => ({ context, chunk })));

  it.each(cases)("has the same bits under $context in chunks of $chunk", async ({ context, chunk }) => {
    const { attentionLayers, encoderDecoder } = sharing.info;
    if (attentionLayers === 0 && context !== "full") return;
    const options: SessionOptions = { context, chunk, contextLength: LIMIT, kv: context === "full" ? "q8" : "f16" };
    const prompts = [
      branching(300, 50, 2),
      branching(300, 41, 3),
      branching(300, 0, 4),
      branching(170, 90, 5),
      branching(40, 9, 6),
    ];
    const cached: number[] = [];
    for (const prompt of prompts) {
      const [session, alone] = [sharing.session(options), apart.session(options)];
      expect(await write(session, prompt, 9)).toEqual(await write(alone, prompt, 9));
      const { cachedTokens, ...usage } = session.usage;
      cached.push(cachedTokens);
      const { seen, kept, promptTokens, generatedTokens } = alone.usage;
      expect(usage).toMatchObject({ seen, kept, promptTokens, generatedTokens });
      expect(alone.usage.cachedTokens).toBe(0);
      if (encoderDecoder) continue;
      const more = branching(0, 7, 9);
      expect(await write(session, more, 4)).toEqual(await write(alone, more, 4));
      await session.dispose();
      await alone.dispose();
    }
    expect(cached[0]).toBe(0);
    expect(cached[4]).toBe(0);
    if (encoderDecoder || context === "recompute:8") expect(Math.max(...cached)).toBe(0);
    else if (name === "llama" && context.startsWith("full")) {
      // Three query heads share one KV head, so pieces have 64 tokens; a page has 16.
      const most = (tokens: number) => (chunk === 100 ? 64 : tokens - (tokens % Math.min(64, chunk)));
      expect(cached.slice(1, 4)).toEqual([most(300), most(299), most(170)]);
    }
  });

  it("goes on from where a text was kept", async () => {
    if (sharing.info.encoderDecoder) return;
    const options: SessionOptions = { context: "full", contextLength: LIMIT, chunk: 128 };
    const prompt = branching(200, 30, 7);
    await write(sharing.session(options), prompt, 1);
    const session = sharing.session(options);
    expect(await write(session, prompt, 6)).toEqual(await write(apart.session(options), prompt, 6));
    expect(session.usage.cachedTokens).toBeGreaterThanOrEqual(230 - 64);
  });
});

describe("what is kept", () => {
  let model: LocalModel;
  const prompt = randomIds(200, 280, 1);
  afterAll(() => model.dispose());

  it("serves sessions of the same options only", async () => {
    model = await loadLocal(tinyFile(), { threads: 1 });
    await write(model.session({ context: "full", contextLength: 500 }), prompt, 1);
    const others: SessionOptions[] = [
      { context: "full", contextLength: 600 },
      { context: "full", contextLength: 500, kv: "q4" },
      { context: "recent:300" },
    ];
    for (const options of others) {
      const session = model.session(options);
      await write(session, prompt, 1);
      expect(session.usage.cachedTokens).toBe(0);
    }
    const again = model.session({ context: "full", contextLength: 500 });
    await write(again, prompt, 1);
    expect(again.usage).toMatchObject({ cachedTokens: 192, promptTokens: 200 });
  });

  it("is bounded, what was used last stays", async () => {
    await model.dispose();
    const bytesOf = async (prefixBytes?: number) => {
      model = await loadLocal(tinyFile(), { threads: 1, ...(prefixBytes !== undefined && { prefixBytes }) });
      await write(model.session({ context: "full", contextLength: 500 }), prompt, 1);
      return model.prefixes.bytes;
    };
    const one = await bytesOf();
    await model.dispose();
    expect(await bytesOf(one * 2.5)).toBe(one);
    const cachedOf = async (seed: number) => {
      const session = model.session({ context: "full", contextLength: 500 });
      await write(session, randomIds(200, 280, seed), 1);
      await session.dispose();
      return session.usage.cachedTokens;
    };
    expect(await cachedOf(2)).toBe(0);
    expect(await cachedOf(1)).toBe(192);
    expect(await cachedOf(3)).toBe(0);
    expect(model.prefixes.bytes).toBe(2 * one);
    expect(await cachedOf(1)).toBe(192);
    expect(await cachedOf(2)).toBe(0);
  });

  it("is nothing of a session that goes meanwhile", async () => {
    await model.dispose();
    model = await loadLocal(tinyFile(), { threads: 1 });
    const options: SessionOptions = { context: "full", contextLength: 500 };
    const before = model.session(options);
    await write(before, prompt, 1);
    model.prefixes.clear();
    const keeping = before.text.keepBeginning();
    before.abandon();
    await keeping;
    expect(model.prefixes.bytes).toBe(0);
    const after = model.session(options);
    await write(after, prompt, 1);
    expect(after.usage.cachedTokens).toBe(0);
    const late = model.session(options);
    expect(late.text.reader.seen).toBe(0);
    const taking = late.text.takeBeginning(prompt);
    late.abandon();
    await expect(taking).rejects.toThrow("disposed");
  });

  it("is given up for a session that needs the memory", async () => {
    await model.dispose();
    model = await loadLocal(tinyFile(), { threads: 1, memoryLimitBytes: 256e6, prefixBytes: 200e6 });
    await write(model.session({ context: "full", contextLength: 500 }), prompt, 1);
    expect(model.prefixes.bytes).toBeGreaterThan(0);
    const { cacheBytes, cacheTokens } = await model.plan({ context: "full", contextLength: 1000 });
    const { availableBytes } = await model.plan();
    let most = Math.floor(((availableBytes ?? 0) / cacheBytes) * cacheTokens);
    for (;;) {
      const session = model.session({ context: "full", contextLength: most });
      try {
        await write(session, prompt.subarray(0, 3), 1);
        break;
      } catch {
        await session.dispose();
        most = Math.floor(most * 0.999);
      }
    }
    expect(model.prefixes.bytes).toBe(0);
  });
});
