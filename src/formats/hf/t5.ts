/**
 * T5: configuration_t5.py, modeling_t5.py of `transformers`; conversion/t5.py of llama.cpp. The embedding is saved under up
 * to three names. Where it is tied to the head (or `scale_decoder_outputs` says so), the decoder's output is divided by
 * sqrt(width), which GGUF cannot say: so its last norm is. "gated-gelu" means the tanh form.
 */
import { activationNamed } from "./activation.js";
import type { HfArchitecture } from "./architecture.js";
import { F32, scaledBy } from "./computed.js";
import type { ConfigFields } from "./config-fields.js";
import type { Targets, TensorTable } from "./tensor-table.js";

/** A key of our own: what `dec.output_norm.weight` was multiplied by, and need not be again. */
const NORM_SCALE = "decoder_norm_scale";

function activation(config: ConfigFields): string {
  const field = "feed_forward_proj";
  const kind = config.text(field, "relu");
  if (kind === "gated-gelu") return "gelu";
  return activationNamed(config, field, kind.replace(/^gated-/, ""));
}

/** Modules of a block of one of the two stacks; `feedForward` is the number of its last part. */
function stack(name: string, short: string, feedForward: number): Record<string, Targets> {
  const block = `${name}.block.#.layer`;
  const self = `${block}.0.SelfAttention`;
  const dense = `${block}.${feedForward}.DenseReluDense`;
  return {
    [`${block}.0.layer_norm`]: `${short}.blk.#.attn_norm`,
    ...attention(self, `${short}.blk.#.attn`),
    [`${self}.relative_attention_bias`]: { to: `${short}.blk.#.attn_rel_b`, view: F32 },
    [`${block}.${feedForward}.layer_norm`]: `${short}.blk.#.ffn_norm`,
    [`${dense}.wi`]: `${short}.blk.#.ffn_up`,
    [`${dense}.wi_0`]: `${short}.blk.#.ffn_gate`,
    [`${dense}.wi_1`]: `${short}.blk.#.ffn_up`,
    [`${dense}.wo`]: `${short}.blk.#.ffn_down`,
    [`${name}.final_layer_norm`]: `${short}.output_norm`,
  };
}

function attention(module: string, to: string): Record<string, Targets> {
  return Object.fromEntries(["q", "k", "v", "o"].map((part) => [`${module}.${part}`, `${to}_${part}`]));
}

const TENSORS: TensorTable = {
  prefixes: [],
  // Old files have a second relative bias that nothing reads.
  ignored: /^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/,
  modules: {
    shared: "token_embd",
    lm_head: "output",
    ...stack("encoder", "enc", 1),
    ...stack("decoder", "dec", 2),
    "decoder.final_layer_norm": { to: "dec.output_norm", view: scaledBy(NORM_SCALE) },
    ...attention("decoder.block.#.layer.1.EncDecAttention", "dec.blk.#.cross_attn"),
    "decoder.block.#.layer.1.layer_norm": "dec.blk.#.cross_attn_norm",
  },
  copies: [["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]],
};

export const t5: HfArchitecture = {
  architecture: "t5",
  tied: true,
  keepsHead: true,
  metadata: (config) => {
    config.only("relative_attention_max_distance", 128);
    const width = config.count(config.either("d_model", "hidden_size"));
    const epsilon = config.positive("layer_norm_epsilon", 1e-6);
    const layers = config.count(config.either("num_layers", "num_hidden_layers"));
    const scaled = config.flag("scale_decoder_outputs") ?? config.flag("tie_word_embeddings") ?? true;
    return {
      vocab_size: config.count("vocab_size"),
      context_length: config.count("n_positions", 512),
      embedding_length: width,
      block_count: layers,
      decoder_block_count: config.count("num_decoder_layers", layers),
      feed_forward_length: config.count("d_ff"),
      "attention.head_count": config.count(config.either("num_heads", "num_attention_heads")),
      "attention.key_length": config.count("d_kv"),
      "attention.value_length": config.count("d_kv"),
      "attention.layer_norm_epsilon": epsilon,
      "attention.layer_norm_rms_epsilon": epsilon,
      "attention.relative_buckets_count": config.count("relative_attention_num_buckets", 32),
      decoder_start_token_id: config.whole("decoder_start_token_id", 0),
      hidden_act: activation(config),
      [NORM_SCALE]: scaled ? 1 / Math.sqrt(width) : 1,
    };
  },
  tensors: TENSORS,
};
