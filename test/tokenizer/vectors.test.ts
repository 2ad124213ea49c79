/** Every vector of the eight vocabularies of ../shared/vocab: the ids that llama.cpp gives. */
import { describe, expect, it } from "vitest";
import { hasShared, VOCABULARIES, vectors, vocabularyTokenizer } from "../support/shared-vocabularies.js";

describe.skipIf(!hasShared)("vocabulary vectors (../shared/vocab)", () => {
  it.each(VOCABULARIES)("%s gives the expected ids for all 46 texts", async (name) => {
    const tokenizer = await vocabularyTokenizer(name);
    const cases = vectors(name);
    expect(cases).toHaveLength(46);
    for (const { text, ids } of cases) {
      const encoded = tokenizer.encode(text, { addSpecial: false, parseSpecial: false });
      expect([...encoded], JSON.stringify(text)).toEqual(ids);
    }
  });
});
