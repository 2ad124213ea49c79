/** Every vector of the nine vocabularies of ../shared/vocab: the ids that llama.cpp gives. */
import { describe, expect, it } from "vitest";
import { hasShared, VOCABULARIES, vectors, vocabularyTokenizer } from "../support/shared-vocabularies.js";

describe.skipIf(!hasShared)("vocabulary vectors (../shared/vocab)", () => {
  it.each(VOCABULARIES)("%s gives the expected ids for all texts of its test", async (name) => {
    const tokenizer = await vocabularyTokenizer(name);
    const cases = vectors(name);
    expect(cases).toHaveLength(name === "gemma-4" ? 45 : 46);
    for (const { text, ids } of cases) {
      const encoded = tokenizer.encode(text, { addSpecial: false, parseSpecial: false });
      expect([...encoded], JSON.stringify(text)).toEqual(ids);
    }
  });
});
