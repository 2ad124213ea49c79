/**
 * gpt-oss: configuration_gpt_oss.py, modeling_gpt_oss.py of `transformers`; conversion/gpt_oss.py of llama.cpp. The experts'
 * matrices are [E, inputs, outputs], or [E, outputs, inputs] in MXFP4; the outputs of `gate_up_proj` alternate: gate, up, ...
 */

import { rowBytes } from "../../tensor/dtype.js";
import type { HfArchitecture } from "./architecture.js";
import { pickedInF32 } from "./computed.js";
import { type LlamaDefaults, llamaKeys, llamaTensorsWith } from "./llama.js";
import { mxfp4Experts } from "./mxfp4.js";
import { columnsAsRows } from "./rearranged.js";
import type { Target } from "./tensor-table.js";
import { assembled, bytesOf, dtypeOf, type View, wrongShape } from "./views.js";
import { alternatingWindows } from "./windows.js";

const DEFAULTS: LlamaDefaults = { kvHeads: 8, headWidth: 64, epsilon: 1e-5 };

/** Of [E, inputs, outputs] the outputs first, first + step, ... of every expert: [E * outputs / step, inputs]. */
function expertOutputs(step: number, first: number): View {
  return {
    apply({ parts: [part], size, cache }) {
      const dtype = dtypeOf(part);
      const [experts, inputs, outputs] = part.shape;
      const count = outputs / step;
      if (part.shape.length !== 3 || experts !== size("expert_count") || !Number.isInteger(count)) {
        throw wrongShape(part, `[${size("expert_count")} experts, inputs, a multiple of ${step} outputs]`);
      }
      const bytes = part.bytes / experts;
      return assembled({ dtype, rows: experts * count, cols: inputs }, count, cache, async (expert) => {
        const matrix = await bytesOf(part, expert * bytes, bytes);
        return columnsAsRows(matrix, outputs, rowBytes(dtype, 1), (row) => step * row + first, count);
      });
    },
  };
}

/** Of a bias [E, outputs] the outputs first, first + 2, ...: [E, outputs / 2]. */
function expertBias(first: number): View {
  return {
    apply(context) {
      const [part] = context.parts;
      const [experts, outputs] = part.shape;
      if (part.shape.length !== 2 || outputs % 2 !== 0) throw wrongShape(part, "[experts, an even number of outputs]");
      return pickedInF32(context, { rows: experts, cols: outputs / 2 }, (i) => 2 * i + first);
    },
  };
}

const EXPERTS = "layers.#.mlp.experts";

const GATE: Target = { to: "blk.#.ffn_gate_exps.weight", view: mxfp4Experts(2, 0) };
const UP: Target = { to: "blk.#.ffn_up_exps.weight", view: mxfp4Experts(2, 1) };
const DOWN: Target = { to: "blk.#.ffn_down_exps.weight", view: mxfp4Experts(1, 0) };

/** Part 0 of these are the blocks, part 1 the scales. */
const packed = (part: number, ...targets: Target[]): Target[] => targets.map((target) => ({ ...target, part }));

export const gptOss: HfArchitecture = {
  architecture: "gpt-oss",
  tied: false,
  quantisation: "mxfp4",
  metadata: (config) => {
    config.only("hidden_act", "silu");
    config.only("swiglu_alpha", 1.702);
    config.only("swiglu_limit", 7);
    return {
      ...llamaKeys(config, DEFAULTS, { base: ["rope_theta", 150000] }),
      ...alternatingWindows(config, 128, 2),
      expert_count: config.count(config.either("num_local_experts", "num_experts")),
      expert_used_count: config.count(config.either("num_experts_per_tok", "experts_per_token"), 4),
      expert_feed_forward_length: config.count("intermediate_size"),
    };
  },
  tensors: {
    ...llamaTensorsWith({
      "layers.#.post_attention_layernorm": "blk.#.post_attention_norm",
      "layers.#.mlp.router": "blk.#.ffn_gate_inp",
    }),
    parameters: {
      "layers.#.self_attn.sinks": "blk.#.attn_sinks.weight",
      [`${EXPERTS}.gate_up_proj`]: [
        { to: "blk.#.ffn_gate_exps.weight", view: expertOutputs(2, 0) },
        { to: "blk.#.ffn_up_exps.weight", view: expertOutputs(2, 1) },
      ],
      [`${EXPERTS}.gate_up_proj_bias`]: [
        { to: "blk.#.ffn_gate_exps.bias", view: expertBias(0) },
        { to: "blk.#.ffn_up_exps.bias", view: expertBias(1) },
      ],
      [`${EXPERTS}.gate_up_proj_blocks`]: packed(0, GATE, UP),
      [`${EXPERTS}.gate_up_proj_scales`]: packed(1, GATE, UP),
      [`${EXPERTS}.down_proj_blocks`]: packed(0, DOWN),
      [`${EXPERTS}.down_proj_scales`]: packed(1, DOWN),
      [`${EXPERTS}.down_proj`]: { to: "blk.#.ffn_down_exps.weight", view: expertOutputs(1, 0) },
      [`${EXPERTS}.down_proj_bias`]: "blk.#.ffn_down_exps.bias",
    },
  },
};
