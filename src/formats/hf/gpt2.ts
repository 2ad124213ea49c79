/**
 * GPT-2 and GPTBigCode (StarCoder): configuration_gpt2.py, configuration_gpt_bigcode.py and their modeling files of
 * `transformers`; conversion/gpt2.py, conversion/starcoder.py of llama.cpp. GPT-2's linear layers are Conv1D, whose weights
 * are [inputs, outputs]; GPTBigCode's are ordinary ones. With `multi_query` false its heads are fused as [H][q, k, v][D].
 */
import { activationOf } from "./activation.js";
import type { HfArchitecture, KeyValues } from "./architecture.js";
import { F32 } from "./computed.js";
import type { ConfigFields } from "./config-fields.js";
import { FUSED_GROUPS, TRANSPOSED } from "./rearranged.js";
import type { TensorTable } from "./tensor-table.js";
import type { View } from "./views.js";

function gptKeys(config: ConfigFields, kvHeads: number | undefined, activation: string): KeyValues {
  config.only("scale_attn_weights", true);
  const width = config.count(config.either("n_embd", "hidden_size"));
  const heads = config.count(config.either("n_head", "num_attention_heads"));
  if (width % heads !== 0) throw config.wrong("n_head", `a divisor of n_embd ${width}`);
  return {
    vocab_size: config.count("vocab_size"),
    context_length: config.count(config.either("n_positions", "max_position_embeddings", "n_ctx")),
    embedding_length: width,
    block_count: config.count(config.either("n_layer", "num_hidden_layers")),
    feed_forward_length: config.count("n_inner", 4 * width),
    "attention.head_count": heads,
    "attention.head_count_kv": kvHeads ?? heads,
    "attention.layer_norm_epsilon": config.positive("layer_norm_epsilon", 1e-5),
    hidden_act: activationOf(config, "activation_function", activation),
  };
}

/** The modules of both, whose matrices go through `linear` and the fused one through `fused`. */
function gptTensors(linear: View | undefined, fused: View | undefined): TensorTable {
  const through = (to: string, view: View | undefined) => (view ? { to, view } : to);
  return {
    prefixes: ["transformer."],
    // Causal masks that old versions saved.
    ignored: /^h\.\d+\.attn\.bias$/,
    modules: {
      wte: "token_embd",
      wpe: { to: "position_embd", view: F32 },
      ln_f: "output_norm",
      lm_head: "output",
      "h.#.ln_1": "blk.#.attn_norm",
      "h.#.attn.c_attn": through("blk.#.attn_qkv", fused),
      "h.#.attn.c_proj": through("blk.#.attn_output", linear),
      "h.#.ln_2": "blk.#.ffn_norm",
      "h.#.mlp.c_fc": through("blk.#.ffn_up", linear),
      "h.#.mlp.c_proj": through("blk.#.ffn_down", linear),
    },
  };
}

export const gpt2: HfArchitecture = {
  architecture: "gpt2",
  tied: true,
  metadata: (config) => {
    config.only("scale_attn_by_inverse_layer_idx", false);
    return gptKeys(config, undefined, "gelu_new");
  },
  tensors: gptTensors(TRANSPOSED, TRANSPOSED),
};

export const gptBigCode: HfArchitecture = {
  architecture: "starcoder",
  tied: true,
  metadata: (config) => gptKeys(config, config.flag("multi_query") === false ? undefined : 1, "gelu_pytorch_tanh"),
  // One group of all queries, one key and one value is the order of GGUF already.
  tensors: gptTensors(undefined, FUSED_GROUPS),
};
