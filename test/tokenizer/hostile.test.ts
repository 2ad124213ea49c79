/** Tokenizers and texts that would take for ever, or all memory: bounded, with typed errors; and work that is cancelled ends. */
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { CancelledError, FormatError, SluiceError, UnsupportedError } from "../../src/util/errors.js";
import { byteLevelMetadata, fromMetadata, hfJson, scoreMergeMetadata } from "../support/tiny-vocabularies.js";

const fromJson = (changes: Record<string, unknown>): Tokenizer =>
  createTokenizer({ kind: "hf", tokenizerJson: hfJson(changes), tokenizerConfig: {}, specialTokensMap: {} });
const splitBy = (expression: string) =>
  fromJson({ pre_tokenizer: { type: "Split", pattern: { Regex: expression }, behavior: "Isolated", invert: false } });

describe("expressions that try for ever", () => {
  it.each([
    ["(a+)+$", `${"a".repeat(60)}b`],
    ["(a|a)*$", `${"a".repeat(60)}b`],
    ["(a|aa)+$", `${"a".repeat(80)}b`],
    ["(?>(a+)+b)", "a".repeat(60)],
    ["(?=(a+)+$)x", `${"a".repeat(60)}b`],
    ["(?:(?:(?:a*)*)*)*b", "a".repeat(60)],
    ["(.*)*=(.*)*=", "x".repeat(200)],
    ["a*a*a*a*a*a*b", "a".repeat(2000)],
    ["\\s+$", `${" ".repeat(200_000)}x`],
  ])("%s is an UnsupportedError that shows it", (expression, text) => {
    expect(() => splitBy(expression).encode(text)).toThrow(UnsupportedError);
    expect(() => splitBy(expression).encode(text)).toThrow(/still looking for its next match/);
  });

  it.each([
    ["(a+)+$", "a".repeat(200)],
    ["(?>a+)b|a", "a".repeat(2000)],
    ["((a+)+)++b", "a".repeat(60)],
    ["(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+", "word ".repeat(5000)],
    ["(?:)*", "abc"],
    ["(a?)*b", "aab"],
  ])("%s on a text that suits it is none", (expression, text) => {
    const tokenizer = splitByBytes(expression);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it.each([
    ["too long", "a".repeat(20_000), FormatError],
    ["too deep", `${"(".repeat(3000)}a${")".repeat(3000)}`, SluiceError],
    ["too often", "(?:(?:a{1000}){1000}){1000}", UnsupportedError],
    ["unclosed", "(a", FormatError],
    ["a lookbehind of any length", "(?<=a+)b", SluiceError],
  ])("one that is %s is refused", (_name, expression, kind) => {
    expect(() => splitBy(expression)).toThrow(kind);
  });
});

describe("texts that grow", () => {
  it("thirty doublings are refused before they fill the memory", () => {
    const doubling = { type: "Replace", pattern: { String: "a" }, content: "aa" };
    const tokenizer = fromJson({ normalizer: { type: "Sequence", normalizers: Array(30).fill(doubling) } });
    expect(() => tokenizer.encode("a")).toThrow(/normalizer makes \d+ characters/);
    const once = fromJson({ normalizer: { type: "Replace", pattern: { String: "a" }, content: "b".repeat(1 << 22) } });
    expect(() => once.encode("aaaa")).toThrow(UnsupportedError);
  });

  it("sequences within sequences without end are a FormatError", () => {
    let nested: object = { type: "NFC" };
    for (let i = 0; i < 1000; i++) nested = { type: "Sequence", normalizers: [nested] };
    expect(() => fromJson({ normalizer: nested })).toThrow(FormatError);
    const many = { type: "Sequence", normalizers: Array(5000).fill({ type: "NFC" }) };
    expect(() => fromJson({ normalizer: many })).toThrow(FormatError);
  });
});

const CL100K =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

describe("long texts", () => {
  const tokenizers: readonly (readonly [string, () => Tokenizer])[] = [
    ["tokenizer.json", () => fromJson({})],
    ["tokenizer.json with cl100k's expression", () => splitByBytes(CL100K)],
    ["GGUF, byte level", () => fromMetadata(byteLevelMetadata())],
    ["GGUF, scores", () => fromMetadata(scoreMergeMetadata([["tokenizer.ggml.add_bos_token", false]]))],
  ];
  const texts: readonly (readonly [string, string])[] = [
    ["one letter", "a".repeat(300_000)],
    ["no spaces", "abcth".repeat(60_000)],
    ["spaces", " ".repeat(300_000)],
    ["line ends", "\n".repeat(300_000)],
    ["spaces, then a letter", `${" ".repeat(300_000)}a`],
  ];

  // A quadratic search takes minutes at this length.
  it.each(tokenizers)("%s reads them in linear time", { timeout: 60_000 }, (_name, make) => {
    const tokenizer = make();
    for (const [, text] of texts) {
      expect(tokenizer.decode(tokenizer.encode(text, { addSpecial: false }))).toBe(text);
    }
  });

  it.each(tokenizers)("%s: what check throws ends the work", (_name, make) => {
    const tokenizer = make();
    for (const [name, text] of texts) {
      let calls = 0;
      const check = () => {
        calls++;
        if (calls === 3) throw new CancelledError("enough");
      };
      expect(() => tokenizer.encode(text, { check }), name).toThrow(CancelledError);
    }
  });
});

function splitByBytes(expression: string): Tokenizer {
  const split = { type: "Split", pattern: { Regex: expression }, behavior: "Isolated", invert: false };
  const bytes = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  return fromJson({ pre_tokenizer: { type: "Sequence", pretokenizers: [split, bytes] } });
}
