/**
 * Passkeys (Mohtashami and Jaggi 2023, 2305.16300): a five-digit number hidden in a long text, asked for at the end. With
 * several in one text (as in the data of DuoAttention, 2410.10819) each has a name, and all are asked for: more to learn
 * from the same tokens.
 */
import { between, randomFor, type Sample, type SampleSource } from "../sample.js";
import type { TextPart } from "./encoded-text.js";
import { haystackSample, type Needle } from "./haystack.js";
import { digits, distinct, syllables } from "./names.js";
import { partEncoder, type RetrievalOptions, untilItFits } from "./task-options.js";

export const PASSKEY_DIGITS = 5;

/** The wording, which evaluation uses too. `of` is empty or " of NAME". */
export const PASSKEY_WORDING = {
  needle: (key: string, of = ""): readonly TextPart[] => [
    ["text", "\nThe pass key"],
    ["noise", of],
    ["text", " is "],
    ["noise", key],
    ["text", ". Remember it. "],
    ["answer", key],
    ["text", " is the pass key"],
    ["answer", of],
    ["text", ".\n"],
  ],
  /** Ends without a space: in some vocabularies it is part of the answer's first token. */
  question: (of = ""): readonly TextPart[] => [
    ["text", "\nWhat is the pass key"],
    ["noise", of],
    ["text", "? The pass key"],
    ["answer", of],
    ["text", " is"],
  ],
  answer: (key: string): readonly TextPart[] => [
    ["text", " "],
    ["answer", key],
    ["text", ".\n"],
  ],
} as const;

/** Default: one to six passkeys a sample; a single one has no name. */
export class PasskeyTask implements SampleSource {
  readonly name = "passkey";
  private readonly options: RetrievalOptions;

  constructor(options: RetrievalOptions) {
    this.options = options;
  }

  sample(n: number, length: number): Promise<Sample> {
    const { seed, filler, needles: range = [1, 6] } = this.options;
    const { weights, encode } = partEncoder(this.options);
    const random = randomFor(seed, n);
    return untilItFits(() => {
      const count = between(random, range);
      const keys = distinct(count, () => digits(PASSKEY_DIGITS, random));
      const names = count === 1 ? [""] : distinct(count, () => ` of ${syllables(random)}`);
      const needles: Needle[] = keys.map((key, i) => ({
        text: encode(PASSKEY_WORDING.needle(key, names[i])),
        question: encode([...PASSKEY_WORDING.question(names[i]), ...PASSKEY_WORDING.answer(key)]),
      }));
      return haystackSample({ filler, needles, fillerWeight: weights.text }, length, random);
    });
  }
}
