/** Tokenizers from GGUF metadata: special tokens, defaults, and what broken metadata gives. */
import { describe, expect, it } from "vitest";
import { FormatError, UnsupportedError } from "../../src/util/errors.js";
import {
  byteLevelMetadata,
  fromMetadata,
  scoreMergeMetadata,
  wordPieceMetadata,
} from "../support/tiny-vocabularies.js";

const texts = (tokenizer: ReturnType<typeof fromMetadata>, ids: ArrayLike<number>) =>
  Array.from(ids, (id) => tokenizer.tokenText(id));

describe("score merges (SentencePiece)", () => {
  const tokenizer = fromMetadata(scoreMergeMetadata());

  it("puts a space before the text and bytes for what has no piece", () => {
    const ids = tokenizer.encode("the aé漢");
    expect(texts(tokenizer, ids)).toEqual(["<s>", "▁the", "▁a", "é", "<0xE6>", "<0xBC>", "<0xA2>"]);
    expect(tokenizer.addsBos).toBe(true);
  });

  it("encodes the empty text as the start token alone", () => {
    expect([...tokenizer.encode("")]).toEqual([1]);
    expect([...tokenizer.encode("", { addSpecial: false })]).toEqual([]);
  });

  it("reads special tokens only when asked, and never lets plain text merge into one", () => {
    const parsed = tokenizer.encode("a<s>b<|im_end|>", { addSpecial: false });
    expect(texts(tokenizer, parsed)).toEqual(["▁a", "<s>", "▁", "b", "<|im_end|>"]);
    const plain = tokenizer.encode("<s><|im_end|>", { addSpecial: false, parseSpecial: false });
    expect([...plain]).not.toContain(1);
    expect(tokenizer.decode(plain)).toBe("<s><|im_end|>");
  });

  it("reads added tokens of the user always", () => {
    const ids = tokenizer.encode("<think>", { addSpecial: false, parseSpecial: false });
    expect(texts(tokenizer, ids)).toEqual(["<think>"]);
  });

  it("ends answers at eos and at well-known texts", () => {
    const ends = [...tokenizer.endIds].map((id) => tokenizer.tokenText(id));
    expect(ends.sort()).toEqual(["</s>", "<|im_end|>"]);
    expect(tokenizer.eosId).toBe(2);
  });

  it("follows the flags of the metadata", () => {
    const plain = fromMetadata(
      scoreMergeMetadata([
        ["tokenizer.ggml.add_bos_token", false],
        ["tokenizer.ggml.add_eos_token", true],
        ["tokenizer.ggml.add_space_prefix", false],
      ]),
    );
    expect(texts(plain, plain.encode("the"))).toEqual(["th", "e", "</s>"]);
    expect(plain.addsBos).toBe(false);
    expect(plain.decode(plain.encode(" a"))).toBe(" a");
  });

  it("adds eot and eom to the ends", () => {
    const more = fromMetadata(
      scoreMergeMetadata([
        ["tokenizer.ggml.eot_token_id", 259],
        ["tokenizer.ggml.eom_token_id", 260],
      ]),
    );
    expect(more.endIds.has(259) && more.endIds.has(260)).toBe(true);
  });

  it("counts an end as one whatever its type", () => {
    const metadata = scoreMergeMetadata();
    const types = metadata.get("tokenizer.ggml.token_type");
    if (!(types instanceof Int32Array)) throw new Error("no types");
    const plain = types.map((type, id) => (tokenizer.tokenText(id) === "<|im_end|>" ? 1 : type));
    expect([...fromMetadata(scoreMergeMetadata([["tokenizer.ggml.token_type", plain]])).endIds]).toEqual([
      ...tokenizer.endIds,
    ]);
  });

  it("takes an id that doesn't exist for none", () => {
    const none = fromMetadata(scoreMergeMetadata([["tokenizer.ggml.eot_token_id", 4_294_967_295]]));
    expect([...none.endIds].every((id) => id < none.vocabSize)).toBe(true);
  });
});

