/** What a vocabulary has no token for is its unknown token, or an error as in Hugging Face's library; it is never lost. */
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import { FormatError } from "../../src/util/errors.js";
import { fromMetadata, hfJson, wordPieceMetadata } from "../support/tiny-vocabularies.js";

const tokenizerOf = (model: object) =>
  createTokenizer({
    kind: "hf",
    tokenizerJson: hfJson({
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "Whitespace" },
      decoder: { type: "Fuse" },
      model,
    }),
    tokenizerConfig: {},
    specialTokensMap: {},
  });
const WORDS = { a: 0, b: 1 };
const PIECES = [
  ["a", -1],
  ["b", -1],
];

describe.each<[string, object]>([
  ["WordPiece whose unknown token is missing", { type: "WordPiece", vocab: WORDS, unk_token: "[UNK]" }],
  ["WordPiece that names none", { type: "WordPiece", vocab: WORDS }],
  ["WordLevel whose unknown token is missing", { type: "WordLevel", vocab: WORDS, unk_token: "<unk>" }],
  ["WordLevel that names none", { type: "WordLevel", vocab: WORDS }],
  ["BPE whose unknown token is missing", { type: "BPE", vocab: WORDS, merges: [], unk_token: "<unk>" }],
  ["Unigram without an unknown token", { type: "Unigram", vocab: PIECES, unk_id: null }],
])("%s", (_, model) => {
  const tokenizer = tokenizerOf(model);

  it("encodes what it has tokens for, and refuses other texts by name", () => {
    expect([...tokenizer.encode("a b")]).toEqual([0, 1]);
    expect(() => tokenizer.encode("a zebra b")).toThrow(FormatError);
    expect(() => tokenizer.encode("a zebra b")).toThrow(/"z/);
  });
});

describe("an unknown token", () => {
  it.each<[string, object]>([
    ["[UNK] of WordPiece", { type: "WordPiece", vocab: { ...WORDS, "[UNK]": 2 } }],
    ["<unk> of WordLevel", { type: "WordLevel", vocab: { ...WORDS, "<unk>": 2 } }],
  ])("is %s, where none is named", (_, model) => {
    expect([...tokenizerOf(model).encode("a z b")]).toEqual([0, 2, 1]);
  });

  it("that BPE does not name is not wanted: unknown characters are left out", () => {
    expect([...tokenizerOf({ type: "BPE", vocab: WORDS, merges: [], unk_token: null }).encode("a z b")]).toEqual([
      0, 1,
    ]);
  });

  it.each([9, -1, 1.5, "0"])("of Unigram that is %s is no id", (unknown) => {
    expect(() => tokenizerOf({ type: "Unigram", vocab: PIECES, unk_id: unknown })).toThrow(FormatError);
  });

  it("is needed by WordPiece of GGUF too", () => {
    const tokens = ["[PAD]", "none", "[CLS]", "[SEP]", "▁the", "▁cat", "s", "▁.", "▁t", "h", "▁e", "▁漢"];
    const metadata = new Map(wordPieceMetadata([["tokenizer.ggml.tokens", tokens]]));
    metadata.delete("tokenizer.ggml.unknown_token_id");
    expect([...fromMetadata(metadata).encode("the cat")]).toEqual([2, 4, 5, 3]);
    expect(() => fromMetadata(metadata).encode("the zoo")).toThrow(FormatError);
  });
});
