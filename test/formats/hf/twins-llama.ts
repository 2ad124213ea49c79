/** Twins of the llama-like families: Llama, Qwen, Mixtral, Phi-3, Gemma 2 and 3, gpt-oss. */
import { gateAndUp, gateAndUpBias, inHalves, perExpert, transposedExperts, withoutOne } from "./layouts.js";
import { count, type Keys, type Layout, module, plain, type Row, row, type Twin } from "./twin.js";

const TINY: Keys = {
  context_length: 40,
  embedding_length: 24,
  block_count: 2,
  feed_forward_length: 20,
  "attention.head_count": 4,
  "attention.head_count_kv": 2,
  "attention.key_length": 6,
  "attention.value_length": 6,
  "attention.layer_norm_rms_epsilon": 2 ** -20,
  "rope.dimension_count": 6,
  "rope.freq_base": 5000,
};
const EXPERTS: Keys = { expert_count: 3, expert_used_count: 2 };

const VOCABULARY = 37;
const vocabulary = (keys: Keys) => (typeof keys.vocab_size === "number" ? keys.vocab_size : VOCABULARY);

function sizes(keys: Keys) {
  const width = count(keys, "embedding_length");
  const heads = count(keys, "attention.head_count");
  const headWidth = typeof keys["attention.key_length"] === "number" ? keys["attention.key_length"] : width / heads;
  return {
    width,
    heads,
    headWidth,
    kvHeads: count(keys, "attention.head_count_kv"),
    hidden: count(keys, "feed_forward_length"),
  };
}

/** config.json of all of them. */
function common(type: string, keys: Keys, has: (name: string) => boolean): Record<string, unknown> {
  const { width, heads, headWidth, kvHeads, hidden } = sizes(keys);
  return {
    model_type: type,
    vocab_size: vocabulary(keys),
    max_position_embeddings: keys.context_length,
    hidden_size: width,
    num_hidden_layers: keys.block_count,
    intermediate_size: hidden,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headWidth,
    rms_norm_eps: keys["attention.layer_norm_rms_epsilon"],
    rope_theta: keys["rope.freq_base"] ?? 10000,
    tie_word_embeddings: !has("output.weight"),
  };
}

interface Parts {
  /** Of query and key projections. */
  readonly rotated?: Layout;
  readonly norms?: Layout;
  readonly feedForwardNorm?: string;
}

/** Embedding, norms and head. */
function outer(keys: Keys, { norms = plain, feedForwardNorm = "post_attention_layernorm" }: Parts = {}): Row[] {
  const { width } = sizes(keys);
  return [
    row("token_embd.weight", [vocabulary(keys), width], "model.embed_tokens.weight"),
    row("output_norm.weight", [1, width], "model.norm.weight", norms),
    row("output.weight", [vocabulary(keys), width], "lm_head.weight"),
    row("blk.#.attn_norm.weight", [1, width], "model.layers.#.input_layernorm.weight", norms),
    row("blk.#.ffn_norm.weight", [1, width], `model.layers.#.${feedForwardNorm}.weight`, norms),
  ];
}

function attentionRows(keys: Keys, { rotated = plain, norms = plain }: Parts = {}): Row[] {
  const { width, heads, headWidth, kvHeads } = sizes(keys);
  const at = "model.layers.#.self_attn";
  return [
    row("blk.#.attn_q.weight", [heads * headWidth, width], `${at}.q_proj.weight`, rotated),
    row("blk.#.attn_k.weight", [kvHeads * headWidth, width], `${at}.k_proj.weight`, rotated),
    row("blk.#.attn_v.weight", [kvHeads * headWidth, width], `${at}.v_proj.weight`),
    row("blk.#.attn_q.bias", [1, heads * headWidth], `${at}.q_proj.bias`),
    row("blk.#.attn_k.bias", [1, kvHeads * headWidth], `${at}.k_proj.bias`),
    row("blk.#.attn_v.bias", [1, kvHeads * headWidth], `${at}.v_proj.bias`),
    row("blk.#.attn_output.weight", [width, heads * headWidth], `${at}.o_proj.weight`),
    row("blk.#.attn_output.bias", [1, width], `${at}.o_proj.bias`),
    row("blk.#.attn_q_norm.weight", [1, headWidth], `${at}.q_norm.weight`, norms),
    row("blk.#.attn_k_norm.weight", [1, headWidth], `${at}.k_norm.weight`, norms),
  ];
}

