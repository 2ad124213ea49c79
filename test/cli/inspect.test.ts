import { describe, expect, test } from "vitest";
import { layerNumbers } from "../../src/cli/inspect/layer-groups.js";
import { checkpoint, familyCheckpoint } from "./support/checkpoints.js";
import { cli } from "./support/fake-io.js";

const LLAMA = {
  "general.architecture": "llama",
  "general.name": "Small\u001b[31m",
  "llama.block_count": 2,
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 64,
  "llama.attention.head_count": 4,
  "llama.attention.head_count_kv": 2,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.context_length": 512,
  "llama.rope.freq_base": 10000,
  "tokenizer.ggml.tokens": Array.from({ length: 100 }, (_, index) => `t${index}`),
  "tokenizer.ggml.scores": new Float32Array(100),
  big: 2n ** 60n,
};

/** Lines of a name and a text, by name. */
const facts = (out: string) => Object.fromEntries(out.split("\n").map((line) => line.split(/ {2,}/, 2)));

describe("sluice inspect", () => {
  test("summarises for people, and does not pass on escapes", async () => {
    const { code, out, err } = await cli(["inspect", "m.gguf"], { checkpoint: checkpoint(LLAMA) });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(facts(out)).toMatchObject({
      model: "Small\\u001b[31m",
      architecture: "llama",
      parameters: "3,232",
      layers: "2, attention",
      heads: "4, KV heads 2, head width 8",
      positions: "RoPE interleaved, base 10,000",
      "feed-forward": "gated silu, 64",
      residual: "sequential",
      norms: "RMSNorm, epsilon 1e-5",
      embedding: "100 tokens; the head is the same matrix",
      "trained for": "512 tokens",
      weights: "3.53 kB",
    });
    expect(out).toMatch(/^q8_0 +1 +3,200 +3\.40 kB$/m);
    expect(out).not.toContain("\x1b");
  });

  test("computes the cache from layers, KV heads, widths and the cache type", async () => {
    const memory = async (...flags: string[]) => {
      const { out } = await cli(["inspect", "m.gguf", "--json", ...flags], { checkpoint: checkpoint(LLAMA) });
      return JSON.parse(out).memory.cache;
    };
    // 2 layers x 2 KV heads x (8 + 8) numbers a token.
    expect(await memory()).toMatchObject({ context: "auto:512", kv: "f16", tokens: 512, bytesPerToken: 128 });
    expect(await memory("--kv", "f32")).toMatchObject({ bytesPerToken: 256 });
    expect(await memory("--kv", "q8/f16")).toMatchObject({ bytesPerToken: 4 * (8 + 4 + 16) });
    // Half a byte a number and two of a scale.
    expect(await memory("--kv", "q4")).toMatchObject({ bytesPerToken: 4 * (4 + 2 + 4 + 2) });
    // Whole pages of 16 tokens.
    expect(await memory("--context", "full")).toMatchObject({ bytes: 128 * 512 });
    expect(await memory("--context", "full", "--context-length", "1000")).toMatchObject({
      tokens: 1000,
      bytes: 128 * 1008,
    });
    // Under a budget, the chunk that is being read (256) stands beside it, and two pages are shared with what is gone.
    expect(await memory("--context", "sinks:4,recent:60")).toMatchObject({ tokens: 64, bytes: 128 * (64 + 256 + 32) });
    const { out } = await cli(["inspect", "m.gguf", "--context", "recent:60"], { checkpoint: checkpoint(LLAMA) });
    expect(out).toMatch(
      /^cache +45\.1 kB for 60 tokens and 256 being read \(recent:60, kv f16, 128 B a token, 4\.61 kB to fill pages\)$/m,
    );
    expect(await memory("--context", "recompute:60")).toMatchObject({ tokens: 60, chunk: 0, bytes: 128 * 64 });
  });

  test("an architecture that is not run: why, and the metadata's figures, which may be missing", async () => {
    const file = checkpoint({
      "general.architecture": "weird",
      "weird.block_count": 1e12,
      "weird.attention.head_count": 4,
    });
    const { code, out } = await cli(["inspect", "m.gguf"], { checkpoint: file });
    expect(code).toBe(0);
    expect(out).toMatch(/^not run +The architecture "weird" is not supported yet; supported are .*llama/m);
    expect(out).toMatch(/^heads +4, KV heads unknown, head width unknown$/m);
    expect(out).not.toMatch(/^cache/m);
    const json = JSON.parse((await cli(["inspect", "m.gguf", "--json"], { checkpoint: file })).out);
    expect(json).toMatchObject({ supported: false, figures: { width: null }, memory: { cache: null } });
    expect(json.model).toBeUndefined();
  });

  test("a file of a supported architecture that cannot be run says why too", async () => {
    const file = checkpoint({ ...LLAMA, "llama.attention.head_count_kv": 3 });
    const { code, out } = await cli(["inspect", "m.gguf"], { checkpoint: file });
    expect(code).toBe(0);
    expect(out).toMatch(/^not run +m\.gguf: 4 heads cannot share 3 KV heads evenly\.$/m);
  });

  test("tensors of unsupported types are listed and counted", async () => {
    const unsupportedTensors = new Map([["x", { name: "x", type: "iq1_s", rows: 2, cols: 256 }]]);
    const { code, out } = await cli(["inspect", "m.gguf", "--tensors"], {
      checkpoint: checkpoint(LLAMA, { unsupportedTensors }),
    });
    expect(code).toBe(0);
    expect(out).toContain("does not compute with yet, of unknown size: 1");
    expect(out).toMatch(/^weights +at least 3\.53 kB$/m);
    expect(out).toMatch(/^token_embd\.weight +100 x 32 {2}q8_0 +3,400$/m);
    expect(out).toMatch(/^x +2 x 256 {2}iq1_s \(not supported yet\) +unknown$/m);
  });

  test("metadata: floats of 32 bits are written as short as they go", async () => {
    const values = {
      "llama.a": Math.fround(1e-5),
      "llama.b": Math.fround(0.1),
      "llama.c": 0.123456789012,
      "llama.d": Math.fround(1 / 3),
    };
    const { out } = await cli(["inspect", "m.gguf", "--metadata"], { checkpoint: checkpoint({ ...LLAMA, ...values }) });
    expect(facts(out)).toMatchObject({
      "llama.a": "0.00001",
      "llama.b": "0.1",
      "llama.c": "0.123456789012",
      "llama.d": "0.33333334",
    });
  });

  test("metadata: long lists are shortened with their count, in text and JSON", async () => {
    const { out } = await cli(["inspect", "m.gguf", "--metadata"], { checkpoint: checkpoint(LLAMA) });
    expect(out).toMatch(/^tokenizer\.ggml\.tokens +\["t0", "t1", "t2", "t3", "t4", "t5", \.\.\. 100 in all\]$/m);
    expect(out).toMatch(/^big +1152921504606846976$/m);
    const json = await cli(["inspect", "m.gguf", "--metadata", "--json"], { checkpoint: checkpoint(LLAMA) });
    const { metadata } = JSON.parse(json.out);
    expect(metadata["tokenizer.ggml.scores"]).toMatchObject({ count: 100 });
    expect(metadata["tokenizer.ggml.scores"].first).toHaveLength(32);
    expect(metadata.big).toBe("1152921504606846976");
    expect(metadata["llama.block_count"]).toBe(2);
  });

  test("an absent file and a wrong policy", async () => {
    expect((await cli(["inspect", "nowhere.gguf"])).code).toBe(1);
    expect((await cli(["inspect", "m.gguf", "--context", "x"], { checkpoint: checkpoint(LLAMA) })).code).toBe(2);
  });
});

