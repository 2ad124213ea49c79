/**
 * The copy task: a random string, a separator, the string again. Only the copy counts, and it can be learned to certainty,
 * from nothing and without any files: the smallest proof that a model, its derivatives and its optimizer work.
 */
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { ArgumentError } from "../../util/errors.js";
import { randomFor, type Sample, type SampleSource } from "./sample.js";

export interface CopyOptions {
  readonly seed: number;
  /** Ids that strings are made of. */
  readonly symbols: ArrayLike<number>;
  /** Id between the string and its copy; where a length is odd, it stands in front too. */
  readonly separator: number;
}

export class CopyTask implements SampleSource {
  readonly name = "copy";
  private readonly options: CopyOptions;

  /** @throws ArgumentError without symbols */
  constructor(options: CopyOptions) {
    if (options.symbols.length === 0) throw new ArgumentError("The copy task needs symbols to make strings of.");
    this.options = options;
  }

  async sample(n: number, length: number): Promise<Sample> {
    const { seed, symbols, separator } = this.options;
    const size = Math.floor(length / 2);
    if (size < 1) throw new ArgumentError(`A sample of the copy task has at least 2 tokens; found ${length}.`);
    const random = randomFor(seed, n);
    const string = Int32Array.from({ length: size }, () => symbols[random.below(symbols.length)]);
    const ids = new Int32Array(length + 1).fill(separator);
    ids.set(string, length - 2 * size);
    ids.set(string, length + 1 - size);
    const weights = new Float32Array(length).fill(1, length - size);
    return { ids, weights };
  }
}

/** The ids of characters that are one token each. @throws ArgumentError for others */
export function characterIds(tokenizer: Tokenizer, characters: string): Int32Array {
  return Int32Array.from([...characters], (character) => {
    const ids = tokenizer.encode(character, { addSpecial: false, parseSpecial: false });
    if (ids.length === 1) return ids[0];
    throw new ArgumentError(`The character ${JSON.stringify(character)} is ${ids.length} tokens; expected one.`);
  });
}
