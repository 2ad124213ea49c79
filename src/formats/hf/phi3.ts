/** Phi-3: configuration_phi3.py of `transformers`; conversion/phi.py of llama.cpp. */
import type { HfArchitecture, KeyValues } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";
import { headWidthOf, type LlamaDefaults, llamaSizes, llamaTensorsWith } from "./llama.js";
import { type LongRopeOptions, longRope, longRopeFactors, longRopeKeys } from "./long-rope.js";
import { ropeScaling, scalingKind, unscaledRopeKeys } from "./rope.js";
import { windowOfAll } from "./windows.js";

const DEFAULTS: LlamaDefaults = { kvHeads: "heads", headWidth: "split", epsilon: 1e-5 };

const heads = (config: ConfigFields) => config.count("num_attention_heads");
const LONG_ROPE: LongRopeOptions = { original: 4096, alias: "yarn" };

/** @throws UnsupportedError for other kinds of scaling */
function scalingKeys(config: ConfigFields): KeyValues {
  const scaling = ropeScaling(config);
  if (!scaling || scalingKind(scaling) === "default") return {};
  if (longRope(config, LONG_ROPE)) return longRopeKeys(config, LONG_ROPE);
  throw scaling.unsupported(scaling.either("rope_type", "type"), '"longrope"');
}

export const phi3: HfArchitecture = {
  architecture: "phi3",
  tied: false,
  vectors: (config) => longRopeFactors(config, headWidthOf(config, DEFAULTS, heads(config)), LONG_ROPE),
  metadata: (config) => {
    config.only("hidden_act", "silu");
    const headWidth = headWidthOf(config, DEFAULTS, heads(config));
    return {
      ...llamaSizes(config, DEFAULTS),
      ...unscaledRopeKeys(config, headWidth),
      ...scalingKeys(config),
      ...windowOfAll(config),
      // GGUF has it by this name, where llama.cpp does not use it.
      "attention.sliding_window":
        config.value("sliding_window") === undefined ? undefined : config.count("sliding_window"),
    };
  },
  tensors: llamaTensorsWith({
    "layers.#.self_attn.qkv_proj": "blk.#.attn_qkv",
    "layers.#.mlp.gate_up_proj": "blk.#.ffn_up",
  }),
};
