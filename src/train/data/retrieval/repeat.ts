/**
 * Spans of random tokens that come again after some filler. Nothing but the earlier span tells what follows, which teaches
 * induction heads (Olsson et al. 2022, 2209.11895): the mechanism that all retrieval builds on.
 */
import type { Random } from "../../../util/random.js";
import { between, randomFor, type Sample, type SampleSource, shuffle } from "../sample.js";
import { DEFAULT_WEIGHTS, type PartWeights } from "./encoded-text.js";
import type { Filler } from "./filler.js";
import { SampleBuilder } from "./haystack.js";

export interface RepeatOptions {
  readonly seed: number;
  readonly filler: Filler;
  /** Ids that half of the spans are drawn from; the others are stretches of filler in random order. Default: none. */
  readonly symbols?: ArrayLike<number>;
  /** Tokens of a span: least and most; default 8 to 48. */
  readonly span?: readonly [number, number];
  /** Tokens between a span and its repetition; default 0 to all there is room for. */
  readonly gap?: readonly [number, number];
  readonly weights?: Partial<PartWeights>;
}

export class RepeatTask implements SampleSource {
  readonly name = "repeat";
  private readonly options: RepeatOptions;

  constructor(options: RepeatOptions) {
    this.options = options;
  }

  async sample(n: number, length: number): Promise<Sample> {
    const { seed, filler, span = [8, 48], gap = [0, length] } = this.options;
    const weights = { ...DEFAULT_WEIGHTS, ...this.options.weights };
    const random = randomFor(seed, n);
    const sample = new SampleBuilder(length);
    while (sample.room >= 2 * span[0]) {
      const size = Math.min(between(random, span), Math.floor(sample.room / 2));
      const ids = await this.span(size, random);
      const most = Math.min(gap[1], sample.room - 2 * size);
      const apart = between(random, [Math.min(gap[0], most), most]);
      sample.fill(ids, weights.noise);
      sample.fill(await filler.take(apart, random), weights.text);
      // That the span comes again can't be known; how it goes on, from its first token.
      sample.fill(ids.subarray(0, 1), weights.noise);
      sample.fill(ids.subarray(1), weights.answer);
    }
    sample.fill(await filler.take(sample.room, random), weights.text);
    return sample.finish();
  }

  private async span(size: number, random: Random): Promise<Int32Array> {
    const { symbols, filler } = this.options;
    if (symbols && symbols.length > 0 && random.below(2) === 0) {
      return Int32Array.from({ length: size }, () => symbols[random.below(symbols.length)]);
    }
    const ids = await filler.take(size, random);
    shuffle(ids, random);
    return ids;
  }
}
