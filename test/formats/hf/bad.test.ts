/** Configurations and tensors that do not fit: each is refused with a typed error that names the field or the tensor. */
import { describe, expect, test } from "vitest";
import { readHfConfig } from "../../../src/formats/hf/config.js";
import { parseJson } from "../../../src/formats/json-file.js";
import { openCheckpoint } from "../../../src/formats/open.js";
import { FormatError, UnsupportedError } from "../../../src/util/errors.js";
import { MemoryFiles } from "../../support/memory-files.js";
import { type SafetensorsTensorSpec, writeSafetensors } from "../../support/write-safetensors.js";
import { hfTensors, randomTensors, type Twin } from "./twin.js";
import { GPT_TWINS } from "./twins-gpt.js";
import { LLAMA_TWINS } from "./twins-llama.js";
import { STATE_TWINS } from "./twins-state.js";

const TWINS: Readonly<Record<string, Twin>> = { ...GPT_TWINS, ...LLAMA_TWINS, ...STATE_TWINS };

type Change = Readonly<Record<string, unknown>>;

function configOf(name: string, change: Change = {}): Change {
  const twin = TWINS[name];
  const tensors = randomTensors(twin, 1);
  return { ...twin.config(twin.keys, (tensor) => tensors.has(tensor)), ...change };
}

const read = (name: string, change: Change) => () => readHfConfig(configOf(name, change), undefined, "m/config.json");

/** The value of a key, without the architecture. */
function key(name: string, change: Change, wanted: string): unknown {
  const { metadata, row } = readHfConfig(configOf(name, change), undefined, "m/config.json");
  return metadata.get(`${row.architecture}.${wanted}`);
}

describe("fields that are needed", () => {
  test.each([
    ["gpt2", "n_embd"],
    ["gpt2", "n_layer"],
    ["gpt2", "n_positions"],
    ["starcoder", "n_head"],
    ["gptneox", "intermediate_size"],
    ["gptneox", "max_position_embeddings"],
    ["bloom", "n_layer"],
    ["falcon", "num_hidden_layers"],
    ["mpt", "d_model"],
    ["mpt", "max_seq_len"],
    ["llama-moe", "hidden_size"],
    ["phi3", "num_attention_heads"],
    ["gemma2", "intermediate_size"],
    ["gemma3", "hidden_size"],
    ["gpt-oss", "num_hidden_layers"],
    ["gpt-oss", "num_local_experts"],
    ["mamba", "hidden_size"],
    ["mamba2", "num_hidden_layers"],
    ["jamba", "intermediate_size"],
    ["t5", "d_kv"],
    ["t5", "num_heads"],
  ])("%s without %s", (name, field) => {
    expect(read(name, { [field]: undefined })).toThrow(FormatError);
    expect(read(name, { [field]: null })).toThrow(`m/config.json: "${field}" must be`);
  });

  test.each<[string, Change, RegExp]>([
    ["gpt2", { n_head: 5 }, /"n_head" must be a divisor/],
    ["gptneox", { num_attention_heads: 5 }, /"num_attention_heads" must be a divisor/],
    ["falcon", { num_attention_heads: 5 }, /"num_attention_heads" must be a divisor/],
    ["falcon-40b", { num_kv_heads: 3 }, /"num_kv_heads" must be a divisor/],
    ["mamba2", { head_dim: 7 }, /"head_dim" must be a divisor/],
    ["mamba2", { n_groups: 5 }, /"n_groups" must be a divisor/],
    ["jamba", { attn_layer_offset: 4 }, /"attn_layer_offset" must be below/],
    ["jamba", { num_hidden_layers: 1e9 }, /"num_hidden_layers" must be at most/],
    ["phi3-longrope", { rope_scaling: { type: "su", long_factor: [1, 2] } }, /"rope_scaling.long_factor".*list of 3/],
    [
      "phi3-longrope",
      { rope_scaling: { type: "su", long_factor: "1" } },
      /"rope_scaling.long_factor".*list of numbers/,
    ],
    ["phi3-longrope", { rope_scaling: { type: "su", long_factor: [1, 2, 0] } }, /"rope_scaling.long_factor"/],
    ["gptneox", { rotary_pct: "1" }, /"rotary_pct"/],
    ["gemma2", { layer_types: ["full_attention"] }, /"layer_types" must be a list of the kinds of 2 layers/],
    ["gemma2", { layer_types: undefined, sliding_window: null }, /"sliding_window" must be a number/],
    ["gemma3", { layer_types: undefined, sliding_window: 0 }, /"sliding_window" must be a positive/],
    ["mpt", { attn_config: { clip_qkv: -1 } }, /"attn_config.clip_qkv"/],
  ])("%s with %j", (name, change, message) => {
    expect(read(name, change)).toThrow(FormatError);
    expect(read(name, change)).toThrow(message);
  });
});

