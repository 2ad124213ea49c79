/** Trained models as Hugging Face folders: read back they are the same model as the GGUF file, and speak the same tokens. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import type { MetadataValue } from "../../src/formats/checkpoint.js";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import { exportHuggingFace, type HfType, saveFolder, type TrainedModel } from "../../src/train/export/index.js";
import { UnsupportedError } from "../../src/util/errors.js";
import { type Family, familyNamed } from "../support/families.js";
import { worst } from "../support/logits.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";
import { stored } from "../support/stored.js";
import { hfJson } from "../support/tiny-vocabularies.js";
import { contentsOf, difference, logitsOf, temporaryFolder, trainedFrom, writeStreamed } from "../support/trained.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TOKENIZER = hfJson({
  added_tokens: [],
  model: { type: "BPE", vocab: Object.fromEntries(FAMILY_TOKENS.map((text, id) => [text, id])), merges: [] },
});

let folders = 0;
async function exported(model: TrainedModel, dtype: HfType): Promise<string> {
  const path = join(folder, String(++folders));
  mkdirSync(path);
  for (const file of (await exportHuggingFace({ model, dtype })).files)
    await writeStreamed(join(path, file.name), file);
  return path;
}

/** Sums of f32 products in another order, as RoPE by halves has them; relative to the largest logit. */
const REORDERED = 1e-5;

const LLAMA = familyNamed("llama");
const NEOX = familyNamed("gptneox");
const NO_BIAS = /^output(_norm)?\.weight|ffn_gate\.w/;

const KINDS: readonly (readonly [string, Family])[] = [
  ["llama", { ...LLAMA, has: NO_BIAS }],
  ["llama, tied, biases", { ...LLAMA, has: /ffn_gate\.w|attn_[qkv]\.bias|attn_output\.bias/ }],
  ["llama, wide heads", { ...LLAMA, keys: { ...LLAMA.keys, "attention.key_length": 16 }, has: NO_BIAS }],
  ["gpt2", { ...familyNamed("gpt2"), has: /blk.*\.bias$|output_norm\.bias|attn_qkv/ }],
  ["gpt2, untied", { ...familyNamed("gpt2"), has: /blk.*\.bias$|output_norm\.bias|attn_qkv|^output\.weight/ }],
  ["gptneox", { ...NEOX, has: /blk.*\.bias$|attn_qkv|^output\.weight|output_norm\.bias/ }],
  ["gptneox, sequential", familyNamed("gptneox, sequential, exact GELU")],
  ["mamba", familyNamed("mamba")],
];

const ids = randomIds(30, FAMILY_TOKENS.length, 8);

describe.each(KINDS)("%s", (_, family) => {
  it("is the twin of the GGUF file", async () => {
    const { path } = randomGguf(family);
    const model = await trainedFrom(path, TOKENIZER);
    const hf = await exported(model, "f32");
    expect(worst(await logitsOf(path, ids), await logitsOf(hf, ids))).toBeLessThan(REORDERED);
    const { tensors, checkpoint } = await contentsOf(hf);
    expect([...tensors.keys()].sort()).toEqual(model.tensors.map(({ name }) => name).sort());
    expect(checkpoint.metadata.get("tokenizer.ggml.eos_token_id")).toBe(2);
  });

  test.each<HfType>(["f16", "bf16"])("%s rounds every number once", async (dtype) => {
    const model = await trainedFrom(randomGguf(family).path);
    const { tensors } = await contentsOf(await exported(model, dtype));
    for (const { name, read } of model.tensors) {
      // Rows in another order, and the state space's A, which was rounded as its logarithm.
      if (/attn_[qk]\.|ssm_a$/.test(name)) continue;
      const found = tensors.get(name)?.values ?? new Float32Array();
      expect(difference(found, stored(dtype, await read())), name).toBe(-1);
    }
  });
});

function withKeys(model: TrainedModel, keys: Readonly<Record<string, MetadataValue>>): TrainedModel {
  return { ...model, metadata: new Map([...model.metadata, ...Object.entries(keys)]) };
}

const SCALED = { "llama.rope.scaling.factor": 4, "llama.rope.scaling.original_context_length": 16 };
const LLAMA3 = { "llama.rope.scaling.low_freq_factor": 1, "llama.rope.scaling.high_freq_factor": 4 };

