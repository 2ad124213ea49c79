/** Small models of every architecture, and of the wirings that it comes in, as data for random-gguf.ts. Sizes are odd. */
import type { GgufValue } from "./write-gguf.js";

export interface Family {
  readonly name: string;
  readonly architecture: string;
  /** Metadata without the architecture in front. */
  readonly keys: Readonly<Record<string, GgufValue>>;
  /** Names of optional tensors that the checkpoint has. */
  readonly has: RegExp;
  /** Small tensors whose numbers are part of the spec. */
  readonly auxiliary?: Readonly<Record<string, readonly number[]>>;
  /** Tensors whose numbers are smaller than others' by a factor. */
  readonly small?: { readonly tensors: RegExp; readonly factor: number };
}

/** Three heads of twelve. */
const SIZES = {
  block_count: 2,
  context_length: 64,
  embedding_length: 36,
  feed_forward_length: 52,
  "attention.head_count": 3,
};
const RMS = { ...SIZES, "attention.layer_norm_rms_epsilon": 1e-5 };
const LAYER = { ...SIZES, "attention.layer_norm_epsilon": 1e-5 };
const SSM = { "ssm.conv_kernel": 4, "ssm.inner_size": 60, "ssm.state_size": 5, "ssm.time_step_rank": 3 };
const EXPERTS = { expert_count: 5, expert_used_count: 2 };
const GATED = /ffn_gate\.weight/;
const NOTHING = /^$/;
/** T5 does not scale its scores: the factor is in the checkpoint's queries. */
const UNSCALED = { tensors: /attn_q\.weight$/, factor: 1 / Math.sqrt(12) };

