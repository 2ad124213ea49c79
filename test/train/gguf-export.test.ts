/** Trained models as GGUF: every architecture comes back bit for bit, rounded ones as their types round, keys as llama.cpp asks. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import type { MetadataValue } from "../../src/formats/checkpoint.js";
import { ggufFile } from "../../src/formats/write/gguf-writer.js";
import type { DType } from "../../src/tensor/dtype.js";
import { exportGguf, type GgufQuant, saveFile, type TrainedModel } from "../../src/train/export/index.js";
import { FormatError, NumericError, UnsupportedError } from "../../src/util/errors.js";
import { FAMILIES, type Family, familyNamed } from "../support/families.js";
import { worst } from "../support/logits.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";
import { stored } from "../support/stored.js";
import { contentsOf, difference, logitsOf, temporaryFolder, trainedFrom, writeStreamed } from "../support/trained.js";

/** The same products in the same order, but for the type that the backend expands from. */
const SAME = 1e-6;

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
async function exported(model: TrainedModel, quant: GgufQuant): Promise<string> {
  return writeStreamed(join(folder, `${++files}.gguf`), await exportGguf({ model, quant }));
}

function withKeys(model: TrainedModel, keys: Readonly<Record<string, MetadataValue>>): TrainedModel {
  return { ...model, metadata: new Map([...model.metadata, ...Object.entries(keys)]) };
}

describe.each(FAMILIES.map((family): [string, Family] => [family.name, family]))("%s", (_, family) => {
  it("comes back from f32 with the same bits and the same spec", async () => {
    const { path, values } = randomGguf(family);
    const back = await contentsOf(await exported(await trainedFrom(path), "f32"));
    expect([...back.tensors.keys()]).toEqual([...values.keys()]);
    for (const [name, { values: found, dtype }] of back.tensors) {
      expect(dtype).toBe("f32");
      expect(difference(found, values.get(name) ?? new Float32Array()), name).toBe(-1);
    }
    expect(back.spec).toEqual((await contentsOf(path)).spec);
  });
});

/** Widths of whole blocks, but for one: the rows of ffn_down. */
const LLAMA: Family = {
  ...familyNamed("llama"),
  keys: { ...familyNamed("llama").keys, embedding_length: 64, "attention.head_count": 4, "attention.head_count_kv": 2 },
};

describe("types", () => {
  let model: TrainedModel;
  let path: string;
  beforeAll(async () => {
    ({ path } = randomGguf(LLAMA));
    model = await trainedFrom(path);
  });
  const ids = randomIds(40, FAMILY_TOKENS.length, 3);

  it.each<[GgufQuant, DType, DType, DType]>([
    ["f32", "f32", "f32", "f32"],
    ["f16", "f16", "f16", "f16"],
    ["q8_0", "q8_0", "q8_0", "f16"],
    ["q4_0", "q4_0", "q8_0", "f16"],
  ])("%s: matrices are %s, the ends %s, what has no whole blocks %s", async (quant, matrices, ends, rest) => {
    const { tensors } = await contentsOf(await exported(model, quant));
    for (const tensor of model.tensors) {
      const { name, rows, cols } = tensor;
      const found = tensors.get(name);
      if (!found) throw new Error(`${name} is missing`);
      const expected = rows === 1 ? "f32" : /^(token_embd|output)\./.test(name) ? ends : cols === 52 ? rest : matrices;
      expect(found.dtype, name).toBe(expected);
      const values = await tensor.read();
      for (let row = 0; row < rows; row++) {
        const part = [row * cols, (row + 1) * cols] as const;
        expect(difference(found.values.subarray(...part), stored(expected, values.subarray(...part)))).toBe(-1);
      }
    }
  });

  it.each<GgufQuant>(["f32", "f16", "q8_0", "q4_0"])("%s runs as the model with its weights rounded", async (quant) => {
    const file = await exported(model, quant);
    const { tensors } = await contentsOf(file);
    const rounded = model.tensors.map((tensor) => ({ ...tensor, read: () => tensors.get(tensor.name)?.values ?? [] }));
    const inF32 = await exported({ ...model, tensors: rounded as TrainedModel["tensors"] }, "f32");
    expect(worst(await logitsOf(inF32, ids), await logitsOf(file, ids))).toBeLessThan(SAME);
    if (quant === "f32") expect(worst(await logitsOf(path, ids), await logitsOf(file, ids))).toBe(0);
  });

  it("tells which tensors are not as asked for", async () => {
    const { notes, types } = await exportGguf({ model, quant: "q4_0" });
    expect(notes).toEqual(
      [0, 1].map((n) => `"blk.${n}.ffn_down.weight" is f16: its rows of 52 are no multiple of q4_0's 32`),
    );
    expect(types).toEqual({ q8_0: 2, f32: 6, q4_0: 12, f16: 2 });
  });
});

