/**
 * Counts the words of texts, cut as the trained tokenizer will cut them (digits one by one, then GPT-2's split). Training
 * needs no more of a text than this.
 */
import { preTokenizer } from "../pre-tokenizers.js";
import { splitWords } from "../split-words.js";

/** GGUF's name of the cut (`tokenizer.ggml.pre`): `\p{N}` alone, then GPT-2's pattern. */
export const TRAINED_PRE_TOKENIZER = "smollm";

/** Shorter slices are copies anyway; longer ones would keep the text alive that they were cut from. */
const LONGEST_COPIED_SLICE = 12;

export class WordCounter {
  private readonly byWord = new Map<string, number>();
  private readonly splits = preTokenizer(TRAINED_PRE_TOKENIZER).splits;

  /** Adds a text; a document may come in pieces if each but the last ends with a letter and the next begins with a white space. */
  add(text: string): void {
    for (const word of splitWords(text, this.splits)) {
      const count = this.byWord.get(word);
      if (count === undefined) this.byWord.set(ownCopy(word), 1);
      else this.byWord.set(word, count + 1);
    }
  }

  /** Words and how often each occurs. */
  get counts(): ReadonlyMap<string, number> {
    return this.byWord;
  }

  static of(texts: Iterable<string>): WordCounter {
    const counter = new WordCounter();
    for (const text of texts) counter.add(text);
    return counter;
  }
}

function ownCopy(word: string): string {
  return word.length > LONGEST_COPIED_SLICE ? word.split("").join("") : word;
}
