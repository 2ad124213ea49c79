/**
 * BLOOM: configuration_bloom.py, modeling_bloom.py of `transformers`; conversion/bloom.py of llama.cpp. `query_key_value` is
 * [H][q, k, v][D]; BloomGelu is the tanh form; the context is not limited by ALiBi, 2048 is what it was trained with.
 */
import type { HfArchitecture } from "./architecture.js";
import { FUSED_GROUPS } from "./rearranged.js";

export const bloom: HfArchitecture = {
  architecture: "bloom",
  tied: true,
  metadata: (config) => {
    config.only("apply_residual_connection_post_layernorm", false);
    const width = config.count(config.either("hidden_size", "n_embed"));
    const heads = config.count(config.either("n_head", "num_attention_heads"));
    if (width % heads !== 0) throw config.wrong("n_head", `a divisor of hidden_size ${width}`);
    return {
      vocab_size: config.count("vocab_size"),
      context_length: config.count("seq_length", 2048),
      embedding_length: width,
      block_count: config.count(config.either("n_layer", "num_hidden_layers")),
      feed_forward_length: config.count("n_inner", 4 * width),
      "attention.head_count": heads,
      "attention.head_count_kv": heads,
      "attention.layer_norm_epsilon": config.positive("layer_norm_epsilon", 1e-5),
      hidden_act: "gelu",
    };
  },
  tensors: {
    prefixes: ["transformer."],
    modules: {
      word_embeddings: "token_embd",
      word_embeddings_layernorm: "token_embd_norm",
      ln_f: "output_norm",
      lm_head: "output",
      "h.#.input_layernorm": "blk.#.attn_norm",
      "h.#.self_attention.query_key_value": { to: "blk.#.attn_qkv", view: FUSED_GROUPS },
      "h.#.self_attention.dense": "blk.#.attn_output",
      "h.#.post_attention_layernorm": "blk.#.ffn_norm",
      "h.#.mlp.dense_h_to_4h": "blk.#.ffn_up",
      "h.#.mlp.dense_4h_to_h": "blk.#.ffn_down",
    },
  },
};
