/** What retrieval tasks hide their needles in: stretches of real text, or neutral sentences. */
import type { Tokenizer } from "../../../tokenizer/tokenizer.js";
import { ArgumentError } from "../../../util/errors.js";
import type { Random } from "../../../util/random.js";
import type { TokenSequence } from "../token-sequence.js";

export interface Filler {
  /** Exactly `count` ids. */
  take(count: number, random: Random): Promise<Int32Array>;
}

/** Stretches of a row of tokens, from a random place on; after its end it goes on at the beginning. */
export function textFiller(tokens: TokenSequence): Filler {
  if (tokens.count === 0) throw new ArgumentError("There are no tokens to fill samples with.");
  return {
    async take(count, random) {
      const ids = new Int32Array(count);
      let from = random.below(tokens.count);
      for (let done = 0; done < count; ) {
        const length = Math.min(count - done, tokens.count - from);
        ids.set(await tokens.read(from, length), done);
        done += length;
        from = 0;
      }
      return ids;
    },
  };
}

export const NEUTRAL_SENTENCES = [
  "The grass is green.",
  "The sky is blue.",
  "The sun is yellow.",
  "Here we go.",
  "There and back again.",
  "The river runs to the sea.",
  "The old house stands on the hill.",
  "It was a quiet morning.",
  "They walked along the road.",
  "The wind blew from the west.",
] as const;

/** Sentences in random order, cut where the count is reached. */
export function sentenceFiller(tokenizer: Tokenizer, sentences: readonly string[] = NEUTRAL_SENTENCES): Filler {
  const encoded = sentences.map((text) => tokenizer.encode(` ${text}`, { addSpecial: false, parseSpecial: false }));
  if (!encoded.some((ids) => ids.length > 0)) throw new ArgumentError("There are no sentences to fill samples with.");
  return {
    async take(count, random) {
      const ids = new Int32Array(count);
      for (let done = 0; done < count; ) {
        const sentence = encoded[random.below(encoded.length)].subarray(0, count - done);
        ids.set(sentence, done);
        done += sentence.length;
      }
      return ids;
    },
  };
}
