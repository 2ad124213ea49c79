/**
 * MPT: configuration_mpt.py, modeling_mpt.py of `transformers` (ALiBi always, exact GELU, Wqkv all queries, keys, values, 4
 * times the width inside); conversion/mpt.py of llama.cpp.
 */
import type { HfArchitecture } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";

/** `attn_config`, or its class's defaults where it is absent. */
function attentionOf(config: ConfigFields) {
  const attention = config.nested("attn_config");
  attention?.only("alibi", true);
  attention?.only("qk_ln", false);
  attention?.only("softmax_scale", null);
  attention?.only("prefix_lm", false);
  attention?.only("attn_type", "multihead_attention");
  return {
    clamp: attention?.value("clip_qkv") === undefined ? undefined : attention.positive("clip_qkv"),
    bias: attention?.positive("alibi_bias_max", 8) ?? 8,
  };
}

export const mpt: HfArchitecture = {
  architecture: "mpt",
  tied: true,
  metadata: (config) => {
    config.only("logit_scale", null);
    const { clamp, bias } = attentionOf(config);
    const width = config.count(config.either("d_model", "hidden_size"));
    const heads = config.count(config.either("n_heads", "num_attention_heads"));
    if (width % heads !== 0) throw config.wrong("n_heads", `a divisor of d_model ${width}`);
    return {
      vocab_size: config.count("vocab_size"),
      context_length: config.count("max_seq_len"),
      embedding_length: width,
      block_count: config.count(config.either("n_layers", "num_hidden_layers")),
      feed_forward_length: config.count("expansion_ratio", 4) * width,
      "attention.head_count": heads,
      "attention.head_count_kv": heads,
      "attention.layer_norm_epsilon": config.positive("layer_norm_epsilon", 1e-5),
      "attention.max_alibi_bias": bias,
      "attention.clamp_kqv": clamp,
      hidden_act: "geluErf",
    };
  },
  tensors: {
    prefixes: ["transformer."],
    modules: {
      wte: "token_embd",
      norm_f: "output_norm",
      lm_head: "output",
      "blocks.#.norm_1": "blk.#.attn_norm",
      "blocks.#.attn.Wqkv": "blk.#.attn_qkv",
      "blocks.#.attn.out_proj": "blk.#.attn_output",
      "blocks.#.norm_2": "blk.#.ffn_norm",
      "blocks.#.ffn.up_proj": "blk.#.ffn_up",
      "blocks.#.ffn.down_proj": "blk.#.ffn_down",
    },
  },
};
