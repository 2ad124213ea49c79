/**
 * RoPE of a config.json as GGUF keys. Scaling stands in `rope_scaling` (its kind in `rope_type`, formerly `type`) beside
 * `rope_theta`, in newer files all of it in `rope_parameters`, there by the type of the layer where types differ.
 */
import type { KeyValues } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";

/** Where a class of `transformers` differs. */
export interface RopeFields {
  /** Name and default of the base: "rope_theta", 10000. */
  readonly base?: readonly [field: string, fallback: number];
  /** Name and default of the rotated part of a head: "partial_rotary_factor", 1. */
  readonly part?: readonly [field: string, fallback: number];
}

/** Base, rotated dims and scaling. @throws FormatError, UnsupportedError for other kinds of scaling */
export function ropeKeys(config: ConfigFields, headWidth: number, fields: RopeFields = {}): KeyValues {
  const scaling = ropeScaling(config);
  return { ...unscaledRopeKeys(config, headWidth, fields), ...(scaling && scalingKeys(scaling, config)) };
}

/** `rope_parameters`, of the layers with full attention where it is written by layer. */
export function ropeParameters(config: ConfigFields): ConfigFields | undefined {
  const parameters = config.nested("rope_parameters");
  return parameters?.nested("full_attention") ?? parameters;
}

/** The fields of the scaling, wherever they stand. */
export function ropeScaling(config: ConfigFields): ConfigFields | undefined {
  return ropeParameters(config) ?? config.nested("rope_scaling");
}

/** Base and rotated dims. */
export function unscaledRopeKeys(config: ConfigFields, headWidth: number, fields: RopeFields = {}): KeyValues {
  const { base = ["rope_theta", 10000], part = ["partial_rotary_factor", 1] } = fields;
  const parameters = ropeParameters(config);
  const read = ([field, fallback]: readonly [string, number], newer: string) =>
    parameters?.value(newer) === undefined ? config.positive(field, fallback) : parameters.positive(newer);
  return {
    "rope.freq_base": read(base, "rope_theta"),
    "rope.dimension_count": Math.floor(headWidth * read(part, "partial_rotary_factor")),
  };
}

/** The kind of a scaling, in either spelling. */
export function scalingKind(scaling: ConfigFields): unknown {
  return scaling.value("rope_type") ?? scaling.value("type") ?? "default";
}

function scalingKeys(scaling: ConfigFields, config: ConfigFields): KeyValues {
  const kind = scalingKind(scaling);
  if (kind === "default") return {};
  const specific = typeof kind === "string" && Object.hasOwn(SPECIFIC, kind) ? SPECIFIC[kind] : undefined;
  if (typeof kind !== "string" || !specific) {
    throw scaling.unsupported(scaling.either("rope_type", "type"), `one of ${Object.keys(SPECIFIC).join(", ")}`);
  }
  const trained = config.count("max_position_embeddings");
  const original = scaling.count(
    "original_max_position_embeddings",
    config.whole("original_max_position_embeddings", trained),
  );
  // Absent, the factor is what stretches the original context to the trained one.
  const factor = scaling.positive("factor", original < trained ? trained / original : undefined);
  return {
    "rope.scaling.type": kind,
    "rope.scaling.factor": factor,
    "rope.scaling.original_context_length": original,
    ...specific(scaling, factor),
  };
}

/** What each kind has beside factor and original context. */
const SPECIFIC: Readonly<Record<string, (scaling: ConfigFields, factor: number) => KeyValues>> = {
  linear: () => ({}),
  ntk: () => ({}),
  dynamic: () => ({}),
  llama3: (scaling) => ({
    "rope.scaling.low_freq_factor": scaling.positive("low_freq_factor"),
    "rope.scaling.high_freq_factor": scaling.positive("high_freq_factor"),
  }),
  yarn: (scaling, factor) => ({
    "rope.scaling.attn_factor": yarnMagnitude(scaling, factor) / (1 + 0.1 * Math.log(Math.max(1, factor))),
    "rope.scaling.yarn_beta_fast": scaling.positive("beta_fast", 32),
    "rope.scaling.yarn_beta_slow": scaling.positive("beta_slow", 1),
    // A key of our own: GGUF's ramp begins and ends at whole pairs.
    "rope.scaling.yarn_truncate": scaling.flag("truncate") === false ? false : undefined,
  }),
};

/** What cos and sin are multiplied with in all; GGUF's attn_factor is the part beyond YaRN's own 1 + 0.1 ln(factor). */
function yarnMagnitude(scaling: ConfigFields, factor: number): number {
  const magnitude = (scale: number) => 1 + 0.1 * scale * Math.log(Math.max(1, factor));
  if (scaling.value("attention_factor") !== undefined) return scaling.positive("attention_factor");
  // Both or none; 0 is none.
  if (!scaling.value("mscale") || !scaling.value("mscale_all_dim")) return magnitude(1);
  return magnitude(scaling.positive("mscale")) / magnitude(scaling.positive("mscale_all_dim"));
}
