/**
 * Short random strings that go round and round: from the second turn on, every token follows from the one before it by what
 * stands earlier in the text. The densest practice for induction heads (Olsson et al. 2022, 2209.11895): nearly each token
 * tells something, where a single repetition (repeat.ts) tells it of half the tokens at most.
 */
import { between, randomFor, type Sample, type SampleSource, shuffle } from "../sample.js";
import { DEFAULT_WEIGHTS } from "./encoded-text.js";
import type { Filler } from "./filler.js";
import { SampleBuilder } from "./haystack.js";

export interface CycleOptions {
  readonly seed: number;
  readonly filler: Filler;
  /** Ids that half of the strings are drawn from; the others are stretches of filler in random order. */
  readonly symbols: ArrayLike<number>;
  /** Tokens of a string: least and most; default 4 to 24, or to a third of a short sample. */
  readonly period?: readonly [number, number];
  /** Turns of a string: least and most; default 2 to 8. */
  readonly turns?: readonly [number, number];
}

export class CycleTask implements SampleSource {
  readonly name = "cycle";
  private readonly options: CycleOptions;

  constructor(options: CycleOptions) {
    this.options = options;
  }

  async sample(n: number, length: number): Promise<Sample> {
    const { seed, filler, symbols, period = periods(length), turns = [2, 8] } = this.options;
    const random = randomFor(seed, n);
    const sample = new SampleBuilder(length);
    while (sample.room > 0) {
      const size = between(random, period);
      const ids =
        random.below(2) === 0
          ? Int32Array.from({ length: size }, () => symbols[random.below(symbols.length)])
          : await filler.take(size, random);
      shuffle(ids, random);
      const count = between(random, turns);
      for (let turn = 0; turn < count && sample.room > 0; turn++) {
        sample.fill(ids.subarray(0, sample.room), turn === 0 ? DEFAULT_WEIGHTS.noise : DEFAULT_WEIGHTS.text);
      }
    }
    return sample.finish();
  }
}

function periods(length: number): readonly [number, number] {
  return [4, Math.min(24, Math.max(4, Math.floor(length / 3)))];
}
