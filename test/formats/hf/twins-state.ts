/** Twins of Mamba, Mamba-2, Jamba and T5. */
import { depthwise, flat, logarithm, perExpert } from "./layouts.js";
import { count, type Keys, type Row, row, type Twin } from "./twin.js";

const VOCABULARY = 37;
const vocabulary = (keys: Keys) => (typeof keys.vocab_size === "number" ? keys.vocab_size : VOCABULARY);

const SSM: Keys = {
  context_length: 2 ** 20,
  embedding_length: 24,
  block_count: 2,
  feed_forward_length: 0,
  "attention.head_count": 0,
  "attention.layer_norm_rms_epsilon": 2 ** -20,
  "ssm.conv_kernel": 4,
  "ssm.inner_size": 48,
  "ssm.state_size": 8,
  "ssm.time_step_rank": 3,
};

/** The modules of a Mamba mixer under `at`. */
function mambaRows(keys: Keys, at: string): Row[] {
  const width = count(keys, "embedding_length");
  const [inner, state] = [count(keys, "ssm.inner_size"), count(keys, "ssm.state_size")];
  const rank = count(keys, "ssm.time_step_rank");
  return [
    row("blk.#.ssm_in.weight", [2 * inner, width], `${at}.in_proj.weight`),
    row("blk.#.ssm_conv1d.weight", [inner, count(keys, "ssm.conv_kernel")], `${at}.conv1d.weight`, depthwise),
    row("blk.#.ssm_conv1d.bias", [1, inner], `${at}.conv1d.bias`),
    row("blk.#.ssm_x.weight", [rank + 2 * state, inner], `${at}.x_proj.weight`),
    row("blk.#.ssm_dt.weight", [inner, rank], `${at}.dt_proj.weight`),
    row("blk.#.ssm_dt.bias", [1, inner], `${at}.dt_proj.bias`),
    row("blk.#.ssm_a", [inner, state], `${at}.A_log`, logarithm),
    row("blk.#.ssm_d", [1, inner], `${at}.D`),
    row("blk.#.ssm_out.weight", [width, inner], `${at}.out_proj.weight`),
  ];
}

function backbone(keys: Keys): Row[] {
  const width = count(keys, "embedding_length");
  return [
    row("token_embd.weight", [vocabulary(keys), width], "backbone.embeddings.weight"),
    row("blk.#.attn_norm.weight", [1, width], "backbone.layers.#.norm.weight"),
    row("output_norm.weight", [1, width], "backbone.norm_f.weight"),
    row("output.weight", [vocabulary(keys), width], "lm_head.weight"),
  ];
}

function mambaConfig(type: string, keys: Keys, has: (name: string) => boolean): Record<string, unknown> {
  return {
    model_type: type,
    vocab_size: vocabulary(keys),
    hidden_size: keys.embedding_length,
    num_hidden_layers: keys.block_count,
    layer_norm_epsilon: keys["attention.layer_norm_rms_epsilon"],
    conv_kernel: keys["ssm.conv_kernel"],
    state_size: keys["ssm.state_size"],
    expand: count(keys, "ssm.inner_size") / count(keys, "embedding_length"),
    tie_word_embeddings: !has("output.weight"),
  };
}

const mamba: Twin = {
  architecture: "mamba",
  keys: SSM,
  without: /^output\.weight/,
  config: (keys, has) => ({ ...mambaConfig("mamba", keys, has), time_step_rank: keys["ssm.time_step_rank"] }),
  rows: (keys) => [...backbone(keys), ...mambaRows(keys, "backbone.layers.#.mixer")],
};

const mamba2: Twin = {
  architecture: "mamba2",
  keys: { ...SSM, "ssm.time_step_rank": 6, "ssm.group_count": 2 },
  config: (keys, has) => ({
    ...mambaConfig("mamba2", keys, has),
    num_heads: keys["ssm.time_step_rank"],
    head_dim: count(keys, "ssm.inner_size") / count(keys, "ssm.time_step_rank"),
    n_groups: keys["ssm.group_count"],
  }),
  rows: (keys) => {
    const width = count(keys, "embedding_length");
    const [inner, state] = [count(keys, "ssm.inner_size"), count(keys, "ssm.state_size")];
    const [heads, groups] = [count(keys, "ssm.time_step_rank"), count(keys, "ssm.group_count")];
    const mixed = inner + 2 * groups * state;
    const at = "backbone.layers.#.mixer";
    return [
      ...backbone(keys),
      row("blk.#.ssm_in.weight", [inner + mixed + heads, width], `${at}.in_proj.weight`),
      row("blk.#.ssm_conv1d.weight", [mixed, count(keys, "ssm.conv_kernel")], `${at}.conv1d.weight`, depthwise),
      row("blk.#.ssm_conv1d.bias", [1, mixed], `${at}.conv1d.bias`),
      row("blk.#.ssm_dt.bias", [1, heads], `${at}.dt_bias`),
      row("blk.#.ssm_a", [heads, 1], `${at}.A_log`, logarithm),
      row("blk.#.ssm_d", [heads, 1], `${at}.D`, flat),
      row("blk.#.ssm_norm.weight", [groups, inner / groups], `${at}.norm.weight`, flat),
      row("blk.#.ssm_out.weight", [width, inner], `${at}.out_proj.weight`),
    ];
  },
};

