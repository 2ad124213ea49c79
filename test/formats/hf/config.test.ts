/** config.json to GGUF keys, and tensor names: the tables and every refusal. */
import { describe, expect, test } from "vitest";
import { readHfConfig } from "../../../src/formats/hf/config.js";
import { HF_ARCHITECTURES } from "../../../src/formats/hf/index.js";
import { placementsOf } from "../../../src/formats/hf/tensor-table.js";
import { FormatError, UnsupportedError } from "../../../src/util/errors.js";
import { CONFIG } from "../sample-hf.js";

type Config = Readonly<Record<string, unknown>>;
const metadataFromConfig = (config: Config, generation: Config | undefined, location: string) =>
  readHfConfig(config, generation, location).metadata;
const convert = (change: Config = {}, generation?: Config) =>
  Object.fromEntries(metadataFromConfig({ ...CONFIG, ...change }, generation, "m/config.json"));
const without = (...fields: string[]): Config =>
  Object.fromEntries(Object.entries(CONFIG).filter(([field]) => !fields.includes(field)));

describe("metadata", () => {
  test("of a llama config", () => {
    expect(convert()).toEqual({
      "general.architecture": "llama",
      "llama.vocab_size": 10,
      "llama.context_length": 128,
      "llama.embedding_length": 8,
      "llama.block_count": 1,
      "llama.feed_forward_length": 12,
      "llama.attention.head_count": 4,
      "llama.attention.head_count_kv": 2,
      "llama.attention.key_length": 2,
      "llama.attention.value_length": 2,
      "llama.attention.layer_norm_rms_epsilon": 1e-5,
      "llama.tie_word_embeddings": false,
      "llama.rope.freq_base": 10000,
      "llama.rope.dimension_count": 2,
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2,
      "tokenizer.ggml.eos_token_ids": Int32Array.of(2),
    });
  });

  test("defaults of fields that are left out are those of the class", () => {
    const sparse = Object.fromEntries(
      metadataFromConfig(
        { ...without("num_key_value_heads", "rope_theta", "tie_word_embeddings", "hidden_act") },
        undefined,
        "",
      ),
    );
    expect(sparse).toMatchObject({
      "llama.attention.head_count_kv": 4,
      "llama.rope.freq_base": 10000,
      "llama.tie_word_embeddings": false,
    });
    const wide = { num_attention_heads: 64, hidden_size: 128 };
    const kv = (type: string, change: Config = {}) =>
      Object.fromEntries(
        metadataFromConfig({ ...without("num_key_value_heads"), ...wide, model_type: type, ...change }, undefined, ""),
      );
    expect(kv("mistral")["mistral.attention.head_count_kv"]).toBe(8);
    expect(kv("qwen2")["qwen2.attention.head_count_kv"]).toBe(32);
    expect(kv("qwen2", { num_key_value_heads: null })["qwen2.attention.head_count_kv"]).toBe(64);
    expect(kv("qwen3")["qwen3.attention.key_length"]).toBe(128);
    expect(kv("qwen3", { head_dim: 16 })["qwen3.attention.value_length"]).toBe(16);
  });

  test("end tokens of both files, the first one first", () => {
    const metadata = convert({ eos_token_id: [128001, 128008] }, { eos_token_id: [128009, 128001], bos_token_id: 5 });
    expect(metadata["tokenizer.ggml.eos_token_id"]).toBe(128001);
    expect(metadata["tokenizer.ggml.eos_token_ids"]).toEqual(Int32Array.of(128001, 128008, 128009));
    expect(metadata["tokenizer.ggml.bos_token_id"]).toBe(1);
  });

  test("windows where they count", () => {
    expect(convert({ model_type: "mistral", sliding_window: 64 })["mistral.attention.sliding_window"]).toBe(64);
    const silent: Config[] = [
      { model_type: "mistral", sliding_window: null },
      { model_type: "llama", sliding_window: 64 },
      { model_type: "qwen2", sliding_window: 64, use_sliding_window: false },
      { model_type: "qwen2", sliding_window: 64, use_sliding_window: true, max_window_layers: 1 },
    ];
    for (const change of silent) {
      expect(Object.keys(convert(change)).filter((key) => key.includes("window"))).toEqual([]);
    }
    // GGUF has no window for Qwen, so a folder's has a key of its own.
    const qwen = { model_type: "qwen2", sliding_window: 64, use_sliding_window: true };
    expect(convert({ ...qwen, max_window_layers: 0 })).toMatchObject({
      "qwen2.attention.window": 64,
      "qwen2.attention.window_pattern": [true],
    });
    expect(convert({ ...qwen, num_hidden_layers: 3, max_window_layers: 2 })).toMatchObject({
      "qwen2.attention.window_pattern": [false, false, true],
    });
    // The class's default: from the 28th layer on.
    expect(convert(qwen)["qwen2.attention.window"]).toBeUndefined();
    const types = ["sliding_attention", "full_attention"];
    expect(convert({ ...qwen, num_hidden_layers: 2, layer_types: types })).toMatchObject({
      "qwen2.attention.window_pattern": [true, false],
    });
  });
});