describe("metadata", () => {
  /** As training may leave it: only what no default stands in for. */
  async function bare(keys: Readonly<Record<string, MetadataValue>> = {}): Promise<TrainedModel> {
    return withKeys(
      await trainedFrom(randomGguf({ ...LLAMA, keys: { ...LLAMA.keys, "rope.freq_base": 500 } }).path),
      keys,
    );
  }
  const metadataOf = async (model: TrainedModel) =>
    (await contentsOf(await exported(model, "q8_0"))).checkpoint.metadata;

  it("has what llama.cpp asks for, in the usual order", async () => {
    const metadata = await metadataOf(await bare({ "llama.tie_word_embeddings": false }));
    const keys = Object.fromEntries(metadata);
    expect([...metadata.keys()].slice(0, 4)).toEqual([
      "general.architecture",
      "general.name",
      "general.file_type",
      "general.quantization_version",
    ]);
    expect(keys).toMatchObject({
      "general.architecture": "llama",
      "general.name": "llama",
      "general.file_type": 7,
      "general.quantization_version": 2,
      "llama.context_length": 64,
      "llama.embedding_length": 64,
      "llama.block_count": 2,
      "llama.feed_forward_length": 52,
      "llama.attention.head_count": 4,
      "llama.attention.head_count_kv": 2,
      "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-5),
      "llama.rope.dimension_count": 16,
      "llama.rope.freq_base": 500,
      "llama.vocab_size": FAMILY_TOKENS.length,
      "tokenizer.ggml.model": "llama",
    });
    expect(keys).not.toHaveProperty("llama.tie_word_embeddings");
  });

  it("takes the tokenizer that is given in place of the model's", async () => {
    const tokenizerKeys = new Map<string, MetadataValue>([
      ["tokenizer.ggml.model", "gpt2"],
      ["tokenizer.ggml.tokens", FAMILY_TOKENS.toReversed()],
    ]);
    const path = join(folder, "tokenizer.gguf");
    await saveFile(path, await exportGguf({ model: await bare(), quant: "f32", tokenizerKeys, name: "mine" }));
    const { metadata } = (await contentsOf(path)).checkpoint;
    expect(metadata.get("general.name")).toBe("mine");
    expect(metadata.get("tokenizer.ggml.tokens")).toEqual(FAMILY_TOKENS.toReversed());
    expect(metadata.has("tokenizer.ggml.scores")).toBe(false);
  });

  const SCALED = { "llama.rope.scaling.factor": 4, "llama.rope.scaling.original_context_length": 32 };
  const YARN = { ...SCALED, "llama.rope.scaling.type": "yarn", "llama.rope.scaling.attn_factor": 1.1 };

  test.each<[string, Readonly<Record<string, MetadataValue>>]>([
    ["linear", { ...SCALED, "llama.rope.scaling.type": "linear" }],
    ["yarn", YARN],
    ["ntk", { ...SCALED, "llama.rope.scaling.type": "ntk" }],
    [
      "llama3",
      {
        ...SCALED,
        "llama.rope.scaling.type": "llama3",
        "llama.rope.scaling.low_freq_factor": 1,
        "llama.rope.scaling.high_freq_factor": 4,
      },
    ],
  ])("RoPE scaling %s is said in keys that llama.cpp knows, and turns by the same angles", async (kind, keys) => {
    const model = await bare(keys);
    const metadata = await metadataOf(model);
    const type = metadata.get("llama.rope.scaling.type");
    expect(type).toBe(kind === "linear" || kind === "yarn" ? kind : undefined);
    // Without the export: the model's own keys, written as they are.
    const path = join(folder, `${kind}.gguf`);
    const ids = randomIds(60, FAMILY_TOKENS.length, 4);
    const own = await writeAsIs(model, path);
    expect(worst(await logitsOf(own, ids), await logitsOf(await exported(model, "f32"), ids))).toBeLessThan(1e-5);
    const plain = await logitsOf(await exported(await bare(), "f32"), ids);
    expect(worst(plain, await logitsOf(own, ids))).toBeGreaterThan(1e-3);
  });

  it("Llama 3's scaling keeps its keys where the architecture reads no divisors", async () => {
    const falcon = await trainedFrom(randomGguf(familyNamed("falcon 7b")).path);
    const said = {
      "falcon.rope.scaling.type": "llama3",
      "falcon.rope.scaling.factor": 4,
      "falcon.rope.scaling.original_context_length": 32,
      "falcon.rope.scaling.low_freq_factor": 1,
      "falcon.rope.scaling.high_freq_factor": 4,
    };
    const model = { ...falcon, metadata: new Map([...falcon.metadata, ...Object.entries(said)]) };
    const { notes } = await exportGguf({ model, quant: "f32" });
    expect(notes.join()).toContain("only Sluice knows Llama 3's scaling");
    const own = await writeAsIs(model, join(folder, "falcon3.gguf"));
    const ids = randomIds(60, FAMILY_TOKENS.length, 4);
    expect(worst(await logitsOf(own, ids), await logitsOf(await exported(model, "f32"), ids))).toBeLessThan(1e-5);
    expect(worst(await logitsOf(own, ids), await logitsOf(await exported(falcon, "f32"), ids))).toBeGreaterThan(1e-3);
  });

  it("refuses dynamic NTK, which GGUF cannot ask for", async () => {
    const model = await bare({ ...SCALED, "llama.rope.scaling.type": "dynamic" });
    await expect(exportGguf({ model, quant: "f16" })).rejects.toThrow(UnsupportedError);
  });
});

