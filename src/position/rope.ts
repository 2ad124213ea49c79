/**
 * Rotary position embeddings (RoFormer, 2104.09864): pairs of a head's elements are turned by position x frequency, so
 * that q.k depends on the distance alone. Angles are computed in double precision, for positions reach millions.
 */
import type { RopeLayout } from "../tensor/backend.js";
import { type RopeFrequencies, type RopeScaling, scaledFrequencies } from "./rope-scaling.js";

export interface RopeSpec {
  readonly layout: RopeLayout;
  /** Rotated elements of a head; the rest is left alone. Even. */
  readonly dims: number;
  readonly base: number;
  readonly scaling: RopeScaling;
  /** Per-pair divisors of the angle (`rope_freqs.weight`); [dims/2]. */
  readonly divisors?: Float32Array;
  /** Multiplies cosine and sine, beside what the scaling does; 1 when absent. */
  readonly magnitude?: number;
}

/** Frequencies of a spec; `length` as in scaledFrequencies. */
export function ropeFrequencies(spec: RopeSpec, length = 0): RopeFrequencies {
  const scaled = scaledFrequencies(spec.dims, spec.base, spec.scaling, length);
  const { inverse } = scaled;
  const { divisors } = spec;
  const magnitude = scaled.magnitude * (spec.magnitude ?? 1);
  return divisors ? { inverse: inverse.map((f, i) => f / divisors[i]), magnitude } : { inverse, magnitude };
}

/** Writes cosine and sine of every pair at `position` to out[row]: out is [rows, dims/2, 2]. */
export function writeAngles(frequencies: RopeFrequencies, position: number, out: Float32Array, row: number): void {
  const { inverse, magnitude } = frequencies;
  let at = row * inverse.length * 2;
  for (let i = 0; i < inverse.length; i++) {
    const angle = position * inverse[i];
    out[at++] = Math.cos(angle) * magnitude;
    out[at++] = Math.sin(angle) * magnitude;
  }
}