export const FAMILIES: readonly Family[] = [
  { name: "llama", architecture: "llama", keys: { ...RMS, "attention.head_count_kv": 1 }, has: /^output|ffn_gate\.w/ },
  {
    name: "llama with divisors",
    architecture: "llama",
    keys: { ...RMS, "rope.freq_base": 500 },
    has: GATED,
    auxiliary: { "rope_freqs.weight": [1, 1.5, 2, 4, 7, 8] },
  },
  { name: "mixtral", architecture: "llama", keys: { ...RMS, ...EXPERTS }, has: NOTHING },
  { name: "mistral", architecture: "mistral", keys: { ...RMS, "attention.sliding_window": 13 }, has: GATED },
  { name: "qwen2", architecture: "qwen2", keys: RMS, has: /ffn_gate\.w|attn_[qkv]\.bias/ },
  {
    name: "qwen3",
    architecture: "qwen3",
    keys: { ...RMS, "attention.head_count_kv": 1, "attention.key_length": 16, "attention.value_length": 16 },
    has: GATED,
  },
  {
    name: "phi3 with a window",
    architecture: "phi3",
    keys: { ...RMS, "attention.head_count_kv": 1, "rope.dimension_count": 8, "attention.window": 20 },
    has: /attn_qkv\.weight|^output/,
  },
  {
    name: "phi3 with long rope",
    architecture: "phi3",
    keys: {
      ...RMS,
      "rope.dimension_count": 8,
      "rope.scaling.original_context_length": 32,
      "rope.scaling.attn_factor": 1.19,
    },
    has: /attn_qkv\.weight/,
    auxiliary: { "rope_factors_short.weight": [1, 1.1, 1.3, 2], "rope_factors_long.weight": [1, 2, 5, 9] },
  },
  {
    name: "gemma2",
    architecture: "gemma2",
    keys: {
      ...RMS,
      "attention.key_length": 8,
      "attention.value_length": 8,
      "attention.sliding_window": 11,
      attn_logit_softcapping: 3,
      final_logit_softcapping: 5,
    },
    has: GATED,
  },
  {
    name: "gemma3",
    architecture: "gemma3",
    keys: { ...RMS, block_count: 6, "attention.head_count_kv": 1, "attention.sliding_window": 11 },
    has: GATED,
  },
  {
    name: "gpt-oss",
    architecture: "gpt-oss",
    keys: {
      ...RMS,
      ...EXPERTS,
      expert_feed_forward_length: 20,
      "attention.sliding_window": 11,
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": 4,
      "rope.scaling.original_context_length": 16,
    },
    has: /\.bias$|^output\./,
  },
  {
    name: "gpt-oss, one expert",
    architecture: "gpt-oss",
    keys: { ...RMS, expert_count: 1, expert_used_count: 1, "attention.sliding_window": 11 },
    has: /\.bias$/,
  },
  { name: "gpt2", architecture: "gpt2", keys: LAYER, has: /\.bias$|attn_qkv/ },
  {
    name: "starcoder",
    architecture: "starcoder",
    keys: { ...LAYER, "attention.head_count_kv": 1 },
    has: /\.bias$|attn_qkv|^output\.weight/,
  },
  {
    name: "gptneox",
    architecture: "gptneox",
    keys: { ...LAYER, "rope.dimension_count": 4 },
    has: /blk.*\.bias$|attn_qkv|^output\.weight/,
  },
  {
    name: "gptneox, sequential, exact GELU",
    architecture: "gptneox",
    keys: { ...LAYER, "rope.dimension_count": 4, use_parallel_residual: false, hidden_act: "geluErf" },
    has: /blk.*\.bias$|attn_qkv|^output\.weight/,
  },
  {
    name: "falcon 7b",
    architecture: "falcon",
    keys: { ...LAYER, "attention.head_count_kv": 1 },
    has: /norm\.bias$|attn_qkv/,
  },
  {
    name: "falcon 40b",
    architecture: "falcon",
    keys: { ...LAYER, "attention.head_count_kv": 1 },
    has: /norm(_2)?\.bias$|attn_qkv|attn_norm_2|^output\.weight/,
  },
  { name: "bloom", architecture: "bloom", keys: LAYER, has: /\.bias$|attn_qkv/ },
  {
    name: "mpt",
    architecture: "mpt",
    keys: { ...LAYER, "attention.max_alibi_bias": 8, "attention.clamp_kqv": 0.7 },
    has: /attn_qkv/,
  },
  { name: "mamba", architecture: "mamba", keys: { ...RMS, ...SSM }, has: /ssm_dt\.bias/ },
  {
    name: "mamba2",
    architecture: "mamba2",
    keys: { ...RMS, ...SSM, "ssm.time_step_rank": 6, "ssm.group_count": 2 },
    has: /^output\.weight/,
  },
  {
    name: "jamba",
    architecture: "jamba",
    keys: { ...RMS, ...SSM, ...EXPERTS, block_count: 3, "attention.head_count_kv": Int32Array.of(0, 1, 0) },
    has: /blk\.[02]\.ssm_in|ssm_dt\.bias|blk\.1\.ffn_gate_inp|ffn_gate\.weight/,
  },
  {
    name: "sluice, window and sinks",
    architecture: "sluice",
    keys: { ...RMS, "attention.head_count_kv": 1, "attention.sliding_window": 13 },
    has: /ffn_gate\.weight|attn_sinks/,
  },
  {
    name: "sluice, alibi with sinks",
    architecture: "sluice",
    keys: { ...RMS, "position.scheme": "alibi" },
    has: /ffn_gate\.weight|attn_sinks/,
  },
  {
    name: "sluice, relative with a window",
    architecture: "sluice",
    keys: {
      ...RMS,
      "position.scheme": "relative",
      "attention.relative_buckets_count": 8,
      "attention.relative_maximum_distance": 20,
      "attention.sliding_window": 30,
    },
    has: /ffn_gate\.weight|^output/,
  },
  {
    name: "sluice, learned",
    architecture: "sluice",
    keys: { ...RMS, "attention.head_count_kv": 1, "position.scheme": "learned" },
    has: GATED,
  },
  {
    name: "sluice, sinusoidal with sinks",
    architecture: "sluice",
    keys: { ...RMS, "position.scheme": "sinusoidal" },
    has: /ffn_gate\.weight|attn_sinks/,
  },
  { name: "sluice, no positions", architecture: "sluice", keys: { ...RMS, "position.scheme": "none" }, has: GATED },
  {
    name: "t5",
    architecture: "t5",
    keys: { ...RMS, "attention.relative_buckets_count": 8, "attention.key_length": 8, "attention.value_length": 8 },
    has: NOTHING,
    small: UNSCALED,
  },
  {
    name: "t5, gated",
    architecture: "t5",
    keys: { ...RMS, "attention.relative_buckets_count": 32, decoder_block_count: 1 },
    has: /ffn_gate\.weight|^output\.weight|enc\.blk\.1\.attn_rel_b/,
    small: UNSCALED,
  },
];

export function familyNamed(name: string): Family {
  const family = FAMILIES.find((candidate) => candidate.name === name);
  if (!family) throw new Error(`There is no family ${name}.`);
  return family;
}
