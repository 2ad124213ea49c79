/**
 * RoPE of a config.json as GGUF keys. Scaling stands in `rope_scaling` (its kind in `rope_type`, formerly `type`) beside
 * `rope_theta`, in newer files all of it in `rope_parameters`.
 */
import { UnsupportedError } from "../util/errors.js";
import type { MetadataValue } from "./checkpoint.js";
import type { ConfigFields } from "./hf-config-fields.js";

type Entry = readonly [key: string, value: MetadataValue];

/** Entries without the architecture in front. @throws FormatError, UnsupportedError for other kinds of scaling */
export function ropeMetadata(config: ConfigFields, headWidth: number): Entry[] {
  const parameters = config.nested("rope_parameters");
  const base = (parameters?.value("rope_theta") === undefined ? config : parameters).positive("rope_theta", 10000);
  const rotated = (parameters?.value("partial_rotary_factor") === undefined ? config : parameters).positive(
    "partial_rotary_factor",
    1,
  );
  const dims = Math.floor(headWidth * rotated);
  const entries: Entry[] = [
    ["rope.freq_base", base],
    ["rope.dimension_count", dims],
  ];
  const scaling = parameters ?? config.nested("rope_scaling");
  return scaling ? [...entries, ...scalingMetadata(scaling, config)] : entries;
}

function scalingMetadata(scaling: ConfigFields, config: ConfigFields): Entry[] {
  const kind = scaling.value("rope_type") ?? scaling.value("type") ?? "default";
  if (kind === "default") return [];
  const specific = typeof kind === "string" && Object.hasOwn(SPECIFIC, kind) ? SPECIFIC[kind] : undefined;
  if (typeof kind !== "string" || !specific) {
    throw new UnsupportedError(
      `RoPE scaling "${String(kind)}" is not supported; known are ${Object.keys(SPECIFIC).join(", ")}.`,
    );
  }
  const trained = config.count("max_position_embeddings");
  const original = scaling.count(
    "original_max_position_embeddings",
    config.whole("original_max_position_embeddings", trained),
  );
  // Absent, the factor is what stretches the original context to the trained one.
  const factor = scaling.positive("factor", original < trained ? trained / original : undefined);
  return [
    ["rope.scaling.type", kind],
    ["rope.scaling.factor", factor],
    ["rope.scaling.original_context_length", original],
    ...specific(scaling, factor),
  ];
}

/** What each kind has beside factor and original context. */
const SPECIFIC: Readonly<Record<string, (scaling: ConfigFields, factor: number) => Entry[]>> = {
  linear: () => [],
  ntk: () => [],
  dynamic: () => [],
  llama3: (scaling) => [
    ["rope.scaling.low_freq_factor", scaling.positive("low_freq_factor")],
    ["rope.scaling.high_freq_factor", scaling.positive("high_freq_factor")],
  ],
  yarn: (scaling, factor) => [
    ["rope.scaling.attn_factor", yarnMagnitude(scaling, factor) / (1 + 0.1 * Math.log(Math.max(1, factor)))],
    ["rope.scaling.yarn_beta_fast", scaling.positive("beta_fast", 32)],
    ["rope.scaling.yarn_beta_slow", scaling.positive("beta_slow", 1)],
  ],
};

/** What cos and sin are multiplied with in all; GGUF's attn_factor is the part beyond YaRN's own 1 + 0.1 ln(factor). */
function yarnMagnitude(scaling: ConfigFields, factor: number): number {
  const magnitude = (scale: number) => 1 + 0.1 * scale * Math.log(Math.max(1, factor));
  if (scaling.value("attention_factor") !== undefined) return scaling.positive("attention_factor");
  if (scaling.value("mscale") === undefined || scaling.value("mscale_all_dim") === undefined) return magnitude(1);
  return magnitude(scaling.positive("mscale")) / magnitude(scaling.positive("mscale_all_dim"));
}
