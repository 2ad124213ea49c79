/** The byte-pair trainer: against a brute-force one, and its two written forms against each other. */
import { Tokenizer as Oracle } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { charOfByte, toByteLevel } from "../../../src/tokenizer/byte-level.js";
import { createTokenizer } from "../../../src/tokenizer/create-tokenizer.js";
import { preTokenizer } from "../../../src/tokenizer/pre-tokenizers.js";
import { splitWords } from "../../../src/tokenizer/split-words.js";
import { trainBytePair } from "../../../src/tokenizer/train/byte-pair.js";
import {
  ggufTokenizerKeys,
  type SpecialTokenNames,
  tokenizerConfig,
} from "../../../src/tokenizer/train/tokenizer-json.js";
import { WordCounter } from "../../../src/tokenizer/train/word-counter.js";
import { ArgumentError, CancelledError, UnsupportedError } from "../../../src/util/errors.js";
import { Random } from "../../../src/util/random.js";
import { CHAPTER } from "../../support/chapter.js";
import { hasShared, sharedText } from "../../support/shared-vocabularies.js";

const END = "<|endoftext|>";
const train = (texts: readonly string[], vocabularySize: number) =>
  trainBytePair(texts, { vocabularySize, specialTokens: [END] });

function fromHf(json: unknown, names?: SpecialTokenNames) {
  return createTokenizer({
    kind: "hf",
    tokenizerJson: json,
    tokenizerConfig: tokenizerConfig(json, names),
    specialTokensMap: undefined,
  });
}
const fromGguf = (json: unknown, names?: SpecialTokenNames) =>
  createTokenizer({ kind: "gguf", metadata: ggufTokenizerKeys(json, names) });

/** Counts every pair of every word anew for every merge. */
function bruteForce(texts: readonly string[], merges: number): [string, string][] {
  const { splits } = preTokenizer("smollm");
  const words = texts.flatMap((text) => splitWords(text, splits).map((word) => [...toByteLevel(word)]));
  const order = new Map(Array.from({ length: 256 }, (_, byte) => [charOfByte(byte), byte]));
  const made: [string, string][] = [];
  while (made.length < merges) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const rank = (pair: string) => pair.split(" ").map((token) => order.get(token) ?? -1);
    const best = [...counts]
      .filter(([pair, count]) => count >= 2 && !order.has(pair.replace(" ", "")))
      .sort(([a, m], [b, n]) => n - m || rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1])[0];
    if (!best) break;
    const [left, right] = best[0].split(" ");
    order.set(left + right, 256 + made.length);
    made.push([left, right]);
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
  return made;
}

/** Numbers, letters, marks and white space of all scripts, many of which share their first bytes. */
const PIECES =
  "the| |  |\n|\t|\r\n|\u0085|\ufeff|\u00a0|\u3000|\u2028|\u200b|'s|'S|7|42|٣|م|Ⅷ|ⅰ|½|©|²|é|e\u0301|漢|😀|\0|.|--|_".split(
    "|",
  );

function scrambled(pieces: readonly string[], count: number): string {
  const random = new Random(1);
  return Array.from({ length: count }, () => pieces[random.below(pieces.length)]).join("");
}

const texts = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "\n", "é", "1", "."), maxLength: 60 }), {
  maxLength: 4,
});

describe("training", () => {
  it("merges what a brute-force trainer merges", async () => {
    await fc.assert(
      fc.asyncProperty(texts, async (some) => {
        expect((await train(some, 257 + 24)).model.merges).toEqual(bruteForce(some, 24));
      }),
      { numRuns: 60 },
    );
    const prose = CHAPTER.slice(0, 1500);
    expect((await train([prose], 257 + 100)).model.merges).toEqual(bruteForce([prose], 100));
  });

  it("puts special tokens first, then all bytes, then a token for each merge", async () => {
    const { vocab, merges } = (await train([CHAPTER], 400)).model;
    const tokens = Object.entries(vocab)
      .sort(([, a], [, b]) => a - b)
      .map(([text]) => text);
    expect(tokens.slice(0, 3)).toEqual([END, toByteLevel("\0"), toByteLevel("\u0001")]);
    expect(new Set(tokens.slice(1, 257).map((token) => token.length))).toEqual(new Set([1]));
    expect(tokens.slice(257)).toEqual(merges.map(([left, right]) => left + right));
    expect(tokens.map((text) => vocab[text])).toEqual(Array.from({ length: 400 }, (_, id) => id));
  });

  it("gives the same for the same words in any order", async () => {
    const halves = [CHAPTER.slice(0, 2000), CHAPTER.slice(2000)];
    expect(await train(halves, 500)).toEqual(await train(halves.toReversed(), 500));
  });

  it("merges no pair that occurs once, and none across digits or words", async () => {
    expect((await train(["abcd"], 300)).model.merges).toEqual([]);
    expect((await train(["1234 1234 1234"], 300)).model.merges).toEqual([]);
    expect((await train(["a b a b"], 300)).model.merges).toEqual([["Ġ", "b"]]);
  });

  it("never makes a special token of text", async () => {
    const json = await trainBytePair(["abab abab"], { vocabularySize: 300, specialTokens: ["ab"] });
    expect(json.model.merges).not.toContainEqual(["a", "b"]);
    expect(json.model.vocab.ab).toBe(0);
  });

  it("tells its progress, waits for it and ends at the size", async () => {
    const seen: number[] = [];
    const onProgress = (tokens: number) => void seen.push(tokens);
    await trainBytePair([CHAPTER], { vocabularySize: 400, specialTokens: [END], onProgress });
    expect(seen).toEqual([320, 384, 400]);
    const stopped = trainBytePair([CHAPTER], {
      vocabularySize: 400,
      specialTokens: [END],
      onProgress: () => Promise.reject(new CancelledError("enough")),
    });
    await expect(stopped).rejects.toThrow("enough");
  });

  it.each([
    [255, []],
    [256, [END]],
    [2 ** 21, []],
    [300.5, []],
    [300, ["x"]],
    [300, [END, END]],
  ])("refuses %d tokens with the special tokens %j", async (vocabularySize, specialTokens) => {
    await expect(trainBytePair([], { vocabularySize, specialTokens })).rejects.toThrow(ArgumentError);
  });

  it("counts a text in pieces like the whole, and words beyond slices", () => {
    const cut = CHAPTER.indexOf(" and ", 1000);
    const pieces = WordCounter.of([CHAPTER.slice(0, cut), CHAPTER.slice(cut)]);
    expect(pieces.counts).toEqual(WordCounter.of([CHAPTER]).counts);
    expect(pieces.counts.get(" considering")).toBe(2);
  });
});

