/** Reads the rotary embedding of a model from its metadata: layout by architecture, base, dims, scaling, factors. */
import type { RopeSpec } from "../position/rope.js";
import type { RopeScaling } from "../position/rope-scaling.js";
import type { RopeLayout } from "../tensor/backend.js";
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";

/** Divisors of every pair's angle: at any length (Llama 3), or for short and for long contexts (LongRoPE). */
export const DIVISORS = "rope_freqs.weight";
export const SHORT_DIVISORS = "rope_factors_short.weight";
export const LONG_DIVISORS = "rope_factors_long.weight";

export interface RopeOptions {
  /** The architecture's layout; a checkpoint may have another. */
  readonly layout: RopeLayout;
  readonly headWidth: number;
  /** The tensors with divisors that the checkpoint has, by name. */
  readonly auxiliary?: ReadonlyMap<string, Float32Array>;
}

/** @throws FormatError for what cannot be, UnsupportedError for a scaling that is not known */
export function ropeFromMetadata(meta: ModelMetadata, { layout, headWidth, auxiliary }: RopeOptions): RopeSpec {
  const dims = meta.count("rope.dimension_count", headWidth);
  if (dims % 2 !== 0 || dims > headWidth) {
    throw new FormatError(`${meta.checkpoint.location}: ${dims} rotated dims do not fit a head of width ${headWidth}.`);
  }
  const base = positiveBase(meta, meta.number("rope.freq_base", 10_000));
  const plain = { layout: meta.checkpoint.ropeLayout ?? layout, dims, base };
  const long = longRope(meta, dims, auxiliary);
  if (long) return { ...plain, scaling: long };
  const scaling = scalingFromMetadata(meta);
  const magnitude = scaling.kind === "yarn" ? 1 : attentionFactor(meta);
  const divisors = auxiliary?.get(DIVISORS);
  if (divisors) checkDivisors(meta, DIVISORS, divisors, dims);
  return { ...plain, scaling, ...(magnitude !== 1 && { magnitude }), ...(divisors && { divisors }) };
}

/** The same rotation with another base and without scaling, for layers with a window. */
export function plainRope(meta: ModelMetadata, { layout, dims }: RopeSpec, base: number): RopeSpec {
  return { layout, dims, base: positiveBase(meta, base), scaling: { kind: "none" } };
}

/** The same rotation with the base of layers with a window, where the checkpoint has one. */
export function windowedRope(meta: ModelMetadata, rope: RopeSpec): RopeSpec {
  const base = positiveBase(meta, meta.number("rope.freq_base_swa", rope.base));
  return base === rope.base ? rope : { ...rope, base };
}

function checkDivisors(meta: ModelMetadata, tensor: string, divisors: Float32Array, dims: number): void {
  const { location } = meta.checkpoint;
  if (divisors.length !== dims / 2) {
    throw new FormatError(`${location}: ${tensor} has ${divisors.length} factors, expected ${dims / 2}.`, { tensor });
  }
  const wrong = divisors.find((factor) => !(factor > 0 && Number.isFinite(factor)));
  if (wrong === undefined) return;
  throw new FormatError(`${location}: the factors in ${tensor} must be numbers above 0, found ${wrong}.`, { tensor });
}

function positiveBase(meta: ModelMetadata, base: number): number {
  if (base > 0) return base;
  throw new FormatError(`${meta.checkpoint.location}: the RoPE base must be positive, found ${base}.`);
}

/** What cosine and sine are multiplied with, whatever the scaling. */
function attentionFactor(meta: ModelMetadata): number {
  return positive(meta, "rope.scaling.attn_factor", 1);
}

function positive(meta: ModelMetadata, key: string, fallback: number): number {
  const value = meta.number(key, fallback);
  if (value > 0) return value;
  throw new FormatError(`${meta.checkpoint.location}: "${meta.full(key)}" must be above 0, found ${value}.`, {
    key: meta.full(key),
  });
}

/** The kind of scaling, and its factor, 1 where there is none. A factor without a kind is linear. */
function kindOf(meta: ModelMetadata): { readonly kind: string; readonly factor: number } {
  const oldLinear = meta.optional("rope.scale_linear", 0);
  const factor = meta.optional("rope.scaling.factor", oldLinear ?? 0) ?? 1;
  const kind = meta.text("rope.scaling.type") ?? (factor === 1 ? "none" : "linear");
  return kind === "default" ? { kind: "none", factor } : { kind, factor };
}

function scalingFromMetadata(meta: ModelMetadata): RopeScaling {
  const { kind, factor } = kindOf(meta);
  const originalContext = meta.count("rope.scaling.original_context_length", meta.count("context_length"));
  switch (kind) {
    case "none":
      return { kind };
    case "linear":
    case "ntk":
      return { kind, factor };
    // Without its lists of factors there is only the one of the scaling.
    case "longrope":
      return factor === 1 ? { kind: "none" } : { kind: "linear", factor };
    case "dynamic":
      return { kind, factor, originalContext };
    case "yarn":
      return yarn(meta, factor, originalContext);
    case "llama3":
      return {
        kind,
        factor,
        originalContext,
        lowFrequencyFactor: positive(meta, "rope.scaling.low_freq_factor", 1),
        highFrequencyFactor: positive(meta, "rope.scaling.high_freq_factor", 4),
      };
    default:
      throw new UnsupportedError(
        `${meta.checkpoint.location}: RoPE scaling "${kind}" is not supported; known are linear, ntk, dynamic, yarn, llama3 and longrope.`,
      );
  }
}

function yarn(meta: ModelMetadata, factor: number, originalContext: number): RopeScaling {
  const truncate = meta.flag("rope.scaling.yarn_truncate", true);
  return {
    kind: "yarn",
    factor,
    originalContext,
    betaFast: positive(meta, "rope.scaling.yarn_beta_fast", 32),
    betaSlow: positive(meta, "rope.scaling.yarn_beta_slow", 1),
    attentionFactor: attentionFactor(meta),
    ...(!truncate && { truncate }),
  };
}

/** Where the checkpoint has LongRoPE's lists; a factor of the scaling is in each of their numbers. */
function longRope(
  meta: ModelMetadata,
  dims: number,
  auxiliary: ReadonlyMap<string, Float32Array> | undefined,
): RopeScaling | undefined {
  const { location } = meta.checkpoint;
  const short = auxiliary?.get(SHORT_DIVISORS);
  const long = auxiliary?.get(LONG_DIVISORS);
  if (!short && !long) return undefined;
  if (!short || !long) {
    const missing = short ? LONG_DIVISORS : SHORT_DIVISORS;
    throw new FormatError(`${location}: there are factors of LongRoPE, but ${missing} is missing.`);
  }
  checkDivisors(meta, SHORT_DIVISORS, short, dims);
  checkDivisors(meta, LONG_DIVISORS, long, dims);
  const { kind, factor } = kindOf(meta);
  if (!["longrope", "linear", "none"].includes(kind) || auxiliary?.has(DIVISORS)) {
    const other = auxiliary?.has(DIVISORS) ? DIVISORS : `scaling of the kind "${kind}"`;
    throw new FormatError(`${location}: there are factors of LongRoPE beside ${other}; only one of them can be meant.`);
  }
  const scaled = (list: Float32Array) => (factor === 1 ? list : list.map((divisor) => divisor * factor));
  const originalContext = meta.count("rope.scaling.original_context_length", meta.count("context_length"));
  const magnitude = attentionFactor(meta);
  return { kind: "longrope", short: scaled(short), long: scaled(long), originalContext, magnitude };
}
