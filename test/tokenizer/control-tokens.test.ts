/** Tokens that steer the model, whatever type a file gives them: found in templates, hidden, ends; never made of users' text. */
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { ggufTokenizer, hasShared } from "../support/shared-vocabularies.js";
import { byteLevelMetadata, CHATML, fromMetadata, hfJson, scoreMergeMetadata } from "../support/tiny-vocabularies.js";

const plain = (tokenizer: Tokenizer, text: string) => [
  ...tokenizer.encode(text, { addSpecial: false, parseSpecial: false }),
];
const marked = (tokenizer: Tokenizer, text: string) => [...tokenizer.encode(text, { addSpecial: false })];

/** The byte-level vocabulary of the tests with another type for one of its tokens. */
function withType(text: string, type: number, template = CHATML): Tokenizer {
  const metadata = byteLevelMetadata([["tokenizer.chat_template", template]]);
  const tokens: unknown = metadata.get("tokenizer.ggml.tokens");
  const types = metadata.get("tokenizer.ggml.token_type");
  if (!Array.isArray(tokens) || !(types instanceof Int32Array)) throw new Error("the sample has changed");
  types[tokens.indexOf(text)] = type;
  return fromMetadata(metadata);
}

/** A byte-level GGUF with further tokens of the type 1 or 4. */
function withToken(text: string, type: number, further: readonly (readonly [string, unknown])[] = []): Tokenizer {
  const metadata = byteLevelMetadata(further);
  const tokens: unknown = metadata.get("tokenizer.ggml.tokens");
  const types = metadata.get("tokenizer.ggml.token_type");
  if (!Array.isArray(tokens) || !(types instanceof Int32Array)) throw new Error("the sample has changed");
  return fromMetadata(
    new Map([
      ...metadata,
      ["tokenizer.ggml.tokens", [...tokens, text]],
      ["tokenizer.ggml.token_type", Int32Array.of(...types, type)],
      ...further,
    ]),
  );
}

describe.each([
  ["normal", 1],
  ["user-defined", 4],
  ["unused", 5],
  ["of no known type", 0],
])("<|im_end|> that is %s", (_, type) => {
  const tokenizer = withType("<|im_end|>", type);
  const id = 263;

  it("is one token in a template, hidden, and ends an answer", () => {
    expect(tokenizer.tokenText(id)).toBe("<|im_end|>");
    expect(marked(tokenizer, "a<|im_end|>")).toEqual([97, id]);
    expect(tokenizer.endIds.has(id)).toBe(true);
    expect(tokenizer.decode([97, id])).toBe("a");
  });

  it("is never made of a user's text", () => {
    expect(plain(tokenizer, "<|im_end|>")).not.toContain(id);
    const ids = [...tokenizer.encodeChat([{ role: "user", content: "a<|im_end|>b" }])];
    expect(ids.filter((other) => other === id)).toHaveLength(1);
  });
});

describe("other names and texts", () => {
  it("the named end token counts, whatever its text", () => {
    const tokenizer = withToken("STOP", 1, [["tokenizer.ggml.eos_token_id", 265]]);
    expect(tokenizer.endIds.has(265)).toBe(true);
    expect(marked(tokenizer, "aSTOP")).toEqual([97, 265]);
    expect(plain(tokenizer, "STOP")).toEqual([83, 84, 79, 80]);
  });

  it("a line break that is named as end still can be written", () => {
    const metadata = byteLevelMetadata([["tokenizer.ggml.eos_token_id", 10]]);
    const tokenizer = fromMetadata(metadata);
    expect(tokenizer.endIds.has(10)).toBe(true);
    expect([...plain(tokenizer, "a\nb")]).toEqual([97, 10, 98]);
  });

  it("padding that is a plain word stays one", () => {
    const tokenizer = fromMetadata(byteLevelMetadata([["tokenizer.ggml.padding_token_id", 97]]));
    expect(plain(tokenizer, "a")).toEqual([97]);
    expect(tokenizer.decode([97])).toBe("a");
  });

  it.each([
    "<|eot_id|>",
    "<end_of_turn>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<turn|>",
    "<|call|>",
  ])("%s of the type normal ends an answer", (text) => {
    const tokenizer = withToken(text, 1);
    expect(tokenizer.endIds.has(265)).toBe(true);
    expect(marked(tokenizer, text)).toEqual([265]);
  });

  it("</s> beside <eos> is a tag of HTML", () => {
    const metadata = byteLevelMetadata();
    const tokens = metadata.get("tokenizer.ggml.tokens");
    const types = metadata.get("tokenizer.ggml.token_type");
    if (!Array.isArray(tokens) || !(types instanceof Int32Array)) throw new Error("the sample has changed");
    const tokenizer = fromMetadata(
      new Map([
        ...metadata,
        ["tokenizer.ggml.tokens", [...tokens, "<eos>", "</s>"]],
        ["tokenizer.ggml.token_type", Int32Array.of(...types, 3, 4)],
      ]),
    );
    expect([tokenizer.endIds.has(265), tokenizer.endIds.has(266)]).toEqual([true, false]);
    expect(plain(tokenizer, "</s>")).toEqual([266]);
  });
});

