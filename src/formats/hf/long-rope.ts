/**
 * LongRoPE (also called "su", and in the first files of Phi-3 "yarn"): a factor for every pair of dims, for short and for
 * long texts, and one magnitude for both, as `_compute_longrope_parameters` of `transformers` has it. Which list a text gets,
 * Sluice decides by the size of the context (see docs/architecture.md), `transformers` by the length of the text.
 */
import type { KeyValues } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";
import { type RopeFields, ropeScaling, scalingKind, unscaledRopeKeys } from "./rope.js";

export interface LongRopeOptions {
  /** `original_max_position_embeddings` of the class, where config.json does not say. */
  readonly original?: number;
  /** Other names that the class has for this kind. */
  readonly alias?: string;
  readonly rope?: RopeFields;
}

/** The fields of the scaling where it is of this kind. */
export function longRope(config: ConfigFields, { alias }: LongRopeOptions): ConfigFields | undefined {
  const scaling = ropeScaling(config);
  const kind = scaling && scalingKind(scaling);
  return kind === "longrope" || kind === "su" || (alias !== undefined && kind === alias) ? scaling : undefined;
}

/** Original context and magnitude; no keys where the scaling is of another kind. */
export function longRopeKeys(config: ConfigFields, options: LongRopeOptions = {}): KeyValues {
  const scaling = longRope(config, options);
  if (!scaling) return {};
  const field = "original_max_position_embeddings";
  const trained = config.count("max_position_embeddings");
  const fallback = scaling.whole(field, config.whole(field, options.original ?? 0));
  const original = fallback > 0 ? fallback : trained;
  const stretch = fallback > 0 ? trained / original : scaling.positive("factor", 1);
  const computed = stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1;
  return {
    "rope.scaling.type": "longrope",
    "rope.scaling.original_context_length": original,
    "rope.scaling.attn_factor": scaling.positive("attention_factor", computed),
  };
}

/** Both lists under GGUF's names. @throws FormatError when there is not one factor for every pair of rotated dims */
export function longRopeFactors(
  config: ConfigFields,
  headWidth: number,
  options: LongRopeOptions = {},
): Readonly<Record<string, readonly number[]>> {
  const scaling = longRope(config, options);
  if (!scaling) return {};
  const pairs = Number(unscaledRopeKeys(config, headWidth, options.rope)["rope.dimension_count"]) / 2;
  const read = (field: string) => {
    const values = scaling.numbers(field);
    if (values.length === pairs && values.every((factor) => factor > 0)) return values;
    throw scaling.wrong(field, `a list of ${pairs} numbers above 0`);
  };
  return { "rope_factors_long.weight": read("long_factor"), "rope_factors_short.weight": read("short_factor") };
}
