/**
 * What a trainer reads: samples that are a pure function of a seed and their number, so that a run which is resumed, or
 * which reads samples in another order, sees the same ones.
 */
import { ArgumentError } from "../../util/errors.js";
import { Random } from "../../util/random.js";
import { xxhash32 } from "../../util/xxhash32.js";

/** One row of training: inputs are ids[0 .. L), targets ids[1 .. L+1). */
export interface Sample {
  /** [L + 1] */
  readonly ids: Int32Array;
  /** [L]: `weights[t]` is that of the loss of predicting `ids[t + 1]`; 0 = not asked for. */
  readonly weights: Float32Array;
}

export interface SampleSource {
  /** For logs. */
  readonly name: string;
  /** Sample n = 0, 1, ... of a length L. @throws ArgumentError for lengths that no sample fits into */
  sample(n: number, length: number): Promise<Sample>;
}

const SECOND_HASH_SEED = 0x9e3779b9;

/** The random numbers of a place: a seed and the numbers of what is drawn there, each from -2^53 to 2^53. */
export function randomFor(seed: number, ...place: readonly number[]): Random {
  const bytes = new Uint8Array(8 * (place.length + 1));
  const view = new DataView(bytes.buffer);
  [seed, ...place].forEach((number, i) => {
    view.setFloat64(8 * i, number, true);
  });
  return new Random((xxhash32(bytes) >>> 11) * 2 ** 32 + xxhash32(bytes, SECOND_HASH_SEED));
}

/** An integer from `least` to `most`, every one equally likely. */
export function between(random: Random, [least, most]: readonly [number, number]): number {
  return least + random.below(most - least + 1);
}

/** Puts a list into random order, in place (Fisher and Yates). */
export function shuffle<T>(list: { readonly length: number; [index: number]: T }, random: Random): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const moved = list[i];
    list[i] = list[j];
    list[j] = moved;
  }
}

/**
 * A token in front of every sample, such as a learned sink: ids [token, L tokens of the source].
 * @param weight of predicting the first token of the source
 */
export function withFirstToken(source: SampleSource, token: number, weight: number): SampleSource {
  return {
    name: source.name,
    async sample(n, length) {
      if (length < 2) throw new ArgumentError(`A sample with a first token has at least 2 tokens; found ${length}.`);
      const inner = await source.sample(n, length - 1);
      const ids = new Int32Array(length + 1);
      ids[0] = token;
      ids.set(inner.ids, 1);
      const weights = new Float32Array(length);
      weights[0] = weight;
      weights.set(inner.weights, 1);
      return { ids, weights };
    },
  };
}
