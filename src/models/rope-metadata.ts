/** Reads the rotary embedding of a model from its metadata: layout by architecture, base, dims, scaling. */
import type { RopeSpec } from "../position/rope.js";
import type { RopeScaling } from "../position/rope-scaling.js";
import type { RopeLayout } from "../tensor/backend.js";
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";

/** `divisors` are the numbers of `rope_freqs.weight`, where the checkpoint has it; `usualBase` is where it names none. */
export function ropeFromMetadata(
  meta: ModelMetadata,
  layout: RopeLayout,
  headWidth: number,
  divisors?: Float32Array,
  usualBase = 10_000,
): RopeSpec {
  const dims = meta.count("rope.dimension_count", headWidth);
  if (dims % 2 !== 0 || dims > headWidth) {
    throw new FormatError(`${meta.checkpoint.location}: ${dims} rotated dims do not fit a head of width ${headWidth}.`);
  }
  if (divisors) checkDivisors(meta, "rope_freqs.weight", divisors, dims);
  const base = positiveBase(meta, meta.number("rope.freq_base", usualBase));
  const spec = { layout: meta.checkpoint.ropeLayout ?? layout, dims, base, scaling: scalingFromMetadata(meta) };
  return divisors ? { ...spec, divisors } : spec;
}

/** The same rotation with another base and without scaling. */
export function plainRope(meta: ModelMetadata, { layout, dims }: RopeSpec, base: number): RopeSpec {
  return { layout, dims, base: positiveBase(meta, base), scaling: { kind: "none" } };
}

export function checkDivisors(meta: ModelMetadata, tensor: string, divisors: Float32Array, dims: number): void {
  if (divisors.length === dims / 2) return;
  throw new FormatError(`${meta.checkpoint.location}: ${tensor} has ${divisors.length} factors, expected ${dims / 2}.`);
}

function positiveBase(meta: ModelMetadata, base: number): number {
  if (base > 0) return base;
  throw new FormatError(`${meta.checkpoint.location}: the RoPE base must be positive, found ${base}.`);
}

function scalingFromMetadata(meta: ModelMetadata): RopeScaling {
  const oldLinear = meta.number("rope.scale_linear", 0);
  const kind = meta.text("rope.scaling.type") ?? (oldLinear > 0 ? "linear" : "none");
  if (kind === "none" || kind === "default") return { kind: "none" };
  const factor = meta.number("rope.scaling.factor", oldLinear || 1);
  if (!(factor > 0)) throw new FormatError(`${meta.checkpoint.location}: the RoPE scaling factor must be positive.`);
  const originalContext = meta.count("rope.scaling.original_context_length", meta.count("context_length"));
  switch (kind) {
    case "linear":
    case "ntk":
      return { kind, factor };
    case "dynamic":
      return { kind, factor, originalContext };
    case "yarn":
      return {
        kind,
        factor,
        originalContext,
        betaFast: meta.number("rope.scaling.yarn_beta_fast", 32),
        betaSlow: meta.number("rope.scaling.yarn_beta_slow", 1),
        attentionFactor: meta.number("rope.scaling.attn_factor", 1),
      };
    case "llama3":
      return {
        kind,
        factor,
        originalContext,
        lowFrequencyFactor: meta.number("rope.scaling.low_freq_factor", 1),
        highFrequencyFactor: meta.number("rope.scaling.high_freq_factor", 4),
      };
    default:
      throw new UnsupportedError(
        `${meta.checkpoint.location}: RoPE scaling "${kind}" is not supported; known are linear, ntk, dynamic, yarn and llama3.`,
      );
  }
}
