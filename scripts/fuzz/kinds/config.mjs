// config.json (and generation_config.json): every field wrong, huge, negative, missing, nested; other model types' fields.
import { exerciseModel } from "../exercise.mjs";
import { hostileJson } from "../hostile-values.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { jsonBytes, mutateJson } from "../mutate.mjs";
import { smallFolders } from "../small-models.mjs";
import { companions } from "./safetensors.mjs";

const TYPES = [
  "llama",
  "mixtral",
  "mistral",
  "qwen2",
  "qwen3",
  "phi3",
  "gemma2",
  "gemma3",
  "gemma3_text",
  "gpt_oss",
  "gpt_neox",
  "falcon",
  "bloom",
  "mpt",
  "gpt2",
  "gpt_bigcode",
  "mamba",
  "mamba2",
  "jamba",
  "t5",
  "bert",
  "LLAMA",
  "",
];
const ROPE = [
  { type: "linear", factor: 2 },
  { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16, beta_fast: 32, beta_slow: 1, truncate: false },
  { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 },
  { rope_type: "dynamic", factor: 2 },
  { type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] },
  { type: "su", short_factor: [1], long_factor: [1] },
  { rope_type: "default", rope_theta: 500 },
];
/** What one model type or another reads. */
const FIELDS = {
  head_dim: 8,
  sliding_window: 9,
  use_sliding_window: true,
  max_window_layers: 1,
  layer_types: ["sliding_attention", "full_attention"],
  sliding_window_pattern: 2,
  attention_bias: true,
  mlp_bias: false,
  hidden_activation: "gelu_pytorch_tanh",
  hidden_act: "silu",
  query_pre_attn_scalar: 8,
  attn_logit_softcapping: 3,
  final_logit_softcapping: 5,
  rope_local_base_freq: 100,
  num_local_experts: 4,
  num_experts_per_tok: 2,
  partial_rotary_factor: 0.5,
  original_max_position_embeddings: 16,
  rotary_pct: 0.5,
  use_parallel_residual: false,
  new_decoder_architecture: true,
  multi_query: true,
  alibi: true,
  parallel_attn: true,
  d_model: 24,
  n_heads: 3,
  n_layers: 2,
  max_seq_len: 64,
  attn_config: { alibi: true, clip_qkv: 6 },
  n_embd: 24,
  n_head: 3,
  n_layer: 2,
  n_positions: 64,
  state_size: 5,
  conv_kernel: 4,
  expand: 2,
  time_step_rank: 3,
  n_groups: 1,
  num_heads: 6,
  d_kv: 8,
  d_ff: 28,
  num_layers: 2,
  relative_attention_num_buckets: 8,
  feed_forward_proj: "relu",
  is_gated_act: true,
  decoder_start_token_id: 0,
  attn_layer_period: 2,
  attn_layer_offset: 1,
  text_config: { hidden_size: 24 },
  eos_token_id: [2, 3],
  bos_token_id: 1,
  vocab_size: 48,
  tie_word_embeddings: true,
  torch_dtype: "float32",
  layer_norm_epsilon: 1e-5,
  rope_theta: 1e4,
  rope_scaling: { type: "linear", factor: 2 },
  rope_parameters: { rope_theta: 1e4, rope_type: "default" },
};

/** What most model types ask for. */
const COMMON = {
  hidden_size: 24,
  intermediate_size: 28,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 3,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  layer_norm_eps: 1e-5,
  vocab_size: 48,
  hidden_act: "silu",
  rope_theta: 1e4,
  tie_word_embeddings: true,
};

export const config = {
  name: "config",

  async prepare(library) {
    return { library, folders: await smallFolders(library), files: new MemoryFiles(library) };
  },

  async run({ library, folders, files }, random) {
    const folder = random.pick(folders);
    const contents = { ...companions(folder), "hf/model.safetensors": folder.weights };
    contents["hf/config.json"] = jsonBytes(random, changedConfig(random, folder.config));
    if (random.chance(0.2))
      contents["hf/generation_config.json"] = jsonBytes(
        random,
        mutateJson(random, { bos_token_id: 1, eos_token_id: [2, 4] }),
      );
    files.set(contents).install();
    try {
      await exerciseModel(library, "hf", random);
    } finally {
      files.checkClosed();
    }
  },
};

function changedConfig(random, own) {
  let changed = structuredClone(own);
  if (random.chance(0.3))
    changed = { ...COMMON, ...(random.chance(0.5) && FIELDS), ...changed, model_type: random.pick(TYPES) };
  for (let i = random.below(3); i > 0; i--) {
    const name = random.pick(Object.keys(FIELDS));
    changed[name] = random.chance(0.5) ? FIELDS[name] : mutateJson(random, FIELDS[name]);
  }
  if (random.chance(0.25))
    changed.rope_scaling = random.chance(0.5) ? random.pick(ROPE) : mutateJson(random, random.pick(ROPE));
  if (random.chance(0.05)) changed = { model_type: changed.model_type, text_config: changed };
  if (random.chance(0.02)) return hostileJson(random);
  return random.chance(0.75) ? mutateJson(random, changed) : changed;
}
