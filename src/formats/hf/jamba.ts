/**
 * Jamba: configuration_jamba.py, modeling_jamba.py of `transformers`; conversion/jamba.py of llama.cpp. Layer i has attention
 * where i % attn_layer_period = attn_layer_offset and Mamba elsewhere, which `attention.head_count_kv` says as a list with 0
 * for Mamba; which layers have experts shows in their tensors.
 */
import type { HfArchitecture, KeyValues } from "./architecture.js";
import { F32, NEGATIVE_EXP } from "./computed.js";
import type { ConfigFields } from "./config-fields.js";
import { type LlamaDefaults, llamaSizes, llamaTensorsWith } from "./llama.js";
import { stepRank } from "./mamba.js";
import { EXPERTS } from "./rearranged.js";

const DEFAULTS: LlamaDefaults = { kvHeads: 8, headWidth: "split", context: 262144, epsilon: 1e-6 };

function kvHeadsByLayer(config: ConfigFields, kvHeads: number): Int32Array {
  const period = config.count("attn_layer_period", 8);
  const offset = config.whole("attn_layer_offset", 4);
  if (offset >= period) throw config.wrong("attn_layer_offset", `below attn_layer_period ${period}`);
  const layers = config.count("num_hidden_layers");
  // A hostile count must not allocate by itself: the largest models have about a hundred layers.
  if (layers > MOST_LAYERS) throw config.wrong("num_hidden_layers", `at most ${MOST_LAYERS}`);
  return Int32Array.from({ length: layers }, (_, layer) => (layer % period === offset ? kvHeads : 0));
}

const MOST_LAYERS = 65536;

function expertKeys(config: ConfigFields): KeyValues {
  const experts = config.count("num_experts", 16);
  if (experts === 1) return {};
  return { expert_count: experts, expert_used_count: config.count("num_experts_per_tok", 2) };
}

export const jamba: HfArchitecture = {
  architecture: "jamba",
  tied: false,
  metadata: (config) => {
    config.only("hidden_act", "silu");
    config.only("sliding_window", null);
    const sizes = llamaSizes(config, DEFAULTS);
    const width = config.count("hidden_size");
    return {
      ...sizes,
      "attention.head_count_kv": kvHeadsByLayer(config, Number(sizes["attention.head_count_kv"])),
      "ssm.conv_kernel": config.count("mamba_d_conv", 4),
      "ssm.inner_size": Math.floor(config.positive("mamba_expand", 2) * width),
      "ssm.state_size": config.count("mamba_d_state", 16),
      "ssm.time_step_rank": stepRank(config, "mamba_dt_rank", width),
      ...expertKeys(config),
    };
  },
  tensors: {
    ...llamaTensorsWith({
      final_layernorm: "output_norm",
      "layers.#.pre_ff_layernorm": "blk.#.ffn_norm",
      "layers.#.mamba.in_proj": "blk.#.ssm_in",
      "layers.#.mamba.conv1d": { to: "blk.#.ssm_conv1d", view: F32 },
      "layers.#.mamba.x_proj": "blk.#.ssm_x",
      "layers.#.mamba.dt_layernorm": "blk.#.ssm_dt_norm",
      "layers.#.mamba.b_layernorm": "blk.#.ssm_b_norm",
      "layers.#.mamba.c_layernorm": "blk.#.ssm_c_norm",
      "layers.#.mamba.dt_proj": "blk.#.ssm_dt",
      "layers.#.mamba.out_proj": "blk.#.ssm_out",
      "layers.#.feed_forward.gate_proj": "blk.#.ffn_gate",
      "layers.#.feed_forward.up_proj": "blk.#.ffn_up",
      "layers.#.feed_forward.down_proj": "blk.#.ffn_down",
      "layers.#.feed_forward.router": "blk.#.ffn_gate_inp",
      "layers.#.feed_forward.experts.*.gate_proj": { to: "blk.#.ffn_gate_exps", view: EXPERTS },
      "layers.#.feed_forward.experts.*.up_proj": { to: "blk.#.ffn_up_exps", view: EXPERTS },
      "layers.#.feed_forward.experts.*.down_proj": { to: "blk.#.ffn_down_exps", view: EXPERTS },
    }),
    parameters: {
      "layers.#.mamba.A_log": { to: "blk.#.ssm_a", view: NEGATIVE_EXP },
      "layers.#.mamba.D": { to: "blk.#.ssm_d", view: F32 },
    },
  },
};