/** A file with the model's metadata and f32 tensors. */
async function writeAsIs({ metadata, tensors }: TrainedModel, path: string): Promise<string> {
  const all = tensors.map((tensor) => ({ ...tensor, dtype: "f32" as const }));
  return writeStreamed(path, ggufFile({ metadata, tensors: all }));
}

describe("refuses", () => {
  const bad = async (change: (model: TrainedModel) => TrainedModel) =>
    exportGguf({ model: change(await trainedFrom(randomGguf(LLAMA).path)), quant: "f16" });

  it("a model that lacks a key or a tensor", async () => {
    const without = (key: string) => (model: TrainedModel) => ({
      ...model,
      metadata: new Map([...model.metadata].filter(([name]) => name !== key)),
    });
    await expect(bad(without("llama.embedding_length"))).rejects.toThrow(/llama\.embedding_length/);
    const cut = (model: TrainedModel) => ({
      ...model,
      tensors: model.tensors.filter(({ name }) => name !== "blk.1.ffn_up.weight"),
    });
    await expect(bad(cut)).rejects.toThrow(/blk\.1\.ffn_up\.weight.*missing/);
    await expect(bad(cut)).rejects.toThrow(FormatError);
  });

  it("a tokenizer of another size", async () => {
    const model = await trainedFrom(randomGguf(LLAMA).path);
    const tokenizerKeys = new Map<string, MetadataValue>([["tokenizer.ggml.tokens", ["a", "b"]]]);
    await expect(exportGguf({ model, quant: "f16", tokenizerKeys })).rejects.toThrow(/2 tokens.*41 rows/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 7e4])("the weight %s in f16", async (weight) => {
    const spoilt = await bad((model) => ({
      ...model,
      tensors: model.tensors.map((tensor) =>
        tensor.name === "blk.0.attn_v.weight"
          ? { ...tensor, read: () => new Float32Array(tensor.rows * tensor.cols).fill(weight, 5, 6) }
          : tensor,
      ),
    }));
    const drain = async () => {
      for await (const _ of spoilt.chunks());
    };
    await expect(drain()).rejects.toThrow(NumericError);
    await expect(drain()).rejects.toThrow(/blk\.0\.attn_v\.weight.*element 5/);
  });
});
