/**
 * How RoPE's frequencies are lowered for contexts longer than the trained one. Each scaling maps the inverse
 * frequencies of the pairs to new ones. Sources: linear (Position Interpolation, 2306.15595), NTK-aware and dynamic NTK
 * (bloc97, 2023), YaRN (2309.00071), llama3 (Llama 3.1 model card code), LongRoPE (2402.13753).
 */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | { readonly kind: "ntk"; readonly factor: number }
  | { readonly kind: "dynamic"; readonly factor: number; readonly originalContext: number }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly originalContext: number;
      /** Rotations within the original context above which a pair is left alone; default 32. */
      readonly betaFast?: number;
      /** Rotations below which a pair is interpolated fully; default 1. */
      readonly betaSlow?: number;
      /** Multiplies the magnitude 0.1 ln(factor) + 1; default 1. */
      readonly attentionFactor?: number;
      /** The ramp begins and ends at whole pairs; default true. */
      readonly truncate?: boolean;
    }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    }
  | {
      /** LongRoPE (2402.13753): divisors of each pair, [dims/2], for contexts up to the original length and beyond. */
      readonly kind: "longrope";
      readonly short: Float32Array;
      readonly long: Float32Array;
      readonly originalContext: number;
      /** Multiplies cosine and sine. */
      readonly magnitude: number;
    };

export interface RopeFrequencies {
  /** Angle per position of each pair, radians; [dims/2]. */
  readonly inverse: Float64Array;
  /** Multiplies cosine and sine. */
  readonly magnitude: number;
}

/** theta_i = base^(-2i/dims). */
export function inverseFrequencies(dims: number, base: number): Float64Array {
  return Float64Array.from({ length: dims / 2 }, (_, i) => base ** ((-2 * i) / dims));
}

/** The base that dynamic NTK uses for a text of `length` tokens: base (s l/L - (s-1))^(d/(d-2)) for l > L. */
export function dynamicBase(
  base: number,
  dims: number,
  factor: number,
  originalContext: number,
  length: number,
): number {
  if (length <= originalContext) return base;
  return base * ((factor * length) / originalContext - (factor - 1)) ** (dims / (dims - 2));
}

/**
 * Frequencies of `dims` rotated elements. `length` matters to dynamic NTK, for which it is the length of the text, and to
 * LongRoPE, for which it is the size of the context that the text may come to fill.
 */
export function scaledFrequencies(dims: number, base: number, scaling: RopeScaling, length = 0): RopeFrequencies {
  switch (scaling.kind) {
    case "none":
      return { inverse: inverseFrequencies(dims, base), magnitude: 1 };
    case "linear":
      return { inverse: inverseFrequencies(dims, base).map((f) => f / scaling.factor), magnitude: 1 };
    case "ntk":
      return { inverse: inverseFrequencies(dims, base * scaling.factor ** (dims / (dims - 2))), magnitude: 1 };
    case "dynamic": {
      const grown = dynamicBase(base, dims, scaling.factor, scaling.originalContext, length);
      return { inverse: inverseFrequencies(dims, grown), magnitude: 1 };
    }
    case "yarn":
      return yarn(dims, base, scaling);
    case "llama3":
      return { inverse: inverseFrequencies(dims, base).map((f) => llama3(f, scaling)), magnitude: 1 };
    case "longrope": {
      const divisors = length > scaling.originalContext ? scaling.long : scaling.short;
      return { inverse: inverseFrequencies(dims, base).map((f, i) => f / divisors[i]), magnitude: scaling.magnitude };
    }
  }
}

/** Blend of interpolated and original frequencies by a ramp over the pair index; cos and sin grow by 0.1 ln s + 1. */
function yarn(dims: number, base: number, scaling: Extract<RopeScaling, { kind: "yarn" }>): RopeFrequencies {
  const { factor, originalContext, betaFast = 32, betaSlow = 1, attentionFactor = 1, truncate = true } = scaling;
  // The (fractional) pair that turns `rotations` times within the original context.
  const pairOf = (rotations: number) =>
    (dims * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const high = Math.min(dims - 1, truncate ? Math.ceil(last) : last);
  const inverse = inverseFrequencies(dims, base).map((f, i) => {
    const interpolated = Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
    return (f / factor) * interpolated + f * (1 - interpolated);
  });
  return { inverse, magnitude: (1 + 0.1 * Math.log(factor)) * attentionFactor };
}

/** Long wavelengths are divided by the factor, short ones kept, those between blended. */
function llama3(frequency: number, scaling: Extract<RopeScaling, { kind: "llama3" }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalContext / high) return frequency;
  if (wavelength > originalContext / low) return frequency / factor;
  const smooth = (originalContext / wavelength - low) / (high - low);
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}