test.each<[string, Change, string]>([
  ["gpt2", { activation_function: "quick_gelu" }, "activation_function"],
  ["gpt2", { scale_attn_by_inverse_layer_idx: true }, "scale_attn_by_inverse_layer_idx"],
  ["starcoder", { scale_attn_weights: false }, "scale_attn_weights"],
  ["bloom", { apply_residual_connection_post_layernorm: true }, "apply_residual_connection_post_layernorm"],
  ["falcon", { alibi: true }, "alibi"],
  ["falcon", { parallel_attn: false }, "parallel_attn"],
  ["mpt", { attn_config: { alibi: false } }, "attn_config.alibi"],
  ["mpt", { attn_config: { qk_ln: true } }, "attn_config.qk_ln"],
  ["mpt", { logit_scale: 0.5 }, "logit_scale"],
  ["gptneox", { is_causal: false }, "is_causal"],
  ["llama-moe", { alibi: true }, "alibi"],
  ["llama-moe", { n_shared_experts: 1 }, "n_shared_experts"],
  ["llama-moe", { logits_scaling: 8 }, "logits_scaling"],
  ["llama-moe", { embedding_multiplier: 12 }, "embedding_multiplier"],
  ["llama-moe", { no_rope_layers: [1, 0] }, "no_rope_layers"],
  ["llama-moe", { attn_logit_softcapping: 30 }, "attn_logit_softcapping"],
  ["falcon", { num_local_experts: 8 }, "num_local_experts"],
  ["gpt2", { add_cross_attention: true }, "add_cross_attention"],
  ["gpt2", { quantization: { group_size: 64, bits: 4 } }, "quantised"],
  ["gpt2", { quantization_config: { quant_method: "gptq" } }, "gptq"],
  ["mamba", { quantization_config: { quant_method: "awq" } }, "awq"],
  ["phi3", { rope_scaling: { type: "linear", factor: 2 } }, "rope_scaling.type"],
  ["gemma2", { layer_types: ["full_attention", "chunked_attention"] }, "layer_types"],
  ["gemma2", { attn_logit_softcapping: null }, "attn_logit_softcapping"],
  ["gemma3", { attn_logit_softcapping: 50 }, "attn_logit_softcapping"],
  ["gpt-oss", { swiglu_limit: 5 }, "swiglu_limit"],
  ["mamba", { hidden_act: "gelu" }, "hidden_act"],
  ["mamba2", { time_step_limit: [0, 0.1] }, "time_step_limit"],
  ["mamba2", { rms_norm: false }, "rms_norm"],
  ["jamba", { sliding_window: 128 }, "sliding_window"],
  ["t5", { feed_forward_proj: "gated-tanh" }, "feed_forward_proj"],
  ["t5", { relative_attention_max_distance: 64 }, "relative_attention_max_distance"],
])("%s with %j is not run", (name, change, field) => {
  expect(read(name, change)).toThrow(UnsupportedError);
  expect(read(name, change)).toThrow(field);
});

