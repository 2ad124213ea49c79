/** Unigram against all ways to cover a text, character maps against replacement by hand, both through whole tokenizers. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CharacterMap } from "../../src/tokenizer/character-map.js";
import { tokenizerFromGguf } from "../../src/tokenizer/from-gguf.js";
import { tokenizerFromHf } from "../../src/tokenizer/from-hf.js";
import { IdList } from "../../src/tokenizer/id-list.js";
import { Unigram } from "../../src/tokenizer/unigram-model.js";
import { makeVocabulary, TokenKind } from "../../src/tokenizer/vocabulary.js";
import { FormatError } from "../../src/util/errors.js";

const encoder = new TextEncoder();

/** A double array for these texts, built greedily: the child of byte b lies at the node's index XOR its offset XOR b. */
function characterMap(entries: readonly (readonly [string, string])[]): Uint8Array {
  type Node = { readonly children: Map<number, Node>; value?: number };
  const root: Node = { children: new Map() };
  const replacements: number[] = [];
  for (const [from, to] of entries) {
    let node = root;
    for (const byte of encoder.encode(from)) {
      const child = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, child);
      node = child;
    }
    node.value = replacements.length;
    replacements.push(...encoder.encode(to), 0);
  }
  const units: number[] = [];
  const taken = new Set<number>([0]);
  let nextOffset = 1;
  const place = (node: Node, at: number, label: number) => {
    // A value lies at the node's offset itself, as a child of label 0.
    const labels = [...(node.value === undefined ? [] : [0]), ...node.children.keys()];
    while (labels.some((byte) => taken.has(nextOffset ^ byte))) nextOffset++;
    const offset = nextOffset++;
    for (const byte of labels) taken.add(offset ^ byte);
    units[at] = ((offset ^ at) << 10) | (node.value === undefined ? 0 : 0x100) | label;
    if (node.value !== undefined) units[offset] = (0x8000_0000 | node.value) >>> 0;
    for (const [byte, child] of node.children) place(child, offset ^ byte, byte);
  };
  place(root, 0, 0);
  const size = taken.size === 0 ? 1 : Math.max(...taken) + 1;
  const bytes = new Uint8Array(4 + 4 * size + replacements.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4 * size, true);
  for (let i = 0; i < size; i++) view.setUint32(4 + 4 * i, units[i] ?? 0, true);
  bytes.set(replacements, 4 + 4 * size);
  return bytes;
}

const PIECES = ["a", "b", "ab", "aab", "bab", "ba", "abba", "▁", "▁a"];

function unigram(scores: readonly number[], byteFallback = false) {
  const texts = ["<unk>", ...PIECES, ...(byteFallback ? ["<0xC3>", "<0xA9>"] : [])];
  const kinds = Uint8Array.from(texts, (_, id) =>
    id === 0 ? TokenKind.unknown : id > PIECES.length ? TokenKind.byte : TokenKind.normal,
  );
  const all = Float32Array.from(texts, (_, id) => scores[id - 1] ?? 0);
  return new Unigram({ vocabulary: makeVocabulary(texts, kinds), scores: all, unknownId: 0, byteFallback });
}

function encode(model: Unigram, word: string): number[] {
  const out = new IdList();
  model.encodeWord(word, out);
  return [...out.toArray()];
}

/** The best sum over all ways to cover the word by pieces. */
function bestSum(word: string, scores: readonly number[]): number {
  if (word === "") return 0;
  return PIECES.reduce(
    (most, piece, i) =>
      word.startsWith(piece)
        ? Math.max(most, Math.fround(scores[i]) + bestSum(word.slice(piece.length), scores))
        : most,
    Number.NEGATIVE_INFINITY,
  );
}