describe("<|end|>", () => {
  const withEnds = (...texts: readonly string[]): Tokenizer => {
    const metadata = byteLevelMetadata();
    const tokens: unknown = metadata.get("tokenizer.ggml.tokens");
    const types = metadata.get("tokenizer.ggml.token_type");
    if (!Array.isArray(tokens) || !(types instanceof Int32Array)) throw new Error("the sample has changed");
    return fromMetadata(
      new Map([
        ...metadata,
        ["tokenizer.ggml.tokens", [...tokens, "<|end|>", ...texts]],
        ["tokenizer.ggml.token_type", Int32Array.of(...types, 3, ...texts.map(() => 3))],
      ]),
    );
  };

  it.each([
    ["<|return|>", "<|call|>"],
    ["<|return|>", "<|calls|>"],
    ["<|call|>", "<|flush|>"],
    ["<|calls|>", "<|flush|>"],
  ])("closes a message, not the answer, beside %s and %s", (one, other) => {
    const { endIds } = withEnds(one, other);
    expect([265, 266, 267].map((id) => endIds.has(id))).toEqual([false, true, true]);
  });

  it.each([[], ["<|return|>"], ["<|call|>"], ["<|flush|>"]])("ends an answer beside %s alone", (...texts) => {
    expect(withEnds(...texts).endIds.has(265)).toBe(true);
  });
});

describe("user-defined tokens", () => {
  it("that are no marks are found in plain text", () => {
    for (const text of ["   ", "<0x09>x", "<br>", "hello"]) {
      expect(plain(withToken(text, 4), `a${text}`)).toEqual([97, 265]);
    }
  });

  it("that the template writes are shown, but no user's text becomes one", () => {
    const template = `{% for m in messages %}{{ m.content }}{% endfor %}<tool_call>`;
    const tokenizer = withToken("<tool_call>", 4, [["tokenizer.chat_template", template]]);
    expect(tokenizer.decode([97, 265])).toBe("a<tool_call>");
    expect(marked(tokenizer, "<tool_call>")).toEqual([265]);
    expect(plain(tokenizer, "<tool_call>")).not.toContain(265);
    expect(
      [...tokenizer.encodeChat([{ role: "user", content: "<tool_call>" }])].filter((id) => id === 265),
    ).toHaveLength(1);
    // Without the template it is a word like any other.
    expect(plain(withToken("<tool_call>", 4), "<tool_call>")).toEqual([265]);
  });

  it("in SentencePiece vocabularies pieces do not merge into a mark either", () => {
    const tokens = scoreMergeMetadata().get("tokenizer.ggml.tokens");
    if (!Array.isArray(tokens)) throw new Error("the sample has changed");
    const types = Int32Array.from(tokens, (_, id) => (id < 3 ? 3 : id < 259 ? 6 : 1));
    types[tokens.indexOf("<s")] = 1;
    const all = [...tokens, "<s>|"];
    const tokenizer = fromMetadata(
      scoreMergeMetadata([
        ["tokenizer.ggml.tokens", all.slice(0, -1)],
        ["tokenizer.ggml.token_type", types],
      ]),
    );
    expect(plain(tokenizer, "<s>")).not.toContain(1);
    expect(plain(tokenizer, "<|im_end|>")).not.toContain(tokens.indexOf("<|im_end|>"));
    expect(tokenizer.endIds.has(tokens.indexOf("<|im_end|>"))).toBe(true);
  });
});

describe("tokenizer.json", () => {
  const make = (changes: Record<string, unknown>, config: Record<string, unknown> = {}) =>
    createTokenizer({ kind: "hf", tokenizerJson: hfJson(changes), tokenizerConfig: config, specialTokensMap: {} });
  const base = hfJson();
  const model = Object(base.model);

  it("an added token with special: false that ends turns", () => {
    for (const normalized of [true, false]) {
      const tokenizer = make({ added_tokens: [{ id: 259, content: "<|im_end|>", special: false, normalized }] });
      expect(marked(tokenizer, "a<|im_end|>")).toEqual([97, 259]);
      expect(plain(tokenizer, "<|im_end|>")).not.toContain(259);
      expect(tokenizer.endIds.has(259)).toBe(true);
      expect(tokenizer.decode([97, 259])).toBe("a");
    }
  });

  it("a token that only the model lists", () => {
    const tokenizer = make({ model: { ...model, vocab: { ...model.vocab, "<|im_end|>": 259 } }, added_tokens: [] });
    expect(marked(tokenizer, "a<|im_end|>")).toEqual([97, 259]);
    expect(plain(tokenizer, "<|im_end|>")).not.toContain(259);
    expect(tokenizer.endIds.has(259)).toBe(true);
  });

  it("tokens of added_tokens_decoder, end tokens of config.json", () => {
    const config = { added_tokens_decoder: { 261: { content: "<bye>", special: true, normalized: false } } };
    const source = { kind: "hf", tokenizerJson: base, tokenizerConfig: config, specialTokensMap: {} } as const;
    const tokenizer = createTokenizer({ ...source, endIds: [261] });
    expect(marked(tokenizer, "a<bye>")).toEqual([97, 261]);
    expect([tokenizer.eosId, tokenizer.endIds.has(261)]).toEqual([261, true]);
  });
});

describe.skipIf(!hasShared)("files of ../shared/field", () => {
  it.each(["sp-normal", "sp-userdef"])("%s: <|im_end|> is one token, an end, and can't be forged", async (name) => {
    const tokenizer = await ggufTokenizer(`field/${name}.gguf`);
    expect(marked(tokenizer, "<|im_end|>")).toEqual([317]);
    expect(tokenizer.endIds.has(317)).toBe(true);
    expect(plain(tokenizer, "<|im_end|>")).not.toContain(317);
    if (name !== "sp-normal") return;
    expect(marked(tokenizer, "<|im_start|>")).toEqual([316]);
    expect(plain(tokenizer, "<|im_start|>")).not.toContain(316);
  });

  it("bpe-eosnormal: the named end token of the type normal", async () => {
    const tokenizer = await ggufTokenizer("field/bpe-eosnormal.gguf");
    expect(marked(tokenizer, "<|endoftext|>")).toEqual([319]);
    expect(plain(tokenizer, "<|endoftext|>")).not.toContain(319);
    expect([...tokenizer.endIds]).toContain(319);
  });
});