/** Layers 0, 1, 3 Mamba and 2 attention; experts in 1 and 3: as the golden file. */
const jamba: Twin = {
  architecture: "jamba",
  keys: {
    ...SSM,
    context_length: 40,
    block_count: 4,
    feed_forward_length: 20,
    "attention.head_count": 4,
    "attention.head_count_kv": Int32Array.of(0, 0, 2, 0),
    expert_count: 3,
    expert_used_count: 2,
  },
  without:
    /blk\.2\.ssm|blk\.[013]\.attn_(q|k|v|output)|blk\.[13]\.ffn_(gate|up|down)\.|blk\.[02]\.ffn_(gate_inp|\w+_exps)/,
  config: (keys, has) => ({
    model_type: "jamba",
    vocab_size: vocabulary(keys),
    max_position_embeddings: keys.context_length,
    hidden_size: keys.embedding_length,
    num_hidden_layers: keys.block_count,
    intermediate_size: keys.feed_forward_length,
    num_attention_heads: keys["attention.head_count"],
    num_key_value_heads: 2,
    rms_norm_eps: keys["attention.layer_norm_rms_epsilon"],
    attn_layer_period: 4,
    attn_layer_offset: 2,
    num_experts: keys.expert_count,
    num_experts_per_tok: keys.expert_used_count,
    mamba_d_state: keys["ssm.state_size"],
    mamba_d_conv: keys["ssm.conv_kernel"],
    mamba_expand: count(keys, "ssm.inner_size") / count(keys, "embedding_length"),
    mamba_dt_rank: keys["ssm.time_step_rank"],
    tie_word_embeddings: !has("output.weight"),
  }),
  rows: (keys) => [...jambaOuter(keys), ...mambaRows(keys, "model.layers.#.mamba"), ...jambaInner(keys)],
};

function jambaOuter(keys: Keys): Row[] {
  const width = count(keys, "embedding_length");
  return [
    row("token_embd.weight", [vocabulary(keys), width], "model.embed_tokens.weight"),
    row("output_norm.weight", [1, width], "model.final_layernorm.weight"),
    row("output.weight", [vocabulary(keys), width], "lm_head.weight"),
    row("blk.#.attn_norm.weight", [1, width], "model.layers.#.input_layernorm.weight"),
    row("blk.#.ffn_norm.weight", [1, width], "model.layers.#.pre_ff_layernorm.weight"),
  ];
}

function jambaInner(keys: Keys): Row[] {
  const [width, hidden] = [count(keys, "embedding_length"), count(keys, "feed_forward_length")];
  const [experts, headWidth] = [count(keys, "expert_count"), width / count(keys, "attention.head_count")];
  const [rank, state] = [count(keys, "ssm.time_step_rank"), count(keys, "ssm.state_size")];
  const at = "model.layers.#";
  return [
    row("blk.#.ssm_dt_norm.weight", [1, rank], `${at}.mamba.dt_layernorm.weight`),
    row("blk.#.ssm_b_norm.weight", [1, state], `${at}.mamba.b_layernorm.weight`),
    row("blk.#.ssm_c_norm.weight", [1, state], `${at}.mamba.c_layernorm.weight`),
    row("blk.#.attn_q.weight", [width, width], `${at}.self_attn.q_proj.weight`),
    row("blk.#.attn_k.weight", [2 * headWidth, width], `${at}.self_attn.k_proj.weight`),
    row("blk.#.attn_v.weight", [2 * headWidth, width], `${at}.self_attn.v_proj.weight`),
    row("blk.#.attn_output.weight", [width, width], `${at}.self_attn.o_proj.weight`),
    row("blk.#.ffn_gate.weight", [hidden, width], `${at}.feed_forward.gate_proj.weight`),
    row("blk.#.ffn_up.weight", [hidden, width], `${at}.feed_forward.up_proj.weight`),
    row("blk.#.ffn_down.weight", [width, hidden], `${at}.feed_forward.down_proj.weight`),
    row("blk.#.ffn_gate_inp.weight", [experts, width], `${at}.feed_forward.router.weight`),
    row(
      "blk.#.ffn_gate_exps.weight",
      [experts * hidden, width],
      `${at}.feed_forward.experts.*.gate_proj.weight`,
      perExpert,
    ),
    row(
      "blk.#.ffn_up_exps.weight",
      [experts * hidden, width],
      `${at}.feed_forward.experts.*.up_proj.weight`,
      perExpert,
    ),
    row(
      "blk.#.ffn_down_exps.weight",
      [experts * width, hidden],
      `${at}.feed_forward.experts.*.down_proj.weight`,
      perExpert,
    ),
  ];
}

