/** Small models of the architectures that can be trained, as configurations, for tests of gradients. */
import type { ModelConfig } from "../../src/train/config.js";

export interface TrainingModel {
  readonly name: string;
  readonly model: ModelConfig;
  readonly attention?: string;
}

const SIZES = {
  block_count: 2,
  context_length: 32,
  embedding_length: 24,
  feed_forward_length: 20,
  "attention.head_count": 3,
};
const RMS = { ...SIZES, "attention.layer_norm_rms_epsilon": 1e-5 };
const LAYER = { ...SIZES, "attention.layer_norm_epsilon": 1e-5 };
const SSM = { "ssm.conv_kernel": 4, "ssm.inner_size": 36, "ssm.state_size": 5, "ssm.time_step_rank": 3 };
const EXPERTS = { expert_count: 3, expert_used_count: 2 };
/** Four query heads that share two KV heads. */
const GROUPED = {
  "attention.head_count": 4,
  "attention.head_count_kv": 2,
  "attention.key_length": 8,
  "attention.value_length": 8,
};

const model = (architecture: string, keys: ModelConfig["keys"], more: Partial<ModelConfig> = {}): ModelConfig => ({
  architecture,
  keys,
  tied: true,
  sinks: "none",
  tensors: "",
  balance: 0,
  ...more,
});

const study = (scheme: string, more: Partial<ModelConfig> = {}) =>
  model("sluice", { ...RMS, ...GROUPED, "position.scheme": scheme }, more);

export const TRAINING_MODELS: readonly TrainingModel[] = [
  { name: "llama", model: model("llama", { ...RMS, ...GROUPED }) },
  { name: "llama, head of its own", model: model("llama", RMS, { tied: false }) },
  {
    name: "llama, yarn",
    model: model("llama", {
      ...RMS,
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": 2,
      "rope.scaling.original_context_length": 8,
    }),
  },
  { name: "llama, window", model: model("llama", { ...RMS, ...GROUPED }), attention: "recent:5" },
  { name: "llama, sinks and window", model: model("llama", { ...RMS, ...GROUPED }), attention: "sinks:2,recent:4" },
  { name: "llama, shifted groups", model: model("llama", { ...RMS, ...GROUPED }), attention: "shifted:4" },
  { name: "alibi, learned sinks", model: study("alibi", { sinks: "learned" }) },
  { name: "relative, window of the model", model: study("relative") },
  { name: "sinusoidal, zero sink", model: study("sinusoidal", { sinks: "zero" }) },
  { name: "learned positions", model: study("learned") },
  { name: "no positions", model: study("none") },
  { name: "qwen2", model: model("qwen2", { ...RMS, ...GROUPED }) },
  { name: "qwen3", model: model("qwen3", { ...RMS, ...GROUPED }) },
  {
    name: "gemma2",
    model: model("gemma2", {
      ...RMS,
      "attention.sliding_window": 5,
      attn_logit_softcapping: 3,
      final_logit_softcapping: 5,
    }),
  },
  { name: "gemma3", model: model("gemma3", { ...RMS, ...GROUPED, "attention.sliding_window": 5 }) },
  { name: "phi3", model: model("phi3", RMS) },
  { name: "gpt2", model: model("gpt2", LAYER) },
  { name: "starcoder", model: model("starcoder", { ...LAYER, "attention.head_count_kv": 1 }) },
  { name: "gptneox", model: model("gptneox", { ...LAYER, "rope.dimension_count": 4 }, { tied: false }) },
  { name: "falcon", model: model("falcon", { ...LAYER, "attention.head_count_kv": 1 }) },
  { name: "bloom", model: model("bloom", LAYER) },
  { name: "mpt", model: model("mpt", { ...LAYER, "attention.max_alibi_bias": 8, "attention.clamp_kqv": 6 }) },
  { name: "mamba", model: model("mamba", { ...RMS, ...SSM }) },
  { name: "mamba2", model: model("mamba2", { ...RMS, ...SSM, "ssm.time_step_rank": 6, "ssm.group_count": 2 }) },
  { name: "mixtral", model: model("llama", { ...RMS, ...GROUPED, ...EXPERTS }) },
  {
    name: "jamba",
    model: model(
      "jamba",
      { ...RMS, ...SSM, ...EXPERTS, "attention.head_count_kv": [0, 1] },
      { tensors: String.raw`blk\.0\.ssm_in\.weight|blk\.1\.ffn_gate_inp\.weight` },
    ),
  },
  {
    name: "gpt-oss",
    model: model(
      "gpt-oss",
      {
        ...RMS,
        ...GROUPED,
        ...EXPERTS,
        expert_feed_forward_length: 12,
        "attention.sliding_window": 5,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 2,
        "rope.scaling.original_context_length": 8,
      },
      { tied: false },
    ),
  },
];
