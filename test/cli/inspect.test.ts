import { describe, expect, test } from "vitest";
import type { Checkpoint, MetadataValue, TensorEntry } from "../../src/formats/checkpoint.js";
import { cli } from "./support/fake-io.js";

const read = async () => Promise.reject(new Error("weights were read"));

function tensor(name: string, dtype: TensorEntry["dtype"], rows: number, cols: number, bytes: number): TensorEntry {
  return { name, dtype, rows, cols, bytes, read };
}

function checkpoint(metadata: Record<string, MetadataValue>, rest: Partial<Checkpoint> = {}): Checkpoint {
  const entries = new Map(Object.entries(metadata));
  const tensors = [tensor("token_embd.weight", "q8_0", 100, 32, 3400), tensor("output_norm.weight", "f32", 1, 32, 128)];
  return {
    format: "gguf",
    location: "m.gguf",
    architecture: String(metadata["general.architecture"] ?? "llama"),
    metadata: entries,
    tensors: new Map(tensors.map((entry) => [entry.name, entry])),
    tokenizer: undefined,
    ropeLayout: undefined,
    close: async () => {},
    ...rest,
  };
}

const LLAMA = {
  "general.architecture": "llama",
  "general.name": "Small\u001b[31m",
  "llama.block_count": 2,
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 64,
  "llama.attention.head_count": 4,
  "llama.attention.head_count_kv": 2,
  "llama.context_length": 512,
  "llama.rope.freq_base": 10000,
  "tokenizer.ggml.tokens": Array.from({ length: 100 }, (_, index) => `t${index}`),
  "tokenizer.ggml.scores": new Float32Array(100),
  big: 2n ** 60n,
};

describe("sluice inspect", () => {
  test("summarises for people, and does not pass on escapes", async () => {
    const { code, out, err } = await cli(["inspect", "m.gguf"], { checkpoint: checkpoint(LLAMA) });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const facts = Object.fromEntries(out.split("\n").map((line) => line.split(/ {2,}/, 2)));
    expect(facts).toMatchObject({
      model: "Small\\u001b[31m",
      architecture: "llama",
      parameters: "3,232",
      layers: "2",
      heads: "4, KV heads 2, head width 8",
      vocabulary: "100",
      "trained for": "512 tokens",
      rope: "base 10,000",
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
    expect(await memory()).toMatchObject({ context: "full", kv: "f16", tokens: 512, bytesPerToken: 128 });
    expect(await memory("--kv", "f32")).toMatchObject({ bytesPerToken: 256 });
    expect(await memory("--kv", "q8/f16")).toMatchObject({ bytesPerToken: 4 * (8 + 4 + 16) });
    // Whole pages of 16 tokens.
    expect(await memory()).toMatchObject({ bytes: 128 * 512 });
    expect(await memory("--context-length", "1000")).toMatchObject({ tokens: 1000, bytes: 128 * 1008 });
    // Under a budget, the chunk that is being read (256) stands beside it, and two pages are shared with what is gone.
    expect(await memory("--context", "sinks:4,recent:60")).toMatchObject({ tokens: 64, bytes: 128 * (64 + 256 + 32) });
  });

  test("figures that are missing are unknown, and the rest is still shown", async () => {
    const file = checkpoint({
      "general.architecture": "weird",
      "weird.block_count": 1e12,
      "weird.attention.head_count": 4,
    });
    const { code, out } = await cli(["inspect", "m.gguf"], { checkpoint: file });
    expect(code).toBe(0);
    expect(out).toMatch(/^architecture +weird \(not supported yet\)$/m);
    expect(out).toMatch(/^cache +unknown for an unknown number of tokens/m);
    const json = await cli(["inspect", "m.gguf", "--json"], { checkpoint: file });
    expect(JSON.parse(json.out)).toMatchObject({ supported: false, width: null, memory: { cache: { bytes: null } } });
  });

  test("KV heads may differ by layer; layers without any keep no cache", async () => {
    const file = checkpoint({ ...LLAMA, "llama.attention.head_count_kv": Int32Array.of(0, 4) });
    const { out } = await cli(["inspect", "m.gguf"], { checkpoint: file });
    expect(out).toContain("KV heads 0 to 4 by layer");
    const json = await cli(["inspect", "m.gguf", "--json"], { checkpoint: file });
    expect(JSON.parse(json.out).memory.cache.bytesPerToken).toBe(4 * 32);
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
