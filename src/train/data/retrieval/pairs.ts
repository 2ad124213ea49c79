/**
 * Keys and values (as in Lost in the Middle, 2307.03172, in words that a small vocabulary spells shortly): many pairs among
 * filler, some of them asked for.
 */
import { between, randomFor, type Sample, type SampleSource } from "../sample.js";
import type { TextPart } from "./encoded-text.js";
import { haystackSample, type Needle } from "./haystack.js";
import { digits, distinct, syllables } from "./names.js";
import { partEncoder, type RetrievalOptions, untilItFits } from "./task-options.js";

const VALUE_DIGITS = 4;
/** One pair in so many is asked for, but at least one and at most this many. */
const ASKED_SHARE = 3;
const MOST_ASKED = 6;

const WORDING = {
  pair: (key: string, value: string): readonly TextPart[] => [
    ["text", "\nThe value of "],
    ["noise", key],
    ["text", " is "],
    ["noise", value],
    ["text", ".\n"],
  ],
  question: (key: string, value: string): readonly TextPart[] => [
    ["text", "\nWhat is the value of "],
    ["noise", key],
    ["text", "? The value of "],
    ["answer", key],
    ["text", " is "],
    ["answer", value],
    ["text", ".\n"],
  ],
} as const;

/** Default: two to sixteen pairs a sample; values are numbers or words. */
export class KeyValueTask implements SampleSource {
  readonly name = "pairs";
  private readonly options: RetrievalOptions;

  constructor(options: RetrievalOptions) {
    this.options = options;
  }

  sample(n: number, length: number): Promise<Sample> {
    const { seed, filler, needles: range = [2, 16] } = this.options;
    const { weights, encode } = partEncoder(this.options);
    const random = randomFor(seed, n);
    return untilItFits(() => {
      const count = between(random, range);
      const asked = Math.min(MOST_ASKED, Math.max(1, Math.floor(count / ASKED_SHARE)));
      const value = random.below(2) === 0 ? () => digits(VALUE_DIGITS, random) : () => syllables(random);
      // Of the pairs that fit, the first are asked for; all are put in random order.
      const needles = distinct(count, () => syllables(random)).map((key, i): Needle => {
        const given = value();
        const question = i < asked ? encode(WORDING.question(key, given)) : undefined;
        return { text: encode(WORDING.pair(key, given)), question };
      });
      return haystackSample({ filler, needles, fillerWeight: weights.text }, length, random);
    });
  }
}
