/**
 * RoPE scalings that other programs do not know by name, said in ways that they do: NTK-aware scaling is a larger base
 * (bloc97, 2023); Llama 3's divides each frequency by a number of its own, which GGUF keeps in `rope_freqs.weight`.
 */
import type { MetadataValue } from "../../formats/checkpoint.js";
import type { ModelSpec } from "../../nn/spec.js";
import type { RopeSpec } from "../../position/rope.js";
import { inverseFrequencies, scaledFrequencies } from "../../position/rope-scaling.js";
import { UnsupportedError } from "../../util/errors.js";

/** The rotation of all attention layers; undefined where they have none, or not the same. */
export function ropeOf(spec: ModelSpec): RopeSpec | undefined {
  const ropes = spec.layers.flatMap(({ mixer: { body } }) => (body.kind === "attention" ? [body.rope] : []));
  const [first] = ropes;
  return ropes.every((rope) => rope?.base === first?.base && rope?.dims === first?.dims) ? first : undefined;
}

/** The base with which a rotation without scaling is the one that is NTK-aware. */
export function ntkBase({ base, dims }: RopeSpec, factor: number): number {
  return base * factor ** (dims / (dims - 2));
}

export interface PortableRope {
  /** Keys without the architecture in front, to be set or, where undefined, taken out. */
  readonly keys: Readonly<Record<string, MetadataValue | undefined>>;
  /** `rope_freqs.weight`, where there must be one. */
  readonly divisors?: Float32Array;
}

const WITHOUT_SCALING = {
  "rope.scaling.type": undefined,
  "rope.scaling.factor": undefined,
  "rope.scaling.original_context_length": undefined,
  "rope.scaling.low_freq_factor": undefined,
  "rope.scaling.high_freq_factor": undefined,
};

/**
 * What GGUF says of a rotation. Where no reader of the architecture looks for divisors, Llama 3's scaling keeps its keys, which
 * Sluice reads.
 * @throws UnsupportedError for dynamic NTK, which no file of GGUF can ask for
 */
export function ggufRope(rope: RopeSpec, readsDivisors: boolean): PortableRope {
  const { scaling, dims, base } = rope;
  const keys = { "rope.dimension_count": dims, "rope.freq_base": base };
  switch (scaling.kind) {
    case "none":
      return { keys: { ...keys, ...WITHOUT_SCALING } };
    case "ntk":
      return { keys: { ...keys, ...WITHOUT_SCALING, "rope.freq_base": ntkBase(rope, scaling.factor) } };
    case "llama3": {
      if (!readsDivisors) return { keys };
      const scaled = scaledFrequencies(dims, base, scaling).inverse;
      const divisors = Float32Array.from(inverseFrequencies(dims, base), (frequency, i) => frequency / scaled[i]);
      return { keys: { ...keys, ...WITHOUT_SCALING }, divisors };
    }
    case "dynamic":
      throw new UnsupportedError(
        'GGUF has no RoPE scaling of type "dynamic"; export with --to safetensors, or train with linear, ntk, yarn or llama3.',
      );
    default:
      return { keys };
  }
}