describe("RoPE scaling", () => {
  const scaling = (value: unknown, change: Config = {}) =>
    Object.fromEntries(
      Object.entries(convert({ rope_scaling: value, ...change }))
        .filter(([key]) => key.startsWith("llama.rope.scaling."))
        .map(([key, entry]) => [key.slice("llama.rope.scaling.".length), entry]),
    );

  test.each(["linear", "dynamic", "ntk"])("%s, in both spellings of its kind", (kind) => {
    const expected = { type: kind, factor: 4, original_context_length: 128 };
    expect(scaling({ type: kind, factor: 4 })).toEqual(expected);
    expect(scaling({ rope_type: kind, factor: 4 })).toEqual(expected);
  });

  test("none", () => {
    expect(scaling(null)).toEqual({});
    expect(scaling({ rope_type: "default" })).toEqual({});
  });

  test("llama3", () => {
    const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    expect(scaling({ ...llama3, original_max_position_embeddings: 64 })).toEqual({
      type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_context_length: 64,
    });
    expect(() => scaling({ ...llama3, high_freq_factor: undefined })).toThrow(
      /"rope_scaling.high_freq_factor".*missing/,
    );
  });

  test("yarn, with its magnitude relative to 1 + 0.1 ln(factor)", () => {
    const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
    expect(scaling(yarn)).toEqual({
      type: "yarn",
      factor: 4,
      original_context_length: 32,
      attn_factor: 1,
      yarn_beta_fast: 32,
      yarn_beta_slow: 1,
    });
    expect(scaling({ ...yarn, truncate: false }).yarn_truncate).toBe(false);
    expect(scaling({ ...yarn, truncate: true }).yarn_truncate).toBeUndefined();
    expect(scaling({ ...yarn, mscale: 0, mscale_all_dim: 1 }).attn_factor).toBe(1);
    expect(scaling({ ...yarn, attention_factor: 1, beta_fast: 16 })).toMatchObject({
      attn_factor: 1 / (1 + 0.1 * Math.log(4)),
      yarn_beta_fast: 16,
    });
    expect(scaling({ ...yarn, mscale: 1, mscale_all_dim: 1 }).attn_factor).toBeCloseTo(1 / (1 + 0.1 * Math.log(4)), 12);
    // No factor: the trained context over the original one.
    expect(scaling({ ...yarn, factor: null }).factor).toBe(4);
  });

  test("longrope: original context, magnitude and both lists", () => {
    const lists = { long_factor: [4], short_factor: [2] };
    const long = { rope_type: "longrope", ...lists, original_max_position_embeddings: 32 };
    expect(scaling(long)).toEqual({
      type: "longrope",
      original_context_length: 32,
      // sqrt(1 + ln(128 / 32) / ln(32))
      attn_factor: expect.closeTo(Math.sqrt(1.4), 12),
    });
    expect(scaling({ ...long, attention_factor: 1.5 }).attn_factor).toBe(1.5);
    // Without an original context the factor stretches the trained one.
    expect(scaling({ type: "su", ...lists, factor: 4 })).toMatchObject({
      original_context_length: 128,
      attn_factor: expect.closeTo(Math.sqrt(1 + Math.log(4) / Math.log(128)), 12),
    });
    const { vectors } = readHfConfig({ ...CONFIG, rope_scaling: long }, undefined, "m/config.json");
    expect(vectors).toEqual({ "rope_factors_long.weight": [4], "rope_factors_short.weight": [2] });
  });

  test("rope_parameters of newer files", () => {
    const parameters = { rope_type: "linear", factor: 2, rope_theta: 500000 };
    const metadata = convert({ rope_parameters: parameters, rope_theta: undefined });
    expect(metadata["llama.rope.freq_base"]).toBe(500000);
    expect(metadata["llama.rope.scaling.factor"]).toBe(2);
  });

  test("bad ones", () => {
    expect(() => scaling({ rope_type: "proportional", factor: 2 })).toThrow(UnsupportedError);
    const long = { rope_type: "longrope", long_factor: [1, 2], short_factor: [1] };
    expect(() => readHfConfig({ ...CONFIG, rope_scaling: long }, undefined, "m/config.json")).toThrow(
      /"rope_scaling.long_factor" must be a list of 1 numbers/,
    );
    expect(() => scaling({ rope_type: "linear" })).toThrow(/"rope_scaling.factor"/);
    expect(() => scaling({ rope_type: "linear", factor: -1 })).toThrow(/"rope_scaling.factor"/);
    expect(() => scaling("linear")).toThrow(/"rope_scaling" must be an object/);
  });
});