describe("tokenizer.json and GGUF", async () => {
  // Trained on such pieces too, so that there are merges which a wrong cut would let happen, or not.
  const json = await train([CHAPTER, scrambled(PIECES, 4000)], 800);
  const hf = fromHf(json);
  const gguf = fromGguf(json);

  const agree = (text: string) => {
    const ids = hf.encode(text);
    expect([...gguf.encode(text)]).toEqual([...ids]);
    expect(hf.decode(ids, { special: true })).toBe(text);
    expect(gguf.decode(ids, { special: true })).toBe(text);
    return ids;
  };

  it("read a chapter alike, with fewer tokens than bytes, and as the library does", () => {
    const ids = agree(CHAPTER);
    expect(ids.length).toBeLessThan(CHAPTER.length / 2);
    expect([...ids]).toEqual(new Oracle(json, {}).encode(CHAPTER).ids);
  });

  it("read any text alike and give it back", () => {
    const mixed = fc.array(fc.constantFrom(...PIECES, END), { maxLength: 20 }).map((parts) => parts.join(""));
    const wellFormed = fc.string({ unit: "binary", maxLength: 40 }).filter((text) => !/\p{Surrogate}/u.test(text));
    fc.assert(
      fc.property(mixed, (text) => void agree(text)),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(wellFormed, (text) => void agree(text)),
      { numRuns: 100 },
    );
  });

  it("cut numbers into digits", () => {
    expect(Array.from(hf.encode("x 48213."), (id) => hf.tokenText(id))).toEqual(["x", "Ġ", ..."48213", "."]);
  });

  it("name the same special tokens", async () => {
    for (const tokenizer of [hf, gguf]) {
      expect([tokenizer.bosId, tokenizer.eosId, tokenizer.addsBos, [...tokenizer.endIds]]).toEqual([0, 0, false, [0]]);
      expect([...tokenizer.encode(END)]).toEqual([0]);
      expect([...tokenizer.encode(END, { parseSpecial: false })]).not.toContain(0);
    }
    const two = await trainBytePair([CHAPTER], { vocabularySize: 300, specialTokens: [END, "<|sink|>"] });
    for (const make of [fromHf, fromGguf]) {
      const tokenizer = make(two, { bosToken: "<|sink|>", addBos: true });
      expect([tokenizer.bosId, tokenizer.eosId, [...tokenizer.encode("")]]).toEqual([1, 0, [1]]);
    }
    expect(() => ggufTokenizerKeys(two, { eosToken: "<s>" })).toThrow(ArgumentError);
    const none = await trainBytePair([], { vocabularySize: 256, specialTokens: [] });
    expect(() => ggufTokenizerKeys(none)).toThrow(ArgumentError);
  });

  it("have the keys that llama.cpp reads", () => {
    const keys = ggufTokenizerKeys(json);
    expect(keys.get("tokenizer.ggml.model")).toBe("gpt2");
    expect(keys.get("tokenizer.ggml.pre")).toBe("smollm");
    expect(keys.get("tokenizer.ggml.token_type")).toEqual(Int32Array.from({ length: 800 }, (_, id) => (id ? 1 : 3)));
    expect(keys.get("tokenizer.ggml.merges")).toEqual(json.model.merges.map(([left, right]) => `${left} ${right}`));
  });

  it("GPT-2's own cut has its name; others are refused", () => {
    const plain = { ...json, pre_tokenizer: { type: "ByteLevel", add_prefix_space: false } };
    expect(ggufTokenizerKeys(plain).get("tokenizer.ggml.pre")).toBe("gpt-2");
    const other = { ...json, pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } };
    expect(() => ggufTokenizerKeys(other)).toThrow(UnsupportedError);
  });

  it.skipIf(!hasShared)("read a book alike (../shared)", async () => {
    const book = sharedText("text/the-time-machine.txt");
    const larger = await train([book], 2048);
    const ids = fromHf(larger).encode(book);
    expect(Object.keys(larger.model.vocab)).toHaveLength(2048);
    expect(fromGguf(larger).encode(book)).toEqual(ids);
    expect(fromHf(larger).decode(ids)).toBe(book);
  });
});