function gatedRows(keys: Keys, at = "model.layers.#.mlp"): Row[] {
  const { width, hidden } = sizes(keys);
  return [
    row("blk.#.ffn_gate.weight", [hidden, width], `${at}.gate_proj.weight`),
    row("blk.#.ffn_up.weight", [hidden, width], `${at}.up_proj.weight`),
    row("blk.#.ffn_down.weight", [width, hidden], `${at}.down_proj.weight`),
  ];
}

const llama: Twin = {
  architecture: "llama",
  keys: TINY,
  without: /bias$|_[qk]_norm/,
  config: (keys, has) => common("llama", keys, has),
  rows: (keys) => [
    ...outer(keys),
    ...attentionRows(keys, { rotated: inHalves(sizes(keys).headWidth) }),
    ...gatedRows(keys),
  ],
};

function qwen(type: string, without: RegExp): Twin {
  const rows = (keys: Keys) => [...outer(keys), ...attentionRows(keys), ...gatedRows(keys)];
  return { architecture: type, keys: TINY, without, config: (keys, has) => common(type, keys, has), rows };
}

const mixtral: Twin = {
  architecture: "llama",
  keys: { ...TINY, ...EXPERTS },
  without: /bias$|_[qk]_norm/,
  config: (keys, has) => ({
    ...common("mixtral", keys, has),
    num_local_experts: keys.expert_count,
    num_experts_per_tok: keys.expert_used_count,
    sliding_window: null,
  }),
  rows: (keys) => {
    const { width, hidden, headWidth } = sizes(keys);
    const experts = count(keys, "expert_count");
    const at = "model.layers.#.block_sparse_moe";
    return [
      ...outer(keys),
      ...attentionRows(keys, { rotated: inHalves(headWidth) }),
      row("blk.#.ffn_gate_inp.weight", [experts, width], `${at}.gate.weight`),
      row("blk.#.ffn_gate_exps.weight", [experts * hidden, width], `${at}.experts.*.w1.weight`, perExpert),
      row("blk.#.ffn_up_exps.weight", [experts * hidden, width], `${at}.experts.*.w3.weight`, perExpert),
      row("blk.#.ffn_down_exps.weight", [experts * width, hidden], `${at}.experts.*.w2.weight`, perExpert),
    ];
  },
};

function phi3Rows(keys: Keys): Row[] {
  const { width, heads, headWidth, kvHeads, hidden } = sizes(keys);
  return [
    ...outer(keys),
    row(
      "blk.#.attn_qkv.weight",
      [(heads + 2 * kvHeads) * headWidth, width],
      "model.layers.#.self_attn.qkv_proj.weight",
    ),
    row("blk.#.attn_output.weight", [width, heads * headWidth], "model.layers.#.self_attn.o_proj.weight"),
    row("blk.#.ffn_up.weight", [2 * hidden, width], "model.layers.#.mlp.gate_up_proj.weight"),
    row("blk.#.ffn_down.weight", [width, hidden], "model.layers.#.mlp.down_proj.weight"),
  ];
}

const phi3: Twin = {
  architecture: "phi3",
  keys: { ...TINY, "rope.dimension_count": 4, "attention.sliding_window": 16, "attention.window": 16 },
  config: (keys, has) => ({
    ...common("phi3", keys, has),
    partial_rotary_factor: count(keys, "rope.dimension_count") / sizes(keys).headWidth,
    sliding_window: keys["attention.sliding_window"] ?? null,
    original_max_position_embeddings: keys.context_length,
  }),
  rows: phi3Rows,
};

/** Its factors are in config.json: the test adds them. */
const phi3Longrope: Twin = {
  ...phi3,
  keys: {
    ...TINY,
    "rope.scaling.original_context_length": 20,
    "rope.scaling.attn_factor": Math.sqrt(1 + Math.log(2) / Math.log(20)),
  },
};

function gemmaRows(keys: Keys): Row[] {
  const { width } = sizes(keys);
  const norms = withoutOne;
  const post = (gguf: string, hf: string) =>
    row(`blk.#.${gguf}.weight`, [1, width], `model.layers.#.${hf}.weight`, norms);
  return [
    ...outer(keys, { norms, feedForwardNorm: "pre_feedforward_layernorm" }),
    ...attentionRows(keys, { norms }),
    ...gatedRows(keys),
    post("post_attention_norm", "post_attention_layernorm"),
    post("post_ffw_norm", "post_feedforward_layernorm"),
  ];
}

