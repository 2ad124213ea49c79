/** Long texts of every shape come back whole: one long word, one long line. A quadratic path would not end. */
import { describe, expect, it } from "vitest";
import { byteLevelMetadata, fromMetadata, scoreMergeMetadata } from "../support/tiny-vocabularies.js";

const LENGTH = 200_000;
const shapes: Readonly<Record<string, string>> = {
  "one letter": "a".repeat(LENGTH),
  "letters without spaces": "abcaabthe".repeat(LENGTH / 10),
  spaces: " ".repeat(LENGTH),
  "spaces and a word": `${" ".repeat(LENGTH)}a`,
  emoji: "😀".repeat(LENGTH / 10),
  "one line of words": "the cab ".repeat(LENGTH / 10),
};

describe.each([
  ["score merges", fromMetadata(scoreMergeMetadata())],
  // A piece that goes over words: the text can't be cut and is merged as one word.
  ["score merges over words", fromMetadata(overWords())],
  ["byte level", fromMetadata(byteLevelMetadata())],
] as const)("small vocabulary: %s", (_name, tokenizer) => {
  it.each(Object.keys(shapes))("%s", (shape) => {
    expect(tokenizer.decode(tokenizer.encode(shapes[shape])) === shapes[shape]).toBe(true);
  });
});

function overWords(): ReadonlyMap<string, unknown> {
  const metadata = scoreMergeMetadata();
  const tokens = metadata.get("tokenizer.ggml.tokens");
  if (!Array.isArray(tokens)) throw new Error("no tokens");
  const replaced = tokens.map((token) => (token === "aab" ? "e▁c" : token));
  return scoreMergeMetadata([["tokenizer.ggml.tokens", replaced]]);
}
