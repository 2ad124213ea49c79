/**
 * Phi-3: configuration_phi3.py of `transformers`; conversion/phi.py of llama.cpp. Long RoPE (also called "su", and in the
 * first files "yarn") has a factor for every pair of dims, for short and for long texts, and one magnitude for both.
 */
import type { HfArchitecture, KeyValues } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";
import { headWidthOf, type LlamaDefaults, llamaSizes, llamaTensorsWith } from "./llama.js";
import { ropeParameters, scalingKind, unscaledRopeKeys } from "./rope.js";

const DEFAULTS: LlamaDefaults = { kvHeads: "heads", headWidth: "split", epsilon: 1e-5 };

/** The fields of the long RoPE; undefined without scaling. @throws UnsupportedError for other kinds */
function longRope(config: ConfigFields): ConfigFields | undefined {
  const scaling = ropeParameters(config) ?? config.nested("rope_scaling");
  const kind = scaling ? scalingKind(scaling) : "default";
  if (scaling === undefined || kind === "default") return undefined;
  if (kind === "longrope" || kind === "su" || kind === "yarn") return scaling;
  throw scaling.unsupported(scaling.either("rope_type", "type"), '"longrope"');
}

function originalContext(config: ConfigFields, scaling: ConfigFields | undefined): number {
  const field = "original_max_position_embeddings";
  return scaling?.value(field) === undefined ? config.count(field, 4096) : scaling.count(field);
}

function scalingKeys(config: ConfigFields): KeyValues {
  const scaling = longRope(config);
  if (!scaling) return {};
  const original = originalContext(config, scaling);
  const stretch = config.count("max_position_embeddings") / original;
  const computed = stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1;
  return {
    "rope.scaling.original_context_length": original,
    "rope.scaling.attn_factor": scaling.positive("attention_factor", computed),
  };
}

/** @throws FormatError when there is not one factor for every pair of rotated dims */
function factors(config: ConfigFields): Readonly<Record<string, readonly number[]>> {
  const scaling = longRope(config);
  if (!scaling) return {};
  const headWidth = headWidthOf(config, DEFAULTS, config.count("num_attention_heads"));
  const pairs = Number(unscaledRopeKeys(config, headWidth)["rope.dimension_count"]) / 2;
  const read = (field: string) => {
    const values = scaling.numbers(field);
    if (values.length === pairs && values.every((factor) => factor > 0)) return values;
    throw scaling.wrong(field, `a list of ${pairs} numbers above 0`);
  };
  return { "rope_factors_long.weight": read("long_factor"), "rope_factors_short.weight": read("short_factor") };
}

export const phi3: HfArchitecture = {
  architecture: "phi3",
  tied: false,
  vectors: factors,
  metadata: (config) => {
    config.only("hidden_act", "silu");
    const headWidth = headWidthOf(config, DEFAULTS, config.count("num_attention_heads"));
    const window = config.value("sliding_window") === undefined ? undefined : config.count("sliding_window");
    return {
      ...llamaSizes(config, DEFAULTS),
      ...unscaledRopeKeys(config, headWidth),
      ...scalingKeys(config),
      // GGUF has the first, which llama.cpp does not use; the models do.
      "attention.sliding_window": window,
      "attention.window": window,
    };
  },
  tensors: llamaTensorsWith({
    "layers.#.self_attn.qkv_proj": "blk.#.attn_qkv",
    "layers.#.mlp.gate_up_proj": "blk.#.ffn_up",
  }),
};
