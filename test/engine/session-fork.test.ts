/** Sessions that were forked: each goes on as if the other were not there. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { ArgumentError, MemoryError } from "../../src/util/errors.js";
import { familyNamed } from "../support/families.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";
import { tinyFile } from "../support/tiny-gguf.js";

const VOCABULARY = FAMILY_TOKENS.length;
const ANY: GenerateOptions = { temperature: 0.8, seed: 5, ignoreEnd: true, repetitionPenalty: 1.2 };

async function write(session: Session, prompt: Int32Array | string, maxTokens: number): Promise<unknown[]> {
  const given: unknown[] = [];
  for await (const { id, text, logprob } of session.generate(prompt, { ...ANY, maxTokens, logprobs: 0 })) {
    given.push({ id, text, logprob });
  }
  return given;
}

describe.each(["llama", "gemma2", "jamba", "mamba"])("%s", (name) => {
  let model: LocalModel;
  beforeAll(async () => {
    model = await loadLocal(randomGguf(familyNamed(name)).path, { threads: 1 });
  });
  afterAll(() => model.dispose());

  it.each(["full", "sinks:2,recent:20", "recent:9", "full,read=quest:80,dense=0", "recompute:8"])(
    "goes on under %s",
    async (context) => {
      if (model.info.attentionLayers === 0 && context !== "full") return;
      const options: SessionOptions = { context, ...(context.startsWith("full") && { contextLength: 400 }) };
      for (const [before, written] of [
        [0, 0],
        [1, 0],
        [33, 4],
        [150, 1],
      ]) {
        const start = async () => {
          const session = model.session(options);
          if (before > 0) await write(session, randomIds(before, VOCABULARY, 3), written);
          return session;
        };
        const [one, two] = [randomIds(5, VOCABULARY, 1), randomIds(9, VOCABULARY, 2)];
        const expected = [await write(await start(), one, 8), await write(await start(), two, 8)];
        const session = await start();
        const other = await session.fork();
        expect(other.usage).toMatchObject({ seen: session.usage.seen, kept: session.usage.kept });
        expect(other.context).toBe(session.context);
        expect(await Promise.all([write(session, one, 8), write(other, two, 8)])).toEqual(expected);
        const third = await other.fork();
        await session.dispose();
        await other.dispose();
        const again = await start();
        await write(again, two, 8);
        expect(await write(third, one, 5)).toEqual(await write(again, one, 5));
        await third.dispose();
        await again.dispose();
      }
    },
  );
});

describe("a session that is forked", () => {
  let model: LocalModel;
  beforeAll(async () => {
    model = await loadLocal(tinyFile(), { threads: 1 });
  });
  afterAll(() => model.dispose());

  it("takes its conversation along", async () => {
    const session = model.session();
    const asked = async (to: Session, text: string) => {
      for await (const _ of to.chat(text, { ...ANY, maxTokens: 4 }));
    };
    await asked(session, "one");
    const other = await session.fork();
    await asked(other, "two");
    expect(session.messages).toHaveLength(2);
    expect(other.messages.slice(0, 2)).toEqual(session.messages);
    expect(other.messages).toHaveLength(4);
  });

  it("must not be writing, and be there", async () => {
    const session = model.session();
    const parts = session.generate("a", ANY);
    await parts.next();
    await expect(session.fork()).rejects.toThrow(ArgumentError);
    await parts.return();
    await session.dispose();
    await expect(session.fork()).rejects.toThrow("disposed");
  });
});

describe("where a second cache does not fit", () => {
  it("says so, and the first goes on", async () => {
    const model = await loadLocal(tinyFile(), { threads: 1, memoryLimitBytes: 256e6 });
    const { availableBytes, cacheBytes, cacheTokens } = await model.plan({ context: "full", contextLength: 1000 });
    expect(availableBytes).not.toBeNull();
    const most = Math.floor((((availableBytes ?? 0) * 0.6) / cacheBytes) * cacheTokens);
    const session = model.session({ context: "full", contextLength: most });
    await write(session, randomIds(9, 300, 1), 2);
    await expect(session.fork()).rejects.toThrow(MemoryError);
    expect(await write(session, randomIds(3, 300, 1), 2)).toHaveLength(2);
    await model.dispose();
  });
});