test.each<[string, Readonly<Record<string, MetadataValue>>]>([
  ["linear", {}],
  ["ntk", {}],
  ["dynamic", {}],
  ["yarn", { "llama.rope.scaling.attn_factor": 1.25, "llama.rope.scaling.yarn_beta_fast": 16 }],
  ["llama3", LLAMA3],
])("RoPE scaling %s", async (kind, more) => {
  const { path } = randomGguf({ ...LLAMA, has: NO_BIAS });
  const keys = { ...SCALED, ...more, "llama.rope.scaling.type": kind };
  const scaled = randomGguf({
    ...LLAMA,
    has: NO_BIAS,
    keys: {
      ...LLAMA.keys,
      ...(Object.fromEntries(Object.entries(keys).map(([key, value]) => [key.slice(6), value])) as Family["keys"]),
    },
  });
  const hf = await exported(withKeys(await trainedFrom(path, TOKENIZER), keys), "f32");
  const expected = await logitsOf(scaled.path, ids);
  expect(worst(expected, await logitsOf(hf, ids))).toBeLessThan(REORDERED);
  expect(worst(expected, await logitsOf(path, ids))).toBeGreaterThan(1e-3);
});

test("the tokenizer goes along, with its special tokens and template", async () => {
  const { path } = randomGguf({ ...LLAMA, has: NO_BIAS });
  const model = { ...(await trainedFrom(path)), tokenizer: hfJson() };
  const keys = {
    "tokenizer.ggml.bos_token_id": 259,
    "tokenizer.ggml.eos_token_id": 259,
    "tokenizer.chat_template": "{{ x }}",
  };
  const hf = join(folder, "new", "model");
  await saveFolder(hf, await exportHuggingFace({ model: withKeys(model, keys), dtype: "f16" }));
  const read = (name: string) => JSON.parse(readFileSync(join(hf, name), "utf8"));
  expect(read("tokenizer.json")).toEqual(hfJson());
  expect(read("tokenizer_config.json")).toEqual({
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: false,
    bos_token: "<|end|>",
    eos_token: "<|end|>",
    model_max_length: 64,
    clean_up_tokenization_spaces: false,
    chat_template: "{{ x }}",
  });
  expect(read("generation_config.json")).toEqual({ bos_token_id: 259, eos_token_id: 259 });
  expect(read("config.json")).toMatchObject({
    architectures: ["LlamaForCausalLM"],
    torch_dtype: "float16",
    eos_token_id: 259,
  });
  const { tokenizer: source } = (await contentsOf(hf)).checkpoint;
  if (!source) throw new Error("no tokenizer");
  const tokenizer = createTokenizer(source);
  expect(tokenizer.decode(tokenizer.encode("the <tool> é"))).toBe("the <tool> é");
  expect(tokenizer.eosId).toBe(259);
});

test("a start token takes the place of what the tokenizer put in front, and of nothing else", async () => {
  const special = { SpecialToken: { id: "<tool>", type_id: 0 } };
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const other = { type: "TemplateProcessing", single: [special, { Sequence: { id: "A", type_id: 0 } }], pair: [] };
  const tokenizer = hfJson({ post_processor: { type: "Sequence", processors: [bytes, other] } });
  const model = { ...(await trainedFrom(randomGguf({ ...LLAMA, has: NO_BIAS }).path)), tokenizer };
  const keys = { "tokenizer.ggml.bos_token_id": 259, "tokenizer.ggml.add_bos_token": true };
  const hf = await exported(withKeys(model, keys), "f16");
  const { processors } = JSON.parse(readFileSync(join(hf, "tokenizer.json"), "utf8")).post_processor;
  expect(processors).toHaveLength(2);
  expect(processors[0]).toEqual(bytes);
  expect(processors[1].single[0]).toEqual({ SpecialToken: { id: "<|end|>", type_id: 0 } });
  const { tokenizer: source } = (await contentsOf(hf)).checkpoint;
  if (!source) throw new Error("no tokenizer");
  expect([...createTokenizer(source).encode("")]).toEqual([259]);
});

describe("refuses with a word on GGUF", () => {
  const OTHERS: readonly (readonly [string, Family])[] = [
    ["an architecture that has no writer", familyNamed("gemma2")],
    ["experts", familyNamed("mixtral")],
    ["divisors of RoPE", familyNamed("llama with divisors")],
    ["a bias that the class does not have", { ...LLAMA, has: /output\.bias|ffn_gate\.w|^output/ }],
    ["rotated parts of heads", { ...LLAMA, keys: { ...LLAMA.keys, "rope.dimension_count": 6 }, has: NO_BIAS }],
  ];
  it.each(OTHERS)("%s", async (_, family) => {
    const model = await trainedFrom(randomGguf(family).path);
    const refused = exportHuggingFace({ model, dtype: "f32" });
    await expect(refused).rejects.toThrow(UnsupportedError);
    await expect(refused).rejects.toThrow("--to gguf");
  });
});
