/** What a tokenizer.json puts around a text: as Hugging Face's library does, or refused; never an id that no token has. */
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import { FormatError, UnsupportedError } from "../../src/util/errors.js";
import { hfJson } from "../support/tiny-vocabularies.js";

const encode = (processor: unknown) => {
  const tokenizerJson = hfJson({ post_processor: processor });
  return [...createTokenizer({ kind: "hf", tokenizerJson, tokenizerConfig: {}, specialTokensMap: {} }).encode("x")];
};
const TEXT = { Sequence: { id: "A", type_id: 0 } };
const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const template = (single: readonly object[], ids: Readonly<Record<string, unknown>>) => ({
  type: "TemplateProcessing",
  single,
  pair: [],
  special_tokens: Object.fromEntries(Object.entries(ids).map(([id, list]) => [id, { id, ids: list, tokens: [] }])),
});
const sequence = (...processors: readonly object[]) => ({ type: "Sequence", processors });

describe("around a text", () => {
  it("the ids are those that a template lists for its tokens, whatever their names are in the vocabulary", () => {
    expect(encode(template([special("<|end|>"), TEXT], { "<|end|>": [260, 97] }))).toEqual([260, 97, 120]);
    expect(encode(template([TEXT, special("of no vocabulary")], { "of no vocabulary": [259] }))).toEqual([120, 259]);
  });

  it("each of a sequence goes around what those before it have made", () => {
    const inner = template([special("a"), TEXT, special("b")], { a: [97], b: [98] });
    const outer = template([special("c"), TEXT, special("d")], { c: [99], d: [100] });
    expect(encode(sequence(inner, outer))).toEqual([99, 97, 120, 98, 100]);
    expect(encode(sequence(sequence(inner), { type: "ByteLevel" }, outer))).toEqual([99, 97, 120, 98, 100]);
  });
});

describe("is refused", () => {
  const pair = (cls: unknown, sep: unknown) => ({ type: "RobertaProcessing", cls: ["<s>", cls], sep: ["</s>", sep] });

  it.each<[string, unknown]>([
    ["an end beyond the vocabulary", pair(97, 1_000_000_000)],
    ["an id of no token", pair(261, 97)],
    ["a negative id", pair(-1, 97)],
    ["a fraction", pair(1.5, 97)],
    ["a text", pair("97", 97)],
    ["no token at all", { type: "BertProcessing", cls: ["<s>", 97] }],
    ["a token that the template does not list", template([special("<|end|>"), TEXT], {})],
    ["a listed id beyond the vocabulary", template([special("a"), TEXT], { a: [97, 999_999] })],
    ["a listed token without ids", template([special("a"), TEXT], { a: undefined })],
    ["a piece that is neither", template([{ Other: {} }, TEXT], {})],
    ["a piece that is a text", { type: "TemplateProcessing", single: "$A", pair: [], special_tokens: {} }],
    [
      "a token of no vocabulary, where none are listed",
      { type: "TemplateProcessing", single: [special("<no>"), TEXT] },
    ],
  ])("%s", (_, processor) => {
    expect(() => encode(processor)).toThrow(FormatError);
  });

  it("a template that has the text twice, or not at all", () => {
    expect(() => encode(template([TEXT, special("a"), TEXT], { a: [97] }))).toThrow(UnsupportedError);
    expect(() => encode(template([special("a")], { a: [97] }))).toThrow(UnsupportedError);
  });

  it("sequences without end", () => {
    let nested: object = { type: "ByteLevel" };
    for (let depth = 0; depth < 5000; depth++) nested = sequence(nested);
    expect(() => encode(nested)).toThrow(FormatError);
  });
});
