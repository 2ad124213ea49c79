/** Reads the rotary embedding of a model from its metadata: layout by architecture, base, dims, scaling. */
import type { RopeSpec } from "../position/rope.js";
import type { RopeScaling } from "../position/rope-scaling.js";
import type { RopeLayout } from "../tensor/backend.js";
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";

/** `divisors` are the numbers of `rope_freqs.weight`, where the checkpoint has it. */
export function ropeFromMetadata(
  meta: ModelMetadata,
  layout: RopeLayout,
  headWidth: number,
  divisors: Float32Array | undefined,
): RopeSpec {
  const dims = meta.count("rope.dimension_count", headWidth);
  if (dims % 2 !== 0 || dims > headWidth) {
    throw new FormatError(`${meta.checkpoint.location}: ${dims} rotated dims do not fit a head of width ${headWidth}.`);
  }
  if (divisors && divisors.length !== dims / 2) {
    throw new FormatError(
      `${meta.checkpoint.location}: rope_freqs.weight has ${divisors.length} factors, expected ${dims / 2}.`,
    );
  }
  const base = meta.number("rope.freq_base", 10000);
  if (!(base > 0)) throw new FormatError(`${meta.checkpoint.location}: the RoPE base must be positive, found ${base}.`);
  const spec = { layout: meta.checkpoint.ropeLayout ?? layout, dims, base, scaling: scalingFromMetadata(meta) };
  return divisors ? { ...spec, divisors } : spec;
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
