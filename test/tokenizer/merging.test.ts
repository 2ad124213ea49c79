/** Merging against a definition that one can read: find the best pair, merge it, start over. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IdList } from "../../src/tokenizer/id-list.js";
import { PairMergeModel } from "../../src/tokenizer/pair-merge-model.js";
import { ScoreMergeModel } from "../../src/tokenizer/score-merge-model.js";
import { spaceMarkWords } from "../../src/tokenizer/space-mark-words.js";
import { makeVocabulary, TokenKind } from "../../src/tokenizer/vocabulary.js";

/** Merges the leftmost pair of the least rank until none is left. */
function naive(symbols: readonly string[], rank: (left: string, right: string) => number | undefined): string[] {
  const left = [...symbols];
  for (;;) {
    let best = -1;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < left.length; i++) {
      const found = rank(left[i], left[i + 1]);
      if (found !== undefined && found < bestRank) {
        best = i;
        bestRank = found;
      }
    }
    if (best < 0) return left;
    left.splice(best, 2, left[best] + left[best + 1]);
  }
}

const LETTERS = ["a", "b", "▁"];
const piece = fc.array(fc.constantFrom(...LETTERS), { minLength: 2, maxLength: 5 }).map((letters) => letters.join(""));
const text = fc
  .array(fc.constantFrom(...LETTERS, ...LETTERS, "x"), { maxLength: 40 })
  .map((letters) => letters.join(""));
const kindsOf = (texts: readonly string[]) => new Uint8Array(texts.length).fill(TokenKind.normal);

describe("merging by score", () => {
  const pieces = fc.uniqueArray(fc.tuple(piece, fc.integer({ min: -4, max: 0 })), { selector: ([text]) => text });

  it("is the best-scored leftmost merge, step by step", () => {
    fc.assert(
      fc.property(pieces, text, (extra, input) => {
        const texts = ["<unk>", ...LETTERS, ...extra.map(([piece]) => piece)];
        const scores = [0, 0, 0, 0, ...extra.map(([, score]) => score)];
        const kinds = kindsOf(texts);
        kinds[0] = TokenKind.unknown;
        const vocabulary = makeVocabulary(texts, kinds);
        const model = new ScoreMergeModel({ vocabulary, scores, addSpacePrefix: false, unknownId: 0 });
        const out = new IdList();
        model.encode(input, { first: true, parseSpecial: false }, out);
        const rank = (left: string, right: string) => {
          const id = vocabulary.ids.get(left + right);
          return id === undefined ? undefined : -scores[id];
        };
        const expected = naive([...input], rank).map((symbol) => vocabulary.ids.get(symbol) ?? 0);
        expect([...out.toArray()]).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("merging by rank", () => {
  it("is the first-ranked leftmost merge, step by step", () => {
    const merges = fc.array(fc.tuple(fc.nat({ max: 8 }), fc.nat({ max: 8 })), { minLength: 5, maxLength: 25 });
    fc.assert(
      fc.property(merges, text, (picks, input) => {
        const texts = ["<unk>", ...LETTERS];
        const pairs: [string, string][] = [];
        for (const [l, r] of picks) {
          const left = texts[1 + (l % (texts.length - 1))];
          const right = texts[1 + (r % (texts.length - 1))];
          pairs.push([left, right]);
          if (!texts.includes(left + right)) texts.push(left + right);
        }
        const vocabulary = makeVocabulary(texts, kindsOf(texts));
        const model = new PairMergeModel({
          vocabulary,
          merges: pairs,
          byteLevel: false,
          byteFallback: false,
          ignoreMerges: false,
          unknownId: 0,
          fuseUnknown: false,
          mergesThroughOthers: false,
        });
        const ranks = new Map<string, number>();
        pairs.forEach(([left, right], i) => {
          const key = `${left} ${right}`;
          if (!ranks.has(key)) ranks.set(key, i);
        });
        const out = new IdList();
        model.encodeWord(input, out);
        const expected = naive([...input], (left, right) => ranks.get(`${left} ${right}`));
        expect([...out.toArray()]).toEqual(expected.map((symbol) => vocabulary.ids.get(symbol) ?? 0));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("cutting at space marks", () => {
  it("keeps every character and cuts only before a mark after another character", () => {
    fc.assert(
      fc.property(text, (input) => {
        const words = [...spaceMarkWords(input)];
        expect(words.join("")).toBe(input);
        for (const word of words) expect(word).toMatch(/^▁*[^▁]*$/);
        for (const word of words.slice(1)) expect(word[0]).toBe("▁");
      }),
    );
  });
});