const T5: Keys = {
  context_length: 512,
  embedding_length: 24,
  block_count: 2,
  feed_forward_length: 20,
  "attention.head_count": 4,
  "attention.key_length": 6,
  "attention.value_length": 6,
  "attention.layer_norm_rms_epsilon": 2 ** -20,
  "attention.layer_norm_epsilon": 2 ** -20,
  "attention.relative_buckets_count": 32,
  decoder_start_token_id: 0,
};

/** One stack: `enc` or `dec`. The relative bias is in the first layer only. */
function stackRows(keys: Keys, short: string, name: string): Row[] {
  const [width, hidden] = [count(keys, "embedding_length"), count(keys, "feed_forward_length")];
  const [heads, headWidth] = [count(keys, "attention.head_count"), count(keys, "attention.key_length")];
  const dense = short === "enc" ? 1 : 2;
  const at = `${name}.block.#.layer`;
  const attention = (gguf: string, hf: string) => [
    row(`${short}.blk.#.${gguf}_q.weight`, [heads * headWidth, width], `${at}.${hf}.q.weight`),
    row(`${short}.blk.#.${gguf}_k.weight`, [heads * headWidth, width], `${at}.${hf}.k.weight`),
    row(`${short}.blk.#.${gguf}_v.weight`, [heads * headWidth, width], `${at}.${hf}.v.weight`),
    row(`${short}.blk.#.${gguf}_o.weight`, [width, heads * headWidth], `${at}.${hf}.o.weight`),
  ];
  return [
    row(`${short}.output_norm.weight`, [1, width], `${name}.final_layer_norm.weight`),
    row(`${short}.blk.#.attn_norm.weight`, [1, width], `${at}.0.layer_norm.weight`),
    ...attention("attn", "0.SelfAttention"),
    row(
      `${short}.blk.0.attn_rel_b.weight`,
      [count(keys, "attention.relative_buckets_count"), heads],
      `${name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`,
    ),
    row(`${short}.blk.#.ffn_norm.weight`, [1, width], `${at}.${dense}.layer_norm.weight`),
    row(`${short}.blk.#.ffn_gate.weight`, [hidden, width], `${at}.${dense}.DenseReluDense.wi_0.weight`),
    row(`${short}.blk.#.ffn_up.weight`, [hidden, width], `${at}.${dense}.DenseReluDense.${upName(keys)}.weight`),
    row(`${short}.blk.#.ffn_down.weight`, [width, hidden], `${at}.${dense}.DenseReluDense.wo.weight`),
    ...(short === "dec"
      ? [
          row("dec.blk.#.cross_attn_norm.weight", [1, width], `${at}.1.layer_norm.weight`),
          ...attention("cross_attn", "1.EncDecAttention"),
        ]
      : []),
  ];
}

const gated = (keys: Keys) => keys.hidden_act === "gelu";
const upName = (keys: Keys) => (gated(keys) ? "wi_1" : "wi");

const t5: Twin = {
  architecture: "t5",
  keys: T5,
  without: /ffn_gate/,
  config: (keys) => ({
    model_type: "t5",
    vocab_size: vocabulary(keys),
    d_model: keys.embedding_length,
    d_kv: keys["attention.key_length"],
    d_ff: keys.feed_forward_length,
    num_layers: keys.block_count,
    num_heads: keys["attention.head_count"],
    layer_norm_epsilon: keys["attention.layer_norm_epsilon"],
    relative_attention_num_buckets: keys["attention.relative_buckets_count"],
    feed_forward_proj: gated(keys) ? "gated-gelu" : "relu",
    tie_word_embeddings: false,
  }),
  rows: (keys) => [
    row("token_embd.weight", [vocabulary(keys), count(keys, "embedding_length")], "shared.weight"),
    row("output.weight", [vocabulary(keys), count(keys, "embedding_length")], "lm_head.weight"),
    ...stackRows(keys, "enc", "encoder"),
    ...stackRows(keys, "dec", "decoder"),
  ],
};

/** By the name of the golden file, where there is one. */
export const STATE_TWINS: Readonly<Record<string, Twin>> = {
  mamba,
  mamba2,
  jamba,
  t5,
  "t5-gated": { ...t5, keys: { ...T5, hidden_act: "gelu" }, without: /(?!)/ },
};