const gemma2: Twin = {
  architecture: "gemma2",
  keys: { ...TINY, "attention.sliding_window": 16, attn_logit_softcapping: 8, final_logit_softcapping: 12 },
  without: /bias$|_[qk]_norm|^output\.weight/,
  config: (keys, has) => ({
    ...common("gemma2", keys, has),
    sliding_window: keys["attention.sliding_window"],
    query_pre_attn_scalar: sizes(keys).headWidth,
    attn_logit_softcapping: keys.attn_logit_softcapping,
    final_logit_softcapping: keys.final_logit_softcapping,
  }),
  rows: gemmaRows,
};

const gemma3: Twin = {
  architecture: "gemma3",
  keys: { ...TINY, "attention.sliding_window": 16, "rope.freq_base_swa": 2000 },
  without: /bias$|^output\.weight/,
  config: (keys, has) => ({
    ...common("gemma3_text", keys, has),
    sliding_window: keys["attention.sliding_window"],
    sliding_window_pattern: 6,
    query_pre_attn_scalar: sizes(keys).headWidth,
    rope_local_base_freq: keys["rope.freq_base_swa"],
  }),
  rows: gemmaRows,
};

/** As one layer of a model with images: everything of the text model one level deeper. */
const gemma3Images: Twin = {
  ...gemma3,
  config: (keys, has) => ({ model_type: "gemma3", text_config: gemma3.config(keys, has), tie_word_embeddings: true }),
  rows: (keys) => gemmaRows(keys).map((one) => ({ ...one, hf: `language_model.${one.hf}` })),
};

export function gptOssRows(keys: Keys): Row[] {
  const { width, heads, hidden } = sizes(keys);
  const experts = count(keys, "expert_count");
  const at = "model.layers.#.mlp";
  const both = (suffix: string) => [`blk.#.ffn_gate_exps.${suffix}`, `blk.#.ffn_up_exps.${suffix}`];
  return [
    ...outer(keys).filter(({ gguf }) => !gguf[0].includes("ffn_norm")),
    row("blk.#.post_attention_norm.weight", [1, width], "model.layers.#.post_attention_layernorm.weight"),
    ...attentionRows(keys),
    row("blk.#.attn_sinks.weight", [1, heads], "model.layers.#.self_attn.sinks"),
    ...module("blk.#.ffn_gate_inp", [experts, width], `${at}.router`),
    row(both("weight"), [experts * hidden, width], `${at}.experts.gate_up_proj`, gateAndUp),
    row(both("bias"), [experts, hidden], `${at}.experts.gate_up_proj_bias`, gateAndUpBias),
    row("blk.#.ffn_down_exps.weight", [experts * width, hidden], `${at}.experts.down_proj`, transposedExperts),
    row("blk.#.ffn_down_exps.bias", [experts, width], `${at}.experts.down_proj_bias`),
  ];
}

const gptOss: Twin = {
  architecture: "gpt-oss",
  keys: {
    ...TINY,
    ...EXPERTS,
    expert_feed_forward_length: 20,
    "attention.sliding_window": 16,
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4,
    "rope.scaling.original_context_length": 10,
  },
  without: /_[qk]_norm/,
  config: (keys, has) => ({
    ...common("gpt_oss", keys, has),
    sliding_window: keys["attention.sliding_window"],
    num_local_experts: keys.expert_count,
    num_experts_per_tok: keys.expert_used_count,
    rope_scaling: {
      rope_type: "yarn",
      factor: keys["rope.scaling.factor"],
      original_max_position_embeddings: keys["rope.scaling.original_context_length"],
      beta_fast: 32,
      beta_slow: 1,
    },
  }),
  rows: gptOssRows,
};

/** By the name of the golden file, where there is one. */
export const LLAMA_TWINS: Readonly<Record<string, Twin>> = {
  llama,
  qwen2: qwen("qwen2", /output\.bias$|_[qk]_norm/),
  qwen3: qwen("qwen3", /bias$/),
  "llama-moe": mixtral,
  phi3,
  "phi3-longrope": phi3Longrope,
  gemma2,
  gemma3,
  "gemma3-images": gemma3Images,
  "gpt-oss": gptOss,
};
