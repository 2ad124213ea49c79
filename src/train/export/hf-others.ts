/** GPT-2, GPT-NeoX and Mamba as classes of `transformers` (modeling_gpt2.py, modeling_gpt_neox.py, modeling_mamba.py). */

import { gptNeox as gptNeoxNames } from "../../formats/hf/gpt-neox.js";
import { gpt2 as gpt2Names } from "../../formats/hf/gpt2.js";
import { mamba as mambaNames } from "../../formats/hf/mamba.js";
import type { ModelMetadata } from "../../models/metadata.js";
import { UnsupportedError } from "../../util/errors.js";
import { FUSED_HEADS, LOG_OF_NEGATIVE, ONE_CHANNEL_KERNELS, TRANSPOSED } from "./hf-layouts.js";
import type { HfWriter } from "./hf-writer.js";
import { ropeOf } from "./portable-rope.js";

/** Their names of Sluice's activations. */
const ACTIVATIONS: Readonly<Record<string, string>> = { gelu: "gelu_new", geluErf: "gelu", silu: "silu", relu: "relu" };

const activationOf = (meta: ModelMetadata) => ACTIVATIONS[meta.text("hidden_act") ?? "gelu"];

/** Queries, keys and values apart are not what these classes have. */
function requireFused(meta: ModelMetadata): void {
  if (meta.hasTensor("blk.0.attn_qkv.weight")) return;
  const { architecture } = meta.checkpoint;
  throw new UnsupportedError(`${architecture} of transformers needs a fused attn_qkv; export with --to gguf.`);
}

export const gpt2: HfWriter = {
  modelType: "gpt2",
  className: "GPT2LMHeadModel",
  table: gpt2Names.tensors,
  prefix: "transformer.",
  head: "lm_head",
  biases: /^(blk\.#\..*|output_norm)\.bias$/,
  rearranged: {
    "blk.#.attn_qkv.weight": TRANSPOSED,
    "blk.#.attn_output.weight": TRANSPOSED,
    "blk.#.ffn_up.weight": TRANSPOSED,
    "blk.#.ffn_down.weight": TRANSPOSED,
  },
  config(meta, spec) {
    requireFused(meta);
    return {
      n_embd: spec.width,
      n_head: meta.count("attention.head_count"),
      n_layer: spec.layers.length,
      n_positions: spec.contextLength,
      n_inner: meta.count("feed_forward_length"),
      layer_norm_epsilon: meta.number("attention.layer_norm_epsilon"),
      activation_function: activationOf(meta),
    };
  },
};

export const gptneox: HfWriter = {
  modelType: "gpt_neox",
  className: "GPTNeoXForCausalLM",
  table: gptNeoxNames.tensors,
  prefix: "gpt_neox.",
  head: "embed_out",
  biases: /^(blk\.#\..*|output_norm)\.bias$/,
  rearranged: { "blk.#.attn_qkv.weight": FUSED_HEADS, "blk.#.attn_qkv.bias": FUSED_HEADS },
  config(meta, spec) {
    requireFused(meta);
    const heads = meta.count("attention.head_count");
    const rope = ropeOf(spec);
    if (rope?.scaling.kind !== "none") {
      throw new UnsupportedError("GPTNeoXForCausalLM is written with plain RoPE only; export with --to gguf.");
    }
    return {
      hidden_size: spec.width,
      num_attention_heads: heads,
      num_hidden_layers: spec.layers.length,
      intermediate_size: meta.count("feed_forward_length"),
      max_position_embeddings: spec.contextLength,
      layer_norm_eps: meta.number("attention.layer_norm_epsilon"),
      use_parallel_residual: meta.flag("use_parallel_residual", true),
      hidden_act: activationOf(meta),
      rotary_emb_base: rope.base,
      rotary_pct: rope.dims / (spec.width / heads),
      attention_bias: meta.hasTensor("blk.0.attn_qkv.bias"),
    };
  },
};

export const mamba: HfWriter = {
  modelType: "mamba",
  className: "MambaForCausalLM",
  table: mambaNames.tensors,
  prefix: "backbone.",
  head: "lm_head",
  biases: /^blk\.#\.ssm_(conv1d|dt)\.bias$/,
  rearranged: { "blk.#.ssm_a": LOG_OF_NEGATIVE, "blk.#.ssm_conv1d.weight": ONE_CHANNEL_KERNELS },
  config: (meta, spec) => ({
    hidden_size: spec.width,
    num_hidden_layers: spec.layers.length,
    intermediate_size: meta.count("ssm.inner_size"),
    expand: meta.count("ssm.inner_size") / spec.width,
    state_size: meta.count("ssm.state_size"),
    conv_kernel: meta.count("ssm.conv_kernel"),
    time_step_rank: meta.count("ssm.time_step_rank"),
    layer_norm_epsilon: meta.number("attention.layer_norm_rms_epsilon"),
    hidden_act: "silu",
    use_bias: false,
    use_conv_bias: true,
  }),
};
