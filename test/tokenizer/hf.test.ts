/** Tokenizers from tokenizer.json: the library itself is the oracle for ids and texts. */
import { Tokenizer as Oracle } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import { isFields } from "../../src/tokenizer/json-fields.js";
import { FormatError, UnsupportedError } from "../../src/util/errors.js";
import { ggufTokenizer, hasShared, sharedJson, sharedText, vectors } from "../support/shared-vocabularies.js";
import { CHATML, hfJson } from "../support/tiny-vocabularies.js";

const fromJson = (tokenizerJson: unknown, tokenizerConfig?: unknown, specialTokensMap?: unknown) =>
  createTokenizer({ kind: "hf", tokenizerJson, tokenizerConfig, specialTokensMap });

function oracle(json: unknown): Oracle {
  if (!isFields(json)) throw new Error("not an object");
  return new Oracle(json, {});
}

const wellFormed = fc.string({ unit: "binary", maxLength: 50 }).filter((text) => !/\p{Surrogate}/u.test(text));

describe("a small tokenizer.json", () => {
  const tokenizer = fromJson(hfJson(), { eos_token: { content: "<|end|>" }, chat_template: CHATML });

  it("gives the library's ids and texts", () => {
    const library = oracle(hfJson());
    const pieces = fc.constantFrom("the", " the", "x", "<tool>", "<|end|>", "é", " ", "\n", "漢", "'s");
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 1, maxLength: 12 }), (parts) => {
        const text = parts.join("");
        const ids = [...tokenizer.encode(text)];
        expect(ids).toEqual(library.encode(text).ids);
        const shown = library.decode(ids, { clean_up_tokenization_spaces: false });
        expect(tokenizer.decode(ids, { special: true })).toBe(shown);
      }),
    );
  });

  it("reads added tokens of the user always, special ones only when asked", () => {
    expect([...tokenizer.encode("<tool><|end|>")]).toEqual([260, 259]);
    const plain = tokenizer.encode("<tool><|end|>", { parseSpecial: false });
    expect(plain[0]).toBe(260);
    expect([...plain]).not.toContain(259);
    expect(tokenizer.decode(plain)).toBe("<tool><|end|>");
  });

  it("knows its special tokens by text, by object and from the other file", () => {
    expect(tokenizer.eosId).toBe(259);
    expect(fromJson(hfJson(), {}, { bos_token: "<|end|>" }).bosId).toBe(259);
    expect([...tokenizer.endIds]).toEqual([259]);
    expect(tokenizer.bosId).toBeUndefined();
  });

  it("lets add_bos_token and add_eos_token overrule the post-processor", () => {
    const config = { bos_token: "<|end|>", eos_token: "<|end|>" };
    expect([...fromJson(hfJson(), { ...config, add_bos_token: true }).encode("x")]).toEqual([259, 120]);
    expect([...fromJson(hfJson(), { ...config, add_eos_token: true }).encode("x")]).toEqual([120, 259]);
    const single = [{ SpecialToken: { id: "<|end|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
    const json = hfJson({ post_processor: { type: "TemplateProcessing", single, pair: [] } });
    expect([...fromJson(json, config).encode("x")]).toEqual([259, 120]);
    expect(fromJson(json, config).addsBos).toBe(true);
    expect([...fromJson(json, config).encode("x", { addSpecial: false })]).toEqual([120]);
    expect([...fromJson(json, { ...config, add_bos_token: false }).encode("x")]).toEqual([120]);
  });

  it("honours lstrip, rstrip, single_word and normalized of added tokens", () => {
    const token = (content: string, id: number, more: object) => ({
      id,
      content,
      special: false,
      normalized: false,
      ...more,
    });
    const json = hfJson({
      added_tokens: [
        token("<l>", 259, { lstrip: true }),
        token("<r>", 260, { rstrip: true }),
        token("one", 261, { single_word: true }),
        token("\u00e9", 262, { normalized: true }),
      ],
    });
    const stripping = fromJson(json);
    expect([...stripping.encode("x  <l>y<r> \nz")]).toEqual([120, 259, 121, 260, 122]);
    expect([...stripping.encode("one")]).toEqual([261]);
    expect([...stripping.encode("ones")]).not.toContain(261);
    expect([...stripping.encode("e\u0301")]).toEqual([262]);
  });

  // What the tokenizers library (0.23) makes of these.
  it.each([
    // The token before took this white space, and it is a token all the same.
    ["zz<r><r> \n", [122, 122, 259, 259, 260, 10], { "<r>": "rstrip", " ": "" }],
    ["<r> <l><r>\n<r>", [259, 260, 60, 108, 62, 259, 259], { "<r>": "lstrip rstrip", " ": "" }],
    [" <l>   ", [32, 259, 260, 32], { "<l>": "rstrip single_word", "  ": "" }],
    ["<r>\n<l>    ", [60, 114, 62, 10, 259, 260, 260], { "<l>": "rstrip", "  ": "" }],
    // White space that is a token is taken by no token behind it.
    ["  \n<r>  <l>z", [260, 260, 259, 260, 260, 60, 108, 62, 122], { "<r>": "lstrip rstrip", " ": "" }],
    // One that stands within a word is read as text, though it has another one within itself.
    ["xy    y", [120, 121, 32, 32, 32, 32, 121], { "  ": "single_word" }],
    ["<r>  xx   ", [60, 114, 62, 32, 32, 120, 120, 32, 32, 260], { "  ": "single_word", " ": "" }],
    ["zy<r>  ", [122, 121, 60, 114, 62, 32, 260], { "<r> ": "lstrip single_word", " ": "" }],
  ])("finds added tokens that overlap in %j as %j", (text, ids, tokens) => {
    const added_tokens = Object.entries(tokens).map(([content, flags], i) => {
      const more = Object.fromEntries(flags.split(" ").map((flag) => [flag, true]));
      return { id: 259 + i, content, special: false, normalized: false, ...more };
    });
    expect([...fromJson(hfJson({ added_tokens, normalizer: null })).encode(text)]).toEqual(ids);
  });

  it("takes the default of named chat templates", () => {
    const named = (...names: string[]) => names.map((name) => ({ name, template: `I am ${name}` }));
    const render = (chat_template: unknown) => fromJson(hfJson(), { chat_template }).renderChat([]);
    expect(render(named("tool_use", "default"))).toBe("I am default");
    expect(render(named("rag", "tool_use"))).toBe("I am rag");
    expect(render("plain")).toBe("plain");
  });
});

describe("word pieces of tokenizer.json", () => {
  const vocab = { "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, the: 3, cat: 4, "##s": 5, ".": 6 };
  const json = hfJson({
    added_tokens: ["[CLS]", "[SEP]"].map((content, i) => ({ id: i + 1, content, special: true })),
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", cls: ["[CLS]", 1], sep: ["[SEP]", 2] },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", vocab, unk_token: "[UNK]", continuing_subword_prefix: "##" },
  });

  it("gives the library's ids and texts", () => {
    const tokenizer = fromJson(json);
    const ids = [...tokenizer.encode("The CATS zoo.")];
    expect(ids).toEqual([1, 3, 4, 5, 0, 6, 2]);
    expect(ids).toEqual(oracle(json).encode("The CATS zoo.").ids);
    expect(tokenizer.decode(ids)).toBe("the cats [UNK].");
  });
});

describe("broken files", () => {
  const split = (pattern: object, behavior: string) =>
    hfJson({ pre_tokenizer: { type: "Split", pattern, behavior, invert: false } });
  const decoder = (decoders: readonly object[]) => hfJson({ decoder: { type: "Sequence", decoders } });
  const model = { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] };
  const broken: readonly (readonly [string, unknown])[] = [
    ["no object", "tokenizer"],
    ["no model", hfJson({ model: undefined })],
    ["no vocabulary", hfJson({ model: { ...model, vocab: undefined } })],
    ["ids that are texts", hfJson({ model: { ...model, vocab: { a: "0" } } })],
    ["an absurd id", hfJson({ model: { ...model, vocab: { a: 2 ** 40 } } })],
    ["a negative id", hfJson({ model: { ...model, vocab: { a: -1 } } })],
    ["an id that is no text either", hfJson({ model: { ...model, vocab: { a: { toString: null, valueOf: 0 } } } })],
    ["merges that are no list", hfJson({ model: { ...model, merges: "a b" } })],
    ["a merge of three", hfJson({ model: { ...model, merges: ["a b c"] } })],
    ["a Unigram token without a score", hfJson({ model: { type: "Unigram", vocab: [["a"]] } })],
    ["a merge of unknown tokens", hfJson({ model: { ...model, merges: [["a", "z"]] } })],
    ["added tokens without content", hfJson({ added_tokens: [{ id: 1 }] })],
    ["an added token with an absurd id", hfJson({ added_tokens: [{ id: 1e12, content: "<x>" }] })],
  ];

  it.each(broken)("%s is a FormatError", (_name, json) => {
    expect(() => fromJson(json)).toThrow(FormatError);
  });

  const unsupported: readonly (readonly [string, unknown])[] = [
    ["model", hfJson({ model: { type: "Nonesuch", vocab: { a: 0 } } })],
    ["normalizer", hfJson({ normalizer: { type: "Nonesuch" } })],
    ["pre-tokenizer", hfJson({ pre_tokenizer: { type: "Nonesuch" } })],
    ["decoder", hfJson({ decoder: { type: "CTC" } })],
    ["behavior", split({ String: " " }, "Nonesuch")],
    ["pattern", split({ Glob: "*" }, "Isolated")],
    ["pattern of a Replace", hfJson({ normalizer: { type: "Replace", pattern: { Glob: "*" }, content: "" } })],
    ["set of an expression", split({ Regex: "\\p{Nonesuch}" }, "Isolated")],
    ["backreference", split({ Regex: "(a)\\1" }, "Isolated")],
    ["dropout", hfJson({ model: { ...model, dropout: 0.1 } })],
    ["affix", hfJson({ model: { ...model, end_of_word_suffix: "</w>" } })],
    ["post-processor", hfJson({ post_processor: { type: "Nonesuch" } })],
    ["decoder behind Fuse", decoder([{ type: "Fuse" }, { type: "Replace", pattern: { String: "a" }, content: "b" }])],
    ["stripping decoder", decoder([{ type: "Fuse" }, { type: "Strip", content: "a", start: 1, stop: 0 }])],
  ];

  it.each(unsupported)("an unknown %s is an UnsupportedError", (_name, json) => {
    expect(() => fromJson(json)).toThrow(UnsupportedError);
  });
});