test.each<[string, Change, string, unknown]>([
  ["gpt2", { activation_function: undefined }, "hidden_act", "gelu"],
  ["gpt2", { n_inner: null }, "feed_forward_length", 96],
  ["gpt2", { tie_word_embeddings: undefined }, "tie_word_embeddings", true],
  ["starcoder", { multi_query: undefined }, "attention.head_count_kv", 1],
  ["starcoder", { multi_query: false }, "attention.head_count_kv", 4],
  ["gptneox", { hidden_act: undefined }, "hidden_act", "geluErf"],
  ["gptneox", { rotary_pct: undefined, num_attention_heads: 3 }, "rope.dimension_count", 2],
  ["gptneox", { tie_word_embeddings: undefined }, "tie_word_embeddings", false],
  ["bloom", { n_embed: undefined, hidden_size: 48 }, "embedding_length", 48],
  ["falcon", { activation: undefined }, "hidden_act", "geluErf"],
  ["falcon", { num_kv_heads: 4 }, "attention.head_count_kv", 1],
  ["falcon", { multi_query: false }, "attention.head_count_kv", 4],
  ["falcon-40b", { num_kv_heads: undefined, n_head_kv: 2 }, "attention.head_count_kv", 2],
  ["mpt", { attn_config: null }, "attention.max_alibi_bias", 8],
  ["llama-moe", { rope_theta: undefined }, "rope.freq_base", 1e6],
  ["phi3", { partial_rotary_factor: undefined }, "rope.dimension_count", 6],
  ["gemma2", { hidden_activation: "relu" }, "hidden_act", "relu"],
  ["gemma2", { query_pre_attn_scalar: 144 }, "attention.scale", 1 / 12],
  ["gemma3", { num_attention_heads: undefined, num_key_value_heads: undefined }, "attention.head_count", 8],
  [
    "gemma3",
    { rope_parameters: { full_attention: { rope_theta: 7 }, sliding_attention: { rope_theta: 3 } } },
    "rope.freq_base_swa",
    3,
  ],
  ["gemma3", { rope_scaling: { rope_type: "linear", factor: 8 } }, "rope.scaling.factor", 8],
  ["gpt-oss", { rope_theta: undefined }, "rope.freq_base", 150000],
  ["mamba", { time_step_rank: "auto" }, "ssm.time_step_rank", 2],
  ["mamba2", { time_step_limit: [0, { __float__: "Infinity" }] }, "ssm.time_step_rank", 6],
  ["jamba", { num_experts: 1 }, "expert_count", undefined],
  [
    "gemma2",
    { layer_types: ["full_attention", "sliding_attention"] },
    "attention.sliding_window_pattern",
    [false, true],
  ],
  ["gemma2", { layer_types: ["full_attention", "full_attention"] }, "attention.sliding_window", 0],
  [
    "gemma2",
    { layer_types: ["full_attention", "full_attention"], sliding_window: null },
    "attention.sliding_window",
    0,
  ],
  ["gemma3", { layer_types: undefined, sliding_window_pattern: 4 }, "attention.sliding_window_pattern", 4],
  [
    "gemma3",
    { layer_types: undefined, sliding_window_pattern: undefined, _sliding_window_pattern: 1 },
    "attention.sliding_window",
    0,
  ],
  ["gemma3", { layer_types: undefined, sliding_window_pattern: 6 }, "attention.sliding_window_pattern", undefined],
  ["llama-moe", { sliding_window: 16 }, "attention.window", 16],
  ["llama-moe", { is_causal: true, alibi: false, n_shared_experts: null }, "attention.window", undefined],
  ["gpt-oss", { layer_types: undefined }, "attention.sliding_window_pattern", undefined],
  ["t5", { tie_word_embeddings: undefined }, "decoder_norm_scale", 1 / Math.sqrt(24)],
  ["t5", { tie_word_embeddings: true, scale_decoder_outputs: false }, "decoder_norm_scale", 1],
  ["t5", { num_decoder_layers: 3 }, "decoder_block_count", 3],
  ["t5", { feed_forward_proj: "gated-silu" }, "hidden_act", "silu"],
])("%s with %j: %s is %s", (name, change, wanted, value) => {
  expect(key(name, change, wanted)).toEqual(value);
});

/** Opens a twin's folder whose tensors are `change`d. */
async function opened(name: string, change: (tensors: SafetensorsTensorSpec[]) => SafetensorsTensorSpec[]) {
  const twin = TWINS[name];
  const tensors = change(hfTensors(twin, twin.keys, randomTensors(twin, 1)));
  const files = { "hf/config.json": JSON.stringify(configOf(name)), "hf/model.safetensors": writeSafetensors(tensors) };
  return openCheckpoint("hf", new MemoryFiles(files));
}

const without = (pattern: RegExp) => (all: SafetensorsTensorSpec[]) => all.filter(({ name }) => !pattern.test(name));

/** The first tensor of this name with another shape of as many elements. */
const reshaped =
  (pattern: RegExp, ...shape: number[]) =>
  (all: SafetensorsTensorSpec[]) =>
    all.map((one) => {
      const length = shape.reduce((product, n) => product * n, 1);
      return pattern.test(one.name) ? { ...one, shape, values: new Float32Array(length) } : one;
    });

