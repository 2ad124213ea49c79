/** The cutting rules of byte-level vocabularies: every name compiles, loses nothing and stays linear; samples by family. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PRE_TOKENIZER_NAMES, preTokenizer } from "../../src/tokenizer/pre-tokenizers.js";
import { splitWords } from "../../src/tokenizer/split-words.js";
import { UnsupportedError } from "../../src/util/errors.js";

const words = (name: string, text: string) => splitWords(text, preTokenizer(name).splits);

describe.each(PRE_TOKENIZER_NAMES)("%s", (name) => {
  const { splits } = preTokenizer(name);

  it("cuts any text into words that join to it again", () => {
    const units = fc.constantFrom(
      " ",
      "\n",
      "\r",
      "\t",
      "a",
      "Z",
      "'s",
      "1",
      "é",
      "漢",
      "한",
      ".",
      "$",
      "😀",
      "\u0301",
      "\ufeff",
    );
    const text = fc.oneof(fc.string({ unit: units, maxLength: 40 }), fc.string({ unit: "binary", maxLength: 40 }));
    fc.assert(
      fc.property(text, (input) => {
        const cut = splitWords(input, splits);
        expect(cut.join("")).toBe(input);
        if (input !== "") expect(cut).not.toContain("");
      }),
      { numRuns: 50 },
    );
  });
});

describe("long runs", () => {
  const families = new Map(PRE_TOKENIZER_NAMES.map((name) => [String(preTokenizer(name).splits), name]));

  // A quadratic search takes over a minute at this length, a linear one milliseconds.
  it.each([...families.values()])("%s takes them in linear time", { timeout: 20_000 }, (name) => {
    const { splits } = preTokenizer(name);
    for (const run of [" ", "\t ", "a", "A", ".", "漢", "\u0301"]) {
      for (const end of ["", "1", "漢"]) {
        const text = run.repeat(100_000) + end;
        expect(splitWords(text, splits).reduce((sum, word) => sum + word.length, 0)).toBe(text.length);
      }
    }
  });
});

describe("samples", () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ["gpt-2", "I'll pay 1234!!\n\n  now ", ["I", "'ll", " pay", " 1234", "!!", "\n\n ", " now", " "]],
    ["gpt-2", "I'LL", ["I", "'", "LL"]],
    ["starcoder", "a 123", ["a", " ", "1", "2", "3"]],
    ["falcon", "a, 12345`", ["a", ",", " ", "123", "45", "`"]],
    ["llama-bpe", "I'LL pay 12345\n\n\tnow", ["I", "'LL", " pay", " ", "123", "45", "\n\n", "\tnow"]],
    ["qwen2", "x 123\r\n.", ["x", " ", "1", "2", "3", "\r\n", "."]],
    ["tekken", "helloWorld XMLFile 12", ["hello", "World", " XMLFile", " ", "1", "2"]],
    ["gpt-4o", "helloWorld's 1234", ["hello", "World's", " ", "123", "4"]],
    ["deepseek-llm", "ab漢字12\n", ["ab", "漢字", "12", "\n"]],
    ["deepseek-coder", "ab 12", ["ab", " ", "1", "2"]],
    ["deepseek-v3", "Hi 漢字1234.x .y", ["Hi", " ", "漢字", "123", "4", ".x", " .", "y"]],
    ["bloom", "a b,c", ["a", " b", ",", "c"]],
    ["default", "ab 12345.", ["ab", " ", "123", "45", "."]],
  ];
  it.each(cases)("%s: %j", (name, text, expected) => {
    expect(words(name, text)).toEqual(expected);
  });

  it("white space is Unicode's, as in the original patterns", () => {
    // U+0085 is white space, U+FEFF is none; JavaScript's \s has it the other way round.
    expect(words("gpt-2", "a\u0085b")).toEqual(["a", "\u0085", "b"]);
    expect(words("gpt-2", "a \ufeffb")).toEqual(["a", " \ufeff", "b"]);
  });

  it("an unknown name is an UnsupportedError that lists the known ones", () => {
    expect(() => preTokenizer("nonesuch")).toThrow(UnsupportedError);
    expect(() => preTokenizer("nonesuch")).toThrow(/nonesuch.*llama-bpe/s);
  });
});
