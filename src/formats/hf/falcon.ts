/**
 * Falcon, 7B and 40B wiring: configuration_falcon.py, modeling_falcon.py of `transformers`; conversion/falcon.py of llama.cpp.
 * `query_key_value` is [Hkv][H / Hkv queries, key, value][D], with one KV head where `multi_query` holds and the decoder
 * is the old one. With two norms, `ln_attn` is before attention and `ln_mlp` before the feed-forward.
 */
import { activationOf } from "./activation.js";
import type { HfArchitecture } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";
import { FUSED_GROUPS } from "./rearranged.js";
import { ropeKeys } from "./rope.js";

function kvHeadsOf(config: ConfigFields, heads: number): number {
  if (!config.flag("new_decoder_architecture") && config.flag("multi_query") !== false) return 1;
  const field = config.either("num_kv_heads", "n_head_kv");
  const kvHeads = config.count(field, heads);
  if (heads % kvHeads === 0) return kvHeads;
  throw config.wrong(field, `a divisor of num_attention_heads ${heads}`);
}

export const falcon: HfArchitecture = {
  architecture: "falcon",
  tied: true,
  metadata: (config) => {
    config.only("alibi", false);
    config.only("parallel_attn", true);
    const width = config.count(config.either("hidden_size", "n_embed"));
    const heads = config.count(config.either("num_attention_heads", "n_head"));
    if (width % heads !== 0) throw config.wrong("num_attention_heads", `a divisor of hidden_size ${width}`);
    return {
      vocab_size: config.count("vocab_size"),
      context_length: config.count("max_position_embeddings", 2048),
      embedding_length: width,
      block_count: config.count(config.either("num_hidden_layers", "n_layer")),
      feed_forward_length: config.count("ffn_hidden_size", 4 * width),
      "attention.head_count": heads,
      "attention.head_count_kv": kvHeadsOf(config, heads),
      "attention.layer_norm_epsilon": config.positive("layer_norm_epsilon", 1e-5),
      hidden_act: activationOf(config, "activation", "gelu"),
      ...ropeKeys(config, width / heads),
    };
  },
  tensors: {
    prefixes: ["transformer."],
    modules: {
      word_embeddings: "token_embd",
      ln_f: "output_norm",
      lm_head: "output",
      "h.#.input_layernorm": "blk.#.attn_norm",
      "h.#.ln_mlp": "blk.#.attn_norm",
      "h.#.ln_attn": "blk.#.attn_norm_2",
      "h.#.self_attention.query_key_value": { to: "blk.#.attn_qkv", view: FUSED_GROUPS },
      "h.#.self_attention.dense": "blk.#.attn_output",
      "h.#.mlp.dense_h_to_4h": "blk.#.ffn_up",
      "h.#.mlp.dense_4h_to_h": "blk.#.ffn_down",
    },
  },
};