describe("sluice inspect of each family", () => {
  test.each([
    [
      "gptneox",
      {
        positions: "RoPE halves, 4 of 16 dims, base 10,000",
        "feed-forward": "dense gelu, 128",
        residual: "parallel",
        norms: "LayerNorm, epsilon 1e-5",
        embedding: "100 tokens; the head is a matrix of its own",
      },
    ],
    ["gpt2", { positions: "learned, for 512 positions", residual: "sequential" }],
    // 6 heads: those of 4, then every other of 8.
    ["bloom", { positions: "ALiBi, slopes from 0.5 to 0.00391", embedding: /^100 tokens, then LayerNorm/ }],
    ["mpt", { positions: "none", clamp: "queries, keys and values cut off at 8" }],
    [
      "gemma2",
      {
        heads: "4, KV heads 2, head width 32",
        window: "32 tokens (layers 0, 2); none (layer 1)",
        scores: "capped at 8",
        norms: "RMSNorm, epsilon 1e-6, before and behind each branch",
        embedding: "100 tokens, scaled by 8; the head is the same matrix",
        logits: "capped at 30",
      },
    ],
    [
      "gpt-oss",
      {
        positions: "RoPE halves, base 10,000, yarn x4 from 128 tokens",
        scores: "with a learned sink per head",
        "feed-forward": "8 experts, 2 used, weights renormalised, gated clampedSwiglu, 128 each",
      },
    ],
    [
      "mamba",
      {
        layers: "4, Mamba",
        "state space": "128 channels with states of 16, convolution of 4, time step of rank 4",
        "feed-forward": "none",
        positions: "none",
      },
    ],
    ["mamba2", { layers: "4, Mamba-2", "state space": /, 8 heads in 2 groups$/ }],
    [
      "jamba",
      {
        layers: "4: attention x 1 (layer 1), Mamba x 3",
        heads: "4, KV heads 2, head width 16",
        "state space": /RMSNorm of dt, B and C$/,
        "feed-forward":
          "gated silu, 128 (layers 0-2); " +
          "8 experts, 2 used, weights not renormalised, gated silu, 128 each (layer 3)",
      },
    ],
    [
      "t5",
      {
        positions: "relative, 32 buckets up to a distance of 128",
        scores: "not scaled",
        "cross attention": "heads 4, KV heads 4, head width 16",
        "encoder layers": "4, attention",
      },
    ],
  ])("%s", async (architecture, expected) => {
    const { code, out, err } = await cli(["inspect", "m.gguf"], { checkpoint: familyCheckpoint(architecture) });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const found = facts(out);
    for (const [name, text] of Object.entries(expected)) {
      if (typeof text === "string") expect(found[name]).toBe(text);
      else expect(found[name]).toMatch(text);
    }
  });

  test.each([
    ["rope", "RoPE interleaved, base 10,000"],
    ["alibi", "ALiBi, slopes from 0.25 to 0.00391"],
    ["relative", "relative, 32 buckets up to a distance of 128"],
    ["learned", "learned, for 512 positions"],
    ["sinusoidal", "sinusoidal, added to the embedding"],
    ["none", "none"],
  ])("sluice with the position scheme %s", async (scheme, positions) => {
    const model = () => familyCheckpoint("sluice", { "position.scheme": scheme });
    const { code, out } = await cli(["inspect", "m.gguf"], { checkpoint: model() });
    expect(code).toBe(0);
    const window = "32 tokens";
    expect(facts(out)).toMatchObject({ positions, window, scores: "with a learned sink per head" });
    // Distances in the cache are those of positions that can be moved.
    const streaming = await cli(["inspect", "m.gguf", "--context", "sinks:4,recent:60"], { checkpoint: model() });
    const fixed = ["learned", "sinusoidal"].includes(scheme);
    expect(streaming.code === 0).toBe(!fixed);
    expect(streaming.err.includes(`positions of this sluice model are ${scheme}`)).toBe(fixed);
  });

  const memory = async (architecture: string, ...flags: string[]) => {
    const setup = { checkpoint: familyCheckpoint(architecture) };
    const policy = flags.length > 0 ? flags : ["--context", "full"];
    return JSON.parse((await cli(["inspect", "m.gguf", "--json", ...policy], setup)).out).memory.cache;
  };

  test("windows hold what they see, in pages, beside the chunk that is read", async () => {
    // Each layer: 2 KV heads x (32 + 32) numbers of 2 bytes a token.
    const each = 2 * 64 * 2;
    expect(await memory("gemma2")).toMatchObject({
      bytesPerToken: 3 * each,
      bytesPerTokenBeyondWindows: each,
      bytes: each * 512 + 2 * each * (32 + 256 + 32),
    });
  });

  test("what is read of what is held is told, and what bounds of keys take", async () => {
    const question = ["inspect", "m.gguf", "--context", "full,read=quest:128"];
    const setup = () => ({ checkpoint: familyCheckpoint("gptneox") });
    const { cache } = JSON.parse((await cli([...question, "--json"], setup())).out).memory;
    // Two layers read everything. Bounds of 32 pages in the others: of 2 KV heads x 32 numbers, twice 2 bytes, in two blocks.
    expect(cache).toMatchObject({
      reads: { tokens: 128, layers: 2, denseLayers: 2 },
      boundsBytes: 2 * 32 * 2 * 32 * 4,
    });
    expect((await memory("gptneox")).boundsBytes).toBe(0);
    expect((await memory("gptneox")).bytes).toBe(cache.bytes - cache.boundsBytes);
    const { out } = await cli(question, setup());
    expect(out).toMatch(
      /^reads +128 tokens at most for a token that it writes, in 2 layers; the first 2 with attention read everything$/m,
    );
    expect(out).toMatch(/, 16\.4 kB for bounds of keys\)$/m);
    const one = (await cli(["inspect", "m.gguf", "--context", "full,read=quest:128,dense=1"], setup())).out;
    expect(one).toMatch(/^reads .* in 3 layers; the first one with attention reads everything$/m);
    const pattern = (await cli(["inspect", "m.gguf", "--context", "bigbird:32"], setup())).out;
    expect(pattern).toMatch(/^reads +224 tokens at most for a token that it writes, in 4 layers$/m);
    const all = (await cli(["inspect", "m.gguf", "--context", "full"], setup())).out;
    expect(all).not.toMatch(/^reads|bounds of keys/m);
  });

  test("under duo a token costs what the heads take that keep everything, beyond the windows of the others", async () => {
    const files = { "g.tsv": "1\t0\t1\t0\n".repeat(4) };
    const argv = ["inspect", "m.gguf", "--gates", "g.tsv", "--context", "duo:g.tsv,sinks:16,recent:32"];
    const setup = () => ({ checkpoint: familyCheckpoint("gptneox"), files });
    const { cache } = JSON.parse((await cli([...argv, "--json"], setup())).out).memory;
    const each = (await memory("gptneox")).bytesPerToken;
    expect(cache).toMatchObject({ bytesPerToken: each, bytesPerTokenBeyondWindows: each / 2 });
    expect((await cli(argv, setup())).out).toMatch(/1\.02 kB a token, 512 B beyond the windows/);
  });

  test("a system message comes on top of what is planned, and is for chats", async () => {
    const flags = ["--context", "sinks:system,recent:600"];
    expect(await memory("gptneox", ...flags)).toMatchObject({ tokens: 604, systemMessage: true });
    expect(await memory("gptneox", "--context", "sinks:4,recent:600")).toMatchObject({
      tokens: 604,
      systemMessage: false,
    });
    const { out } = await cli(["inspect", "m.gguf", ...flags], { checkpoint: familyCheckpoint("gptneox") });
    expect(out).toMatch(/^cache .* for 604 tokens and the system message and 256 being read/m);
    expect(out).toMatch(/^note +In a chat its system message is kept beside these tokens/m);
    expect(out).toContain(
      "lets the model see the system message and 600 tokens beside it at once; it was trained for 512",
    );
  });

  test("states have one size; of a mixed model only the attention layers keep tokens", async () => {
    // Per layer 3 inputs and a state of 16 for each of 128 channels, f32, twice: before and after a step.
    const state = 2 * 4 * 128 * (3 + 16);
    expect(await memory("mamba")).toMatchObject({ bytesPerToken: 0, stateBytes: 4 * state, bytes: 4 * state });
    const full = await memory("jamba");
    expect(full).toMatchObject({ bytesPerToken: 128, stateBytes: 3 * state, bytes: 128 * 512 + 3 * state, notes: [] });
    const bounded = await memory("jamba", "--context", "sinks:4,recent:60");
    expect(bounded.bytes).toBe(128 * (64 + 256 + 32) + 3 * state);
    expect(bounded.notes).toEqual([expect.stringContaining("layers with attention, 1 of 4")]);
  });

  test("an encoder's source is held beside the decoder's text", async () => {
    const each = 4 * 4 * 32 * 2;
    expect(await memory("t5")).toMatchObject({ sourceBytes: each * 512, bytes: each * 512 * 2, sourceTokens: 512 });
    const { out } = await cli(["inspect", "m.gguf"], { checkpoint: familyCheckpoint("t5") });
    expect(out).toMatch(/^source +524 kB for 512 tokens that the encoder reads$/m);
  });

  test("a policy that makes no sense for the model is refused, as a session would", async () => {
    const refused = async (architecture: string) =>
      cli(["inspect", "m.gguf", "--context", "sinks:4,recent:60"], { checkpoint: familyCheckpoint(architecture) });
    expect(await refused("mamba")).toMatchObject({ code: 2, err: expect.stringContaining("it has no attention") });
    expect(await refused("gpt2")).toMatchObject({ code: 2, err: expect.stringContaining("are learned") });
  });

  test("lists of layers: runs, and long lists shortened", () => {
    expect(layerNumbers([5])).toBe("layer 5");
    expect(layerNumbers([0, 1, 2, 4, 5, 7])).toBe("layers 0-2, 4, 5, 7");
    expect(layerNumbers(Array.from({ length: 20 }, (_, index) => 2 * index))).toBe("layers 0, 2, 4, ... 38");
  });
});