describe("Unigram", () => {
  it("covers a word with the largest sum of scores of all ways", () => {
    const arbitrary = fc.record({
      word: fc.string({ unit: fc.constantFrom("a", "b", "▁"), minLength: 1, maxLength: 10 }),
      scores: fc.array(fc.double({ min: -9, max: -0.1, noNaN: true }), {
        minLength: PIECES.length,
        maxLength: PIECES.length,
      }),
    });
    fc.assert(
      fc.property(arbitrary, ({ word, scores }) => {
        const ids = encode(unigram(scores), word);
        expect(ids.map((id) => PIECES[id - 1]).join("")).toBe(word);
        const sum = ids.reduce((total, id) => total + Math.fround(scores[id - 1]), 0);
        expect(sum).toBeCloseTo(bestSum(word, scores), 9);
      }),
    );
  });

  it("makes neighbouring unknown characters one token, or bytes where the vocabulary has them", () => {
    const scores = PIECES.map(() => -1);
    expect(encode(unigram(scores), "axyb😀")).toEqual([1, 0, 2, 0]);
    expect(encode(unigram(scores, true), "aéb")).toEqual([1, 10, 11, 2]);
    expect(encode(unigram(scores), "")).toEqual([]);
  });
});

describe("character maps", () => {
  const map = characterMap([
    ["ﬁ", "fi"],
    ["\t", " "],
    ["Å", "Å"],
    ["ab", "X"],
    ["abc", "Y"],
    ["\u00ad", ""],
  ]);

  it("replace the longest prefix that they know and keep the rest", () => {
    const normal = new CharacterMap(map);
    expect(normal.normalise("ﬁn\tabcd ab a Å \u00ad😀é")).toBe("fin Yd X a Å 😀é");
    expect(normal.normalise("")).toBe("");
  });

  it("that are damaged are refused or end, whatever their bytes", () => {
    expect(() => new CharacterMap(new Uint8Array(3))).toThrow(FormatError);
    expect(() => new CharacterMap(Uint8Array.of(255, 0, 0, 0, 1, 2, 3, 4))).toThrow(FormatError);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 200 }), fc.string(), (bytes, text) => {
        const sized = Uint8Array.of(4 * Math.floor(bytes.length / 4), 0, 0, 0, ...bytes);
        expect(typeof new CharacterMap(sized).normalise(text)).toBe("string");
      }),
    );
  });

  it("serve a GGUF vocabulary of the kind t5 and a tokenizer.json alike", () => {
    const texts = ["<pad>", "</s>", "<unk>", "▁", "▁fi", "n", "a", "▁a", "Y"];
    const scores = [0, 0, 0, -5, -2, -3, -3, -2, -4];
    const fromGguf = tokenizerFromGguf(
      new Map<string, unknown>([
        ["tokenizer.ggml.model", "t5"],
        ["tokenizer.ggml.tokens", texts],
        ["tokenizer.ggml.scores", Float32Array.from(scores)],
        ["tokenizer.ggml.token_type", Int32Array.from(texts, (_, id) => (id < 2 ? 3 : id === 2 ? 2 : 1))],
        ["tokenizer.ggml.eos_token_id", 1],
        ["tokenizer.ggml.unknown_token_id", 2],
        ["tokenizer.ggml.remove_extra_whitespaces", true],
        ["tokenizer.ggml.precompiled_charsmap", Int32Array.from(map)],
      ]),
    );
    const fromHf = tokenizerFromHf({
      kind: "hf",
      tokenizerJson: {
        model: { type: "Unigram", unk_id: 2, vocab: texts.map((text, id) => [text, scores[id]]) },
        added_tokens: texts.slice(0, 3).map((content, id) => ({ id, content, special: true })),
        normalizer: { type: "Precompiled", precompiled_charsmap: btoa(String.fromCharCode(...map)) },
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [{ type: "WhitespaceSplit" }, { type: "Metaspace", replacement: "▁", add_prefix_space: true }],
        },
        post_processor: {
          type: "TemplateProcessing",
          single: [{ Sequence: { id: "A" } }, { SpecialToken: { id: "</s>" } }],
        },
        decoder: { type: "Metaspace", replacement: "▁", add_prefix_space: true },
      },
      tokenizerConfig: { eos_token: "</s>", unk_token: "<unk>" },
      specialTokensMap: {},
    });
    for (const tokenizer of [fromGguf, fromHf]) {
      expect([...tokenizer.encode(" ﬁn   aabc?")]).toEqual([4, 5, 7, 8, 2, 1]);
      expect(tokenizer.decode([4, 5, 7, 8])).toBe("fin aY");
    }
  });
});