describe("refusals name the field", () => {
  const required = [
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
  ];
  test.each(required)("missing %s", (field) => {
    expect(() => metadataFromConfig(without(field), undefined, "m/config.json")).toThrow(FormatError);
    expect(() => metadataFromConfig(without(field), undefined, "m/config.json")).toThrow(
      `m/config.json: "${field}" must be`,
    );
  });

  test.each<[string, unknown]>([
    ["hidden_size", "8"],
    ["hidden_size", 0],
    ["hidden_size", 8.5],
    ["hidden_size", 2 ** 40],
    ["num_hidden_layers", -1],
    ["num_key_value_heads", 3],
    ["num_attention_heads", 3],
    ["rms_norm_eps", 0],
    ["rms_norm_eps", [1]],
    ["rope_theta", "10000"],
    ["tie_word_embeddings", "no"],
    ["eos_token_id", ["</s>"]],
    ["bos_token_id", -1],
  ])("%s = %j", (field, value) => {
    const change = field === "num_attention_heads" ? { num_key_value_heads: null, [field]: value } : { [field]: value };
    expect(() => convert(change)).toThrow(FormatError);
    expect(() => convert(change)).toThrow(`"${field}"`);
  });

  test("what Sluice does not run", () => {
    expect(() => convert({ model_type: "bert" })).toThrow(UnsupportedError);
    expect(() => convert({ model_type: "__proto__" })).toThrow(UnsupportedError);
    expect(() => convert({ hidden_act: "gelu" })).toThrow(UnsupportedError);
    expect(() => convert({ hidden_act: "gelu" })).toThrow(/hidden_act "gelu"/);
    expect(() => convert({ quantization_config: { quant_method: "gptq" } })).toThrow(/gptq/);
  });
});

/** GGUF names, "-" for what is not needed; undefined for what the table does not know. */
const names = (type: string, name: string) =>
  placementsOf(HF_ARCHITECTURES[type].tensors, name)
    ?.map((placement) => `${placement.name}${placement.part > 0 ? ` part ${placement.part}` : ""}`)
    .join(", ") ||
  (placementsOf(HF_ARCHITECTURES[type].tensors, name) && "-");

test.each([
  ["llama", "model.embed_tokens.weight", "token_embd.weight"],
  ["llama", "embed_tokens.weight", "token_embd.weight"],
  ["mistral", "model.layers.31.self_attn.o_proj.weight", "blk.31.attn_output.weight"],
  ["qwen2", "model.layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias"],
  ["qwen3", "model.layers.7.self_attn.q_norm.weight", "blk.7.attn_q_norm.weight"],
  ["llama", "model.layers.7.self_attn.q_norm.weight", undefined],
  ["llama", "model.layers.07.self_attn.q_proj.weight", undefined],
  ["llama", "model.layers.#.self_attn.q_proj.weight", undefined],
  ["llama", "model.constructor.weight", undefined],
  ["llama", "something.else", undefined],
  ["llama", "model.layers.0.self_attn.rotary_emb.inv_freq", "-"],
  ["mixtral", "model.layers.3.block_sparse_moe.experts.12.w1.weight", "blk.3.ffn_gate_exps.weight part 12"],
  ["mixtral", "model.layers.3.block_sparse_moe.experts.0.w2.weight", "blk.3.ffn_down_exps.weight"],
  ["mixtral", "model.layers.3.block_sparse_moe.gate.weight", "blk.3.ffn_gate_inp.weight"],
  ["gpt2", "transformer.h.11.attn.bias", "-"],
  ["gpt2", "h.11.attn.c_attn.bias", "blk.11.attn_qkv.bias"],
  ["gpt_neox", "gpt_neox.layers.2.attention.masked_bias", "-"],
  ["falcon", "transformer.h.0.ln_attn.bias", "blk.0.attn_norm_2.bias"],
  ["gemma3", "language_model.model.layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight"],
  ["gemma3", "model.language_model.norm.weight", "output_norm.weight"],
  ["gemma3", "vision_tower.vision_model.encoder.layers.0.layer_norm1.weight", "-"],
  ["mamba2", "model.backbone.layers.0.mixer.dt_bias", "blk.0.ssm_dt.bias"],
  ["t5", "decoder.block.1.layer.2.DenseReluDense.wi_0.weight", "dec.blk.1.ffn_gate.weight"],
  ["t5", "decoder.block.1.layer.1.EncDecAttention.o.weight", "dec.blk.1.cross_attn_o.weight"],
  ["t5", "encoder.block.12.layer.1.layer_norm.weight", "enc.blk.12.ffn_norm.weight"],
])("%s: %s is %s", (type, name, expected) => {
  expect(names(type, name)).toBe(expected);
});
