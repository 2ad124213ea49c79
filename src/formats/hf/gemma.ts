/**
 * Gemma 2 and 3: configuration_gemma2.py, configuration_gemma3.py of `transformers`; conversion/gemma.py of llama.cpp. Norms
 * multiply by 1 + weight, of which GGUF has the sum. `attention.scale` is 1 / sqrt(query_pre_attn_scalar), which GGUF
 * files leave to the architecture. Gemma 3 with images has the text model's fields in `text_config`.
 */
import { activationOf } from "./activation.js";
import type { HfArchitecture, KeyValues } from "./architecture.js";
import { PLUS_ONE } from "./computed.js";
import type { ConfigFields } from "./config-fields.js";
import { headWidthOf, type LlamaDefaults, llamaKeys, llamaSizes, llamaTensorsWith } from "./llama.js";
import { type RopeFields, ropeKeys } from "./rope.js";
import type { TensorTable } from "./tensor-table.js";
import { alternatingWindows } from "./windows.js";

const DEFAULTS: LlamaDefaults = {
  heads: 8,
  kvHeads: 4,
  headWidth: 256,
  vocabulary: 256000,
  context: 8192,
  epsilon: 1e-6,
};
const DEFAULTS_3: LlamaDefaults = { ...DEFAULTS, vocabulary: 262208, context: 131072 };

function sharedKeys(config: ConfigFields): KeyValues {
  config.only("use_bidirectional_attention", false);
  return {
    "attention.scale": 1 / Math.sqrt(config.positive("query_pre_attn_scalar", 256)),
    hidden_act: activationOf(config, "hidden_activation", "gelu_pytorch_tanh"),
  };
}

const norm = (to: string) => ({ to, view: PLUS_ONE });

const TENSORS: TensorTable = {
  ...llamaTensorsWith({
    norm: norm("output_norm"),
    "layers.#.input_layernorm": norm("blk.#.attn_norm"),
    "layers.#.self_attn.q_norm": norm("blk.#.attn_q_norm"),
    "layers.#.self_attn.k_norm": norm("blk.#.attn_k_norm"),
    "layers.#.post_attention_layernorm": norm("blk.#.post_attention_norm"),
    "layers.#.pre_feedforward_layernorm": norm("blk.#.ffn_norm"),
    "layers.#.post_feedforward_layernorm": norm("blk.#.post_ffw_norm"),
  }),
  prefixes: ["language_model.model.", "model.language_model.", "language_model.", "model."],
  ignored: /^(vision_tower|multi_modal_projector)\./,
};

export const gemma2: HfArchitecture = {
  architecture: "gemma2",
  tied: true,
  metadata: (config) => {
    // GGUF cannot say "none": an absent key means the class's default there.
    const cap = (field: string, fallback: number) => {
      if (!config.has(field) || config.value(field) !== undefined) return config.positive(field, fallback);
      throw config.unsupported(field, "a number");
    };
    return {
      ...llamaKeys(config, DEFAULTS),
      ...sharedKeys(config),
      ...alternatingWindows(config, 4096, 2),
      attn_logit_softcapping: cap("attn_logit_softcapping", 50),
      final_logit_softcapping: cap("final_logit_softcapping", 30),
    };
  },
  tensors: TENSORS,
};

/** RoPE of the layers with full attention, and the base of those with a window, which are never scaled. */
function gemma3Rope(config: ConfigFields): KeyValues {
  const fields: RopeFields = { base: ["rope_theta", 1e6] };
  const local = config.nested("rope_parameters")?.nested("sliding_attention");
  const headWidth = headWidthOf(config, DEFAULTS_3, config.count("num_attention_heads", DEFAULTS_3.heads));
  return {
    ...ropeKeys(config, headWidth, fields),
    "rope.freq_base_swa": local?.positive("rope_theta", 1e4) ?? config.positive("rope_local_base_freq", 1e4),
  };
}

export const gemma3Text: HfArchitecture = {
  architecture: "gemma3",
  tied: true,
  metadata: (config) => {
    config.only("attn_logit_softcapping", null);
    const cap = "final_logit_softcapping";
    return {
      ...llamaSizes(config, DEFAULTS_3),
      ...sharedKeys(config),
      ...alternatingWindows(config, 4096, 6),
      ...gemma3Rope(config),
      final_logit_softcapping: config.value(cap) === undefined ? undefined : config.positive(cap),
    };
  },
  tensors: TENSORS,
};

export const gemma3: HfArchitecture = { ...gemma3Text, textConfig: "text_config" };
