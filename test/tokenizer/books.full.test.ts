/** Whole books and texts of a megabyte with real vocabularies (../shared): llama.cpp's number of tokens, and back. */
import { describe, expect, it } from "vitest";
import { hasShared, sharedText, type VocabularyName, vocabularyTokenizer } from "../support/shared-vocabularies.js";

/** Token counts of ../shared/README.md, by llama.cpp: llama-spm, gpt-2. */
const BOOKS: readonly (readonly [string, number, number])[] = [
  ["alices-adventures-in-wonderland", 39_769, 37_398],
  ["the-time-machine", 44_641, 40_678],
  ["pride-and-prejudice", 166_296, 154_831],
  ["david-copperfield", 520_139, 483_776],
  ["don-quixote", 551_769, 513_712],
  ["the-wealth-of-nations", 498_145, 455_887],
];

const VOCABULARIES: readonly VocabularyName[] = ["llama-spm", "phi-3", "gpt-2", "falcon", "deepseek-llm"];

describe.skipIf(!hasShared)("books", () => {
  it.each(BOOKS)("%s: %i tokens in llama-spm, %i in gpt-2", async (name, spm, gpt2) => {
    const book = sharedText(`text/${name}.txt`);
    for (const [vocabulary, count] of [["llama-spm", spm] as const, ["gpt-2", gpt2] as const]) {
      const tokenizer = await vocabularyTokenizer(vocabulary);
      const ids = tokenizer.encode(book, { addSpecial: false, parseSpecial: false });
      expect(ids.length).toBe(count);
      expect(tokenizer.decode(ids) === book).toBe(true);
      const stream = tokenizer.stream();
      let shown = "";
      for (const id of ids) shown += stream.push(id);
      expect(shown === book).toBe(true);
    }
  });

  it.each(VOCABULARIES)("a megabyte without spaces and a megabyte on one line in %s come back", async (vocabulary) => {
    const tokenizer = await vocabularyTokenizer(vocabulary);
    const book = sharedText("text/don-quixote.txt");
    for (const text of [book.replace(/\s+/g, "").slice(0, 1_000_000), book.replace(/\s+/g, " ").slice(0, 1_000_000)]) {
      expect(tokenizer.decode(tokenizer.encode(text)) === text).toBe(true);
    }
  });
});
