/** Llama as LlamaForCausalLM (modeling_llama.py of `transformers`), whose RoPE turns the halves of a head. */
import { LLAMA_TENSORS } from "../../formats/hf/llama.js";
import type { JsonObject } from "../../formats/json-file.js";
import type { ModelMetadata } from "../../models/metadata.js";
import type { RopeSpec } from "../../position/rope.js";
import { UnsupportedError } from "../../util/errors.js";
import { pairsToHalves } from "./hf-layouts.js";
import type { HfWriter } from "./hf-writer.js";
import { ntkBase, ropeOf } from "./portable-rope.js";

export const llama: HfWriter = {
  modelType: "llama",
  className: "LlamaForCausalLM",
  table: LLAMA_TENSORS,
  prefix: "model.",
  head: "lm_head",
  biases: /^blk\.#\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.bias$/,
  rearranged: {
    "blk.#.attn_q.weight": pairsToHalves("attention.head_count"),
    "blk.#.attn_q.bias": pairsToHalves("attention.head_count"),
    "blk.#.attn_k.weight": pairsToHalves("attention.head_count_kv"),
    "blk.#.attn_k.bias": pairsToHalves("attention.head_count_kv"),
  },
  config(meta, spec) {
    const heads = meta.count("attention.head_count");
    const headWidth = meta.count("attention.key_length", spec.width / heads);
    const rope = ropeOf(spec);
    if (meta.number("expert_count", 0) > 0) throw refusal("experts");
    if (meta.count("attention.value_length", headWidth) !== headWidth)
      throw refusal("values of another width than keys");
    if (!rope || rope.dims !== headWidth) throw refusal("heads that are not rotated, or in part only");
    if (rope.divisors) throw refusal("RoPE with divisors (rope_freqs.weight)");
    return {
      hidden_act: "silu",
      hidden_size: spec.width,
      intermediate_size: meta.count("feed_forward_length"),
      num_hidden_layers: spec.layers.length,
      num_attention_heads: heads,
      num_key_value_heads: meta.count("attention.head_count_kv", heads),
      head_dim: headWidth,
      max_position_embeddings: spec.contextLength,
      rms_norm_eps: meta.number("attention.layer_norm_rms_epsilon"),
      ...ropeFields(rope, spec.contextLength),
      attention_bias: hasBias(meta, "attn_q"),
      mlp_bias: hasBias(meta, "ffn_up"),
    };
  },
};

const hasBias = (meta: ModelMetadata, name: string) => meta.hasTensor(`blk.0.${name}.bias`);

/** `rope_theta` and `rope_scaling`. NTK-aware scaling, which `transformers` has no name for, is a larger base. */
function ropeFields(rope: RopeSpec, context: number): JsonObject {
  const { scaling, base: rope_theta } = rope;
  const scaled = (fields: JsonObject) => ({ rope_theta, rope_scaling: { rope_type: scaling.kind, ...fields } });
  switch (scaling.kind) {
    case "none":
      return { rope_theta };
    case "ntk":
      return { rope_theta: ntkBase(rope, scaling.factor) };
    case "linear":
      return scaled({ factor: scaling.factor });
    case "dynamic":
      return scaled({ factor: scaling.factor, original_max_position_embeddings: scaling.originalContext });
    case "yarn":
      return scaled({
        factor: scaling.factor,
        original_max_position_embeddings: scaling.originalContext,
        attention_factor: (1 + 0.1 * Math.log(scaling.factor)) * (scaling.attentionFactor ?? 1),
        beta_fast: scaling.betaFast ?? 32,
        beta_slow: scaling.betaSlow ?? 1,
        ...(scaling.truncate === false && { truncate: false }),
      });
    case "llama3":
      return scaled({
        factor: scaling.factor,
        original_max_position_embeddings: scaling.originalContext,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
      });
    default:
      throw refusal(`RoPE scaling "${scaling.kind}" for a context of ${context}`);
  }
}

function refusal(what: string): UnsupportedError {
  return new UnsupportedError(`LlamaForCausalLM of transformers has no ${what}; export with --to gguf.`);
}
