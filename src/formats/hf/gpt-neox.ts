/**
 * GPT-NeoX and Pythia: configuration_gpt_neox.py, modeling_gpt_neox.py of `transformers`; conversion/gpt_neox.py of
 * llama.cpp. `query_key_value` is [H][q, k, v][D].
 */
import { activationOf } from "./activation.js";
import type { HfArchitecture } from "./architecture.js";
import { FUSED_GROUPS } from "./rearranged.js";
import { ropeKeys } from "./rope.js";

export const gptNeox: HfArchitecture = {
  architecture: "gptneox",
  tied: false,
  metadata: (config) => {
    const width = config.count("hidden_size");
    const heads = config.count("num_attention_heads");
    if (width % heads !== 0) throw config.wrong("num_attention_heads", `a divisor of hidden_size ${width}`);
    return {
      vocab_size: config.count("vocab_size"),
      context_length: config.count("max_position_embeddings"),
      embedding_length: width,
      block_count: config.count("num_hidden_layers"),
      feed_forward_length: config.count("intermediate_size"),
      "attention.head_count": heads,
      "attention.head_count_kv": heads,
      "attention.layer_norm_epsilon": config.positive("layer_norm_eps", 1e-5),
      use_parallel_residual: config.flag("use_parallel_residual") ?? true,
      hidden_act: activationOf(config, "hidden_act", "gelu"),
      ...ropeKeys(config, width / heads, { base: ["rotary_emb_base", 10000], part: ["rotary_pct", 0.25] }),
    };
  },
  tensors: {
    prefixes: ["gpt_neox."],
    // Causal masks that old versions saved.
    ignored: /^layers\.\d+\.attention\.bias$/,
    modules: {
      embed_in: "token_embd",
      final_layer_norm: "output_norm",
      embed_out: "output",
      "layers.#.input_layernorm": "blk.#.attn_norm",
      "layers.#.attention.query_key_value": { to: "blk.#.attn_qkv", view: FUSED_GROUPS },
      "layers.#.attention.dense": "blk.#.attn_output",
      "layers.#.post_attention_layernorm": "blk.#.ffn_norm",
      "layers.#.mlp.dense_h_to_4h": "blk.#.ffn_up",
      "layers.#.mlp.dense_4h_to_h": "blk.#.ffn_down",
    },
  },
};