describe("byte level", () => {
  const tokenizer = fromMetadata(byteLevelMetadata());

  it("merges within words and reads added tokens first", () => {
    const ids = tokenizer.encode("the the  aab", { addSpecial: false });
    expect(texts(tokenizer, ids)).toEqual(["the", "Ġthe", "  ", "aa", "b"]);
  });

  it("puts no start token unless the metadata or the pre-tokenizer says so", () => {
    expect(tokenizer.addsBos).toBe(false);
    expect(fromMetadata(byteLevelMetadata([["tokenizer.ggml.add_bos_token", true]])).addsBos).toBe(true);
    expect(fromMetadata(byteLevelMetadata([["tokenizer.ggml.pre", "llama-bpe"]])).addsBos).toBe(true);
  });

  it("never merges plain text into a control token, whatever the merges say", () => {
    const types = Int32Array.from({ length: tokenizer.vocabSize }, (_, id) =>
      tokenizer.tokenText(id) === "aa" ? 3 : 1,
    );
    const odd = fromMetadata(byteLevelMetadata([["tokenizer.ggml.token_type", types]]));
    expect(texts(odd, odd.encode("aa", { parseSpecial: false }))).toEqual(["a", "a"]);
    expect(texts(odd, odd.encode("aa"))).toEqual(["aa"]);
  });

  it("refuses an unknown pre-tokenizer by name", () => {
    const build = () => fromMetadata(byteLevelMetadata([["tokenizer.ggml.pre", "of-tomorrow"]]));
    expect(build).toThrow(UnsupportedError);
    expect(build).toThrow(/of-tomorrow/);
  });
});

describe("word pieces", () => {
  it("puts [CLS] and [SEP] around, and [UNK] for words that can't be covered", () => {
    const tokenizer = fromMetadata(wordPieceMetadata());
    const ids = tokenizer.encode("Thé cats zoo 漢.");
    expect(texts(tokenizer, ids)).toEqual(["[CLS]", "▁the", "▁cat", "s", "[UNK]", "▁漢", "▁.", "[SEP]"]);
  });
});

describe("broken metadata", () => {
  const broken: readonly (readonly [string, () => unknown])[] = [
    ["no tokenizer at all", () => fromMetadata(new Map())],
    ["no tokens", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.tokens", undefined]]))],
    ["an empty list of tokens", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.tokens", []]]))],
    ["tokens that are numbers", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.tokens", [1, 2]]]))],
    ["too few scores", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.scores", new Float32Array(3)]]))],
    ["scores that are texts", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.scores", ["a"]]]))],
    ["too many types", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.token_type", new Int32Array(9999)]]))],
    ["a text for a flag", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.add_bos_token", "yes"]]))],
    ["a text for an id", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.bos_token_id", "one"]]))],
    ["a number for the template", () => fromMetadata(scoreMergeMetadata([["tokenizer.chat_template", 7]]))],
    ["no merges", () => fromMetadata(byteLevelMetadata([["tokenizer.ggml.merges", undefined]]))],
    ["a merge of one token", () => fromMetadata(byteLevelMetadata([["tokenizer.ggml.merges", ["th"]]]))],
  ];

  it("merges may go through texts that are no tokens, as in llama.cpp", () => {
    // "xy" is no token, "xyz" is one: z joins it; alone it is written in its characters.
    const metadata = byteLevelMetadata([["tokenizer.ggml.merges", ["x y", "xy z"]]]);
    const tokens = metadata.get("tokenizer.ggml.tokens");
    const types = metadata.get("tokenizer.ggml.token_type");
    if (!Array.isArray(tokens) || !(types instanceof Int32Array)) throw new Error("the sample has changed");
    const through = fromMetadata(
      new Map([
        ...metadata,
        ["tokenizer.ggml.tokens", [...tokens, "xyz"]],
        ["tokenizer.ggml.token_type", Int32Array.of(...types, 1)],
      ]),
    );
    expect([...through.encode("xyz xy", { addSpecial: false })]).toEqual([265, 32, 120, 121]);
  });

  it.each(broken)("%s is a FormatError", (_name, build) => {
    expect(build).toThrow(FormatError);
  });

  it("names the key and the numbers", () => {
    const build = () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.scores", new Float32Array(3)]]));
    expect(build).toThrow(/tokenizer\.ggml\.scores has 3 entries for \d+ tokens/);
  });

  it("refuses kinds of vocabularies that it can't read", () => {
    const build = () => fromMetadata(new Map([["tokenizer.ggml.model", "rwkv"]]));
    expect(build).toThrow(UnsupportedError);
    expect(build).toThrow(/"rwkv"/);
  });

  it("refuses a special token of absurd length", () => {
    const tokens = ["a", "x".repeat(5000)];
    const metadata = new Map<string, unknown>([
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.tokens", tokens],
      ["tokenizer.ggml.token_type", Int32Array.of(1, 3)],
    ]);
    expect(() => fromMetadata(metadata)).toThrow(FormatError);
  });
});