describe("tensors that do not fit", () => {
  test.each<[string, (all: SafetensorsTensorSpec[]) => SafetensorsTensorSpec[], RegExp]>([
    ["llama-moe", without(/experts\.1\.w1/), /part 1 of the 3 of "blk\.0\.ffn_gate_exps\.weight" is missing/],
    ["jamba", without(/experts\.2\.down_proj/), /part 2 of the 3 of "blk\.1\.ffn_down_exps\.weight" is missing/],
    [
      "llama-moe",
      (all) => [
        ...all,
        ...all
          .filter(({ name }) => /experts\.0\.w2/.test(name))
          .map((one) => ({ ...one, name: one.name.replace("experts.0", "experts.3") })),
      ],
      /"blk\.0\.ffn_down_exps\.weight" has 4 parts, expected 3/,
    ],
    ["llama-moe", reshaped(/experts\.1\.w1/, 19, 24), /experts\.1\.w1\.weight" has the shape \[19, 24\]/],
    ["gptneox", reshaped(/query_key_value\.weight/, 70, 24), /query_key_value\.weight" has the shape \[70, 24\]/],
    ["gptneox", reshaped(/query_key_value\.bias/, 71), /query_key_value\.bias" has the shape \[71\]/],
    ["gpt2", reshaped(/c_fc\.weight/, 24, 24, 4), /c_fc\.weight" has the shape/],
    [
      "gpt-oss",
      reshaped(/experts\.gate_up_proj$/, 2, 24, 40),
      /gate_up_proj" has the shape \[2, 24, 40\], expected \[3 experts/,
    ],
    ["gpt-oss", reshaped(/experts\.gate_up_proj$/, 3, 24, 39), /gate_up_proj" has the shape \[3, 24, 39\]/],
    ["gpt-oss", reshaped(/gate_up_proj_bias$/, 3, 39), /gate_up_proj_bias" has the shape \[3, 39\]/],
    ["mamba2", reshaped(/mixer\.norm\.weight/, 47), /mixer\.norm\.weight".*does not fit/],
    [
      "falcon",
      (all) => [
        ...all,
        { name: "transformer.h.0.ln_mlp.weight", dtype: "F32", shape: [24], values: new Float32Array(24) },
      ],
      /two tensors mean "blk\.0\.attn_norm\.weight"/,
    ],
  ])("%s %#", async (name, change, message) => {
    await expect(opened(name, change)).rejects.toThrow(FormatError);
    await expect(opened(name, change)).rejects.toThrow(message);
  });

  test("a fused tensor of a type without a kernel is listed apart", async () => {
    const checkpoint = await opened("gptneox", (all) =>
      all.map((one) => (one.name.endsWith("query_key_value.weight") ? { ...one, dtype: "U8" } : one)),
    );
    expect(checkpoint.unsupportedTensors?.get("blk.0.attn_qkv.weight")).toMatchObject({ type: "U8", cols: 24 });
    expect(checkpoint.tensors.has("blk.0.attn_qkv.weight")).toBe(false);
  });

  test("T5's last norm takes the scale of a tied head, and a saved head stays", async () => {
    const twin = TWINS.t5;
    const tensors = randomTensors(twin, 1);
    const weights = writeSafetensors(hfTensors(twin, twin.keys, tensors));
    const config = JSON.stringify(configOf("t5", { tie_word_embeddings: true }));
    const files = new MemoryFiles({ "hf/config.json": config, "hf/model.safetensors": weights });
    const checkpoint = await openCheckpoint("hf", files);
    const bytes = new Uint8Array(4 * 24);
    await checkpoint.tensors.get("dec.output_norm.weight")?.read(0, bytes);
    const plain = tensors.get("dec.output_norm.weight")?.values ?? new Float32Array();
    expect(new Float32Array(bytes.buffer)).toEqual(plain.map((gain) => gain / Math.sqrt(24)));
    expect(checkpoint.tensors.has("output.weight")).toBe(true);
  });

  test("copies of an embedding count once, whichever is there", async () => {
    const renamed = (all: SafetensorsTensorSpec[]) =>
      all.flatMap((one) =>
        one.name === "shared.weight"
          ? ["decoder.embed_tokens.weight", "encoder.embed_tokens.weight"].map((name) => ({ ...one, name }))
          : [one],
      );
    const checkpoint = await opened("t5", renamed);
    expect(checkpoint.tensors.get("token_embd.weight")).toMatchObject({ rows: 37, cols: 24 });
    expect([...checkpoint.tensors.keys()].filter((name) => name.includes("embed_tokens"))).toEqual([]);
  });
});

test("Infinity and NaN of Python's json, outside of strings", () => {
  const parse = (text: string) => parseJson(new TextEncoder().encode(text), "config.json");
  expect(parse('{"a": [0.0, Infinity, -Infinity, NaN], "b": "NaN \\" Infinity"}')).toEqual({
    a: [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, null],
    b: 'NaN " Infinity',
  });
  const long = "x".repeat(2 ** 24);
  expect(parse(`{"a": NaN, "b": "${long}\\n"}`)).toEqual({ a: null, b: `${long}\n` });
  expect(() => parse('{"a": Infinity')).toThrow(FormatError);
  expect(() => parse("{Infinity: 1}")).toThrow(FormatError);
});
