/** Loading: what it reports, what it refuses, and that nothing stays behind. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LoadOptions, LoadProgress } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { setPlatform } from "../../src/util/platform.js";
import { testPlatform } from "../support/test-platform.js";
import { type TinyOptions, tinyFile, tinyGguf } from "../support/tiny-gguf.js";

const load = (options: TinyOptions) => loadLocal(tinyFile(options), { backend: "reference" });

describe("loading", () => {
  it("tells its phases and what memory it will take before it takes it", async () => {
    const seen: LoadProgress[] = [];
    const model = await loadLocal(tinyFile(), { threads: 1, onProgress: (progress) => seen.push(progress) });
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(["resolve", "header", "weights", "ready"]);
    const planned = seen.find(({ phase }) => phase === "weights");
    expect(planned).toMatchObject({ doneBytes: 0, plan: { weightBytes: model.info.weightBytes, cacheTokens: 64 } });
    expect(model.info).toMatchObject({
      architecture: "llama",
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headWidth: 8,
      trainedContext: 64,
    });
    expect(model.runner.backend.memoryBytes).toBeGreaterThanOrEqual(model.info.weightBytes);
    await model.dispose();
  });

  it("plans a session's cache as large as it gets", async () => {
    const model = await loadLocal(tinyFile(), { threads: 1 });
    const options = { context: "sinks:4,recent:100", kv: "q8", chunk: 32 };
    const session = model.session(options);
    for await (const _ of session.generate(new Array(300).fill(270), {
      temperature: 0,
      maxTokens: 40,
      ignoreEnd: true,
    }));
    const plan = await model.plan(options);
    expect(session.usage.cacheBytes).toBeLessThanOrEqual(plan.cacheBytes);
    expect(session.usage.cacheBytes).toBeGreaterThan(plan.cacheBytes / 2);
    await model.dispose();
  });

  it.each<[string, TinyOptions, string, RegExp]>([
    ["a missing tensor", { without: ["blk.1.ffn_up.weight"] }, "bad_format", /blk\.1\.ffn_up\.weight.*missing/],
    ["no embedding", { without: ["token_embd.weight"] }, "bad_format", /token_embd\.weight/],
    ["a wrong shape", { shapes: { "blk.0.attn_q.weight": [16, 32] } }, "bad_format", /\[16, 32\], expected \[32, 32\]/],
    [
      "an unknown architecture",
      { metadata: { "general.architecture": "rwkv9" } },
      "unsupported",
      /rwkv9.*supported are llama/,
    ],
    ["no architecture", { metadata: { "general.architecture": undefined } }, "bad_format", /general\.architecture/],
    [
      "a missing key",
      { metadata: { "llama.embedding_length": undefined } },
      "bad_format",
      /llama\.embedding_length.*missing/,
    ],
    [
      "a key of the wrong kind",
      { metadata: { "llama.block_count": "two" } },
      "bad_format",
      /block_count.*whole number|block_count.*number/,
    ],
    [
      "an absurd count of blocks",
      { metadata: { "llama.block_count": 2 ** 31 - 1 } },
      "bad_format",
      /2147483647 blocks/,
    ],
    ["heads that do not divide", { metadata: { "llama.attention.head_count_kv": 3 } }, "bad_format", /evenly/],
    ["no heads", { metadata: { "llama.attention.head_count": 0 } }, "bad_format", /head_count/],
    ["no count of used experts", { metadata: { "llama.expert_count": 8 } }, "bad_format", /expert_used_count/],
    [
      "more used experts than there are",
      { metadata: { "llama.expert_count": 8, "llama.expert_used_count": 9 } },
      "bad_format",
      /9 of 8 experts/,
    ],
    [
      "an absurd count of experts",
      { metadata: { "llama.expert_count": 2 ** 31 - 1, "llama.expert_used_count": 2 } },
      "bad_format",
      /2147483647 experts/,
    ],
    [
      "experts that are not there",
      { metadata: { "llama.expert_count": 8, "llama.expert_used_count": 2 } },
      "bad_format",
      /ffn_gate_inp.*missing/,
    ],
    ["an unknown rope scaling", { metadata: { "llama.rope.scaling.type": "spiral" } }, "unsupported", /spiral/],
    ["odd rotated dims", { metadata: { "llama.rope.dimension_count": 5 } }, "bad_format", /rotated dims/],
    [
      "no tokenizer",
      { metadata: { "tokenizer.ggml.model": undefined, "tokenizer.ggml.tokens": undefined } },
      "bad_format",
      /tokenizer/,
    ],
  ])("refuses %s", async (_, options, code, message) => {
    await expect(load(options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("refuses weights that cannot fit, with figures", async () => {
    const error = await loadLocal(tinyFile(), { memoryLimitBytes: 100_000 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "out_of_memory", details: { availableBytes: 100_000 } });
  });

  it("counts the scratch pages of dynamic NTK, and a window that is recomputed in chunks", async () => {
    const scaling = { "llama.rope.scaling.type": "dynamic", "llama.rope.scaling.factor": 2 };
    const model = await loadLocal(tinyFile({ metadata: scaling }), { threads: 1 });
    const before = model.runner.backend.memoryBytes;
    for (const [context, length] of [
      ["full", 150],
      ["recompute:150", 160],
    ] as const) {
      const options = { context, kv: "f32", contextLength: 150, chunk: 16 };
      const plan = await model.plan(options);
      const session = model.session(options);
      for await (const _ of session.score(
        Array.from({ length }, (_, i) => 261 + (i % 20)),
        { batch: 10 },
      ));
      expect(session.usage.cacheBytes).toBeLessThanOrEqual(plan.cacheBytes);
      expect(model.runner.backend.memoryBytes - before).toBeLessThanOrEqual(
        2 * (plan.cacheBytes + plan.activationBytes),
      );
      await session.dispose();
    }
    await model.dispose();
  });

  it("recompute with a window as long as the text is full attention, under dynamic NTK too", async () => {
    const scaling = { "llama.rope.scaling.type": "dynamic", "llama.rope.scaling.factor": 2 };
    const model = await loadLocal(tinyFile({ metadata: scaling }), { threads: 1 });
    const ids = Array.from({ length: 127 }, (_, i) => 261 + ((i * i) % 23));
    const scores = async (context: string) => {
      const all: number[] = [];
      for await (const part of model.session({ context, kv: "f32", contextLength: 200 }).score(ids))
        all.push(...part.logprobs);
      return all;
    };
    const full = await scores("full");
    for (const [i, logprob] of (await scores("recompute:500")).entries()) expect(logprob).toBeCloseTo(full[i], 4);
    await model.dispose();
  });

  it("refuses wrong arguments by name", async () => {
    await expect(loadLocal("")).rejects.toMatchObject({ code: "bad_argument" });
    await expect(loadLocal(tinyFile(), { memoryLimitBytes: Number.NaN })).rejects.toMatchObject({
      code: "bad_argument",
    });
    const options = JSON.parse('{"backend":"x"}');
    await expect(loadLocal(tinyFile(), options)).rejects.toMatchObject({
      code: "bad_argument",
      details: { option: "backend" },
    });
  });

  it.each([
    ["precise", '"false"'],
    ["precise", "null"],
    ["wide", "1"],
    ["wide", '"0"'],
  ])("refuses %s: %s, which is neither true nor false", async (option, value) => {
    const options = JSON.parse(`{"${option}":${value}}`);
    await expect(loadLocal(tinyFile(), options)).rejects.toMatchObject({ code: "bad_argument", details: { option } });
  });

  it("refuses an absent file and a cancelled load", async () => {
    await expect(loadLocal("/nowhere/model.gguf")).rejects.toMatchObject({ code: "not_found" });
    await expect(loadLocal(tinyFile(), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
  });

  it("refuses a file that ends inside its weights", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "sluice-")), "cut.gguf");
    writeFileSync(path, tinyGguf().subarray(0, -1000));
    await expect(loadLocal(path)).rejects.toMatchObject({ code: "bad_format" });
  });
});

describe("one thread where the platform allows no more", () => {
  it("is a note of the model, unless it was asked for or changes nothing", async () => {
    setPlatform({ ...testPlatform, cores: 1, oneThread: "threads cannot share memory here. Do this" });
    try {
      const notesOf = async (options: LoadOptions) => {
        const model = await loadLocal(tinyFile(), options);
        const { notes, threads } = model.info;
        expect(threads).toBe(1);
        expect(model.session().notes).toEqual(notes);
        await model.dispose();
        return notes;
      };
      expect(await notesOf({})).toEqual([
        "The model runs on one thread: threads cannot share memory here. Do this to use all cores.",
      ]);
      expect(await notesOf({ threads: 1 })).toEqual([]);
      expect(await notesOf({ backend: "reference" })).toEqual([]);
    } finally {
      setPlatform(testPlatform);
    }
  });
});

describe("a location that only a shell understands", () => {
  it.each([
    ["~/model.gguf", 'Shells make a home folder of "~", programs do not: write the path out'],
    ["~", 'home folder of "~"'],
    ["~user/models", 'home folder of "~user"'],
    ["~\\model.gguf", 'home folder of "~"'],
    ["$HOME/model.gguf", 'Shells replace "$HOME", programs do not'],
    ["/no/$MODELS/model.gguf", 'Shells replace "$MODELS"'],
    ["%USERPROFILE%\\model.gguf", 'Shells replace "%USERPROFILE%"'],
    ["models~old.gguf", "A model of the hub is written hf:user/repo."],
    ["a 100% model.gguf", "A model of the hub is written hf:user/repo."],
  ])("is told as such: %s", async (location, message) => {
    await expect(loadLocal(location)).rejects.toThrow(`There is no file or folder ${location}. `);
    await expect(loadLocal(location)).rejects.toThrow(message);
    await expect(openCheckpoint(location, testPlatform)).rejects.toThrow(message);
  });
});