describe.skipIf(!hasShared)("real tokenizer.json files (../shared)", () => {
  it("GPT-NeoX gives the library's ids and texts, on vectors, random texts and a book", () => {
    const json = sharedJson("vocab/gpt-neox-20B-tokenizer.json");
    const tokenizer = fromJson(json);
    const library = oracle(json);
    const agree = (text: string) => {
      const ids = [...tokenizer.encode(text)];
      expect(ids).toEqual(library.encode(text).ids);
      // The library can't decode an empty list.
      if (ids.length > 0)
        expect(tokenizer.decode(ids)).toBe(library.decode(ids, { clean_up_tokenization_spaces: false }));
    };
    for (const { text } of vectors("gpt-2")) agree(text);
    fc.assert(fc.property(wellFormed, agree), { numRuns: 200 });
    agree(sharedText("text/alices-adventures-in-wonderland.txt").slice(0, 20_000));
  });

  it("stories260K: GGUF, tokenizer.json and the library agree", async () => {
    const folder = "models/stories260K-hf";
    const json = sharedJson(`${folder}/tokenizer.json`);
    const hf = fromJson(
      json,
      sharedJson(`${folder}/tokenizer_config.json`),
      sharedJson(`${folder}/special_tokens_map.json`),
    );
    const gguf = await ggufTokenizer("models/stories260K.gguf");
    const library = oracle(json);
    const agree = (text: string) => {
      const ids = [...gguf.encode(text, { parseSpecial: false })];
      expect([...hf.encode(text, { parseSpecial: false })]).toEqual(ids);
      expect(hf.decode(ids)).toBe(gguf.decode(ids));
      if (!/<s>|<\/s>|<unk>/.test(text)) expect(library.encode(text).ids).toEqual(ids);
    };
    // tokenizer.json prepends its space to an empty text's nothing; GGUF leaves it empty.
    for (const { text } of vectors("llama-spm")) if (text !== "") agree(text);
    const someText = wellFormed.filter((text) => text !== "" && !text.includes("▁"));
    fc.assert(fc.property(someText, agree), { numRuns: 300 });
    agree(sharedText("text/the-time-machine.txt").slice(0, 20_000));
    expect([hf.bosId, hf.eosId, hf.addsBos, [...hf.endIds]]).toEqual([1, 2, true, [2]]);
    expect([gguf.bosId, gguf.eosId, gguf.addsBos, [...gguf.endIds]]).toEqual([1, 2, true, [2]]);
  });
});
