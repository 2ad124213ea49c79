/** From text files to packed tokens: which files, which documents, and that pieces give the tokens of the whole. */
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../../src/tokenizer/create-tokenizer.js";
import { trainBytePair } from "../../../src/tokenizer/train/byte-pair.js";
import { ggufTokenizerKeys } from "../../../src/tokenizer/train/tokenizer-json.js";
import { encodedTexts, packTexts } from "../../../src/train/data/pack-texts.js";
import { PackedTokens } from "../../../src/train/data/packed-tokens.js";
import { textFiles, textPieces } from "../../../src/train/data/text-files.js";
import { tokenizerFingerprint } from "../../../src/train/data/tokenizer-fingerprint.js";
import { ArgumentError, FormatError, NotFoundError } from "../../../src/util/errors.js";
import { CHAPTER } from "../../support/chapter.js";
import { MemoryFiles } from "../../support/memory-files.js";
import { byteLevelMetadata, changed, fromMetadata } from "../../support/tiny-vocabularies.js";

const END = "<|endoftext|>";
const tokenizer = createTokenizer({
  kind: "gguf",
  metadata: ggufTokenizerKeys(await trainBytePair([CHAPTER], { vocabularySize: 500, specialTokens: [END] })),
});

async function documents(files: MemoryFiles, location: string): Promise<string[]> {
  const found = [""];
  for await (const { text, last } of textPieces(location, files)) {
    found[found.length - 1] += text;
    if (last) found.push("");
  }
  expect(found.pop()).toBe("");
  return found;
}

async function ids(files: MemoryFiles, locations: readonly string[]): Promise<number[]> {
  const all: number[] = [];
  for await (const part of encodedTexts({ files: locations, tokenizer }, files)) for (const id of part) all.push(id);
  return all;
}

describe("text files", () => {
  const files = new MemoryFiles({
    "d/b.txt": "b",
    "d/a/z.md": "z",
    "d/a/y.JSONL": '{"text":"y"}',
    "d/image.png": "no",
    "d/LICENSE": "no",
    "e/nothing.png": "no",
  });

  it("of a folder are found at all depths, in the order of names", async () => {
    expect(await textFiles("d", files)).toEqual(["d/a/y.JSONL", "d/a/z.md", "d/b.txt"]);
    expect(await textFiles("d/", files)).toEqual(["d/a/y.JSONL", "d/a/z.md", "d/b.txt"]);
  });

  it("that are named themselves may be called anything", async () => {
    expect(await textFiles("d/LICENSE", files)).toEqual(["d/LICENSE"]);
  });

  it("that aren't there are told", async () => {
    await expect(textFiles("nowhere", files)).rejects.toThrow(NotFoundError);
    await expect(textFiles("e", files)).rejects.toThrow(/\.txt, \.md, \.jsonl/);
  });

  it("may not lie in folders that go in circles", async () => {
    const circle = { list: async (path: string) => (path.endsWith(".txt") ? ("file" as const) : ["again"]) };
    await expect(textFiles("d", circle)).rejects.toThrow(FormatError);
  });
});

describe("documents", () => {
  it("are files, or the lines of a .jsonl file", async () => {
    const files = new MemoryFiles({
      "a.txt": "one\n\ntwo\n",
      "b.jsonl": '{"text":"é\\n1"}\r\n\n{"id":7,"text":""}\n{"text":"last"}',
      "c.txt": "",
    });
    expect(await documents(files, "a.txt")).toEqual(["one\n\ntwo\n"]);
    expect(await documents(files, "b.jsonl")).toEqual(["é\n1", "", "last"]);
    expect(await documents(files, "c.txt")).toEqual([""]);
    expect(files.openCount).toBe(0);
  });

  it.each([
    ["no JSON", '{"text":"a"}\n{"text":', /line 2/],
    ["no text", '{"text":"a"}\n\n{"text":7}', /line 3/],
    ["no object", '"text"', /line 1/],
  ])("of a .jsonl file with %s name the line", async (_name, content, message) => {
    const files = new MemoryFiles({ "x.jsonl": content });
    await expect(documents(files, "x.jsonl")).rejects.toThrow(message);
    await expect(documents(files, "x.jsonl")).rejects.toThrow(FormatError);
    expect(files.openCount).toBe(0);
  });

  it("that aren't UTF-8 are refused", async () => {
    await expect(documents(new MemoryFiles({ x: Uint8Array.of(65, 0xc3) }), "x")).rejects.toThrow(FormatError);
  });

  it("longer than a piece come whole, with characters across borders of reads", async () => {
    // 3 bytes a character: no megabyte ends between two. A megabyte without a place to cut follows.
    const text = `${"漢字 ".repeat(160_000)}${"x".repeat(1_200_000)}${CHAPTER.repeat(300)}`;
    const files = new MemoryFiles({ "x.txt": text, "x.jsonl": `${JSON.stringify({ text })}\n{"text":"b"}` });
    const pieces: string[] = [];
    for await (const piece of textPieces("x.txt", files)) pieces.push(piece.text);
    expect(pieces.length).toBeGreaterThan(2);
    for (const piece of pieces.slice(0, -1)) expect(piece.slice(-1)).toMatch(/[\p{L}\p{N}]/u);
    for (const piece of pieces.slice(1)) expect(piece.slice(0, 1)).toMatch(/\p{White_Space}/u);
    expect((await documents(files, "x.txt"))[0] === text).toBe(true);
    expect((await documents(files, "x.jsonl")).map((document) => document.length)).toEqual([text.length, 1]);
  });
});

it("numbers are cut too, and what has no place to cut is one piece", async () => {
  const files = new MemoryFiles({ "n.txt": "12+34=46\n".repeat(400_000), "dots.txt": ". ".repeat(2_500_000) });
  const count = async (location: string) => {
    let pieces = 0;
    for await (const _ of textPieces(location, files)) pieces++;
    return pieces;
  };
  expect(await count("n.txt")).toBeGreaterThan(2);
  expect(await count("dots.txt")).toBe(1);
});

describe("packing", () => {
  it("puts the end token behind each document, and takes a spelled one for plain text", async () => {
    const files = new MemoryFiles({ "a.txt": `x${END}`, "b.jsonl": '{"text":"y"}\n{"text":""}' });
    const plain = (text: string) => [...tokenizer.encode(text, { parseSpecial: false })];
    expect(await ids(files, ["a.txt", "b.jsonl"])).toEqual([...plain(`x${END}`), 0, ...plain("y"), 0, 0]);
    expect(plain(END)).not.toContain(0);
  });

  it("gives the tokens of the whole text, however it was cut", async () => {
    const text = CHAPTER.repeat(220).replaceAll(" the ", " the\n  ");
    const cut = await ids(new MemoryFiles({ "x.txt": text }), ["x.txt"]);
    const whole = [...tokenizer.encode(text), 0];
    expect(cut.length).toBe(whole.length);
    expect(cut.every((id, i) => id === whole[i])).toBe(true);
  });

  it("makes a file that names its tokenizer", async () => {
    const files = new MemoryFiles({ "a.txt": CHAPTER });
    const chunks: Uint8Array[] = [];
    const progress: object[] = [];
    const onProgress = (done: object) => void progress.push(done);
    for await (const chunk of packTexts({ files: ["a.txt"], tokenizer, onProgress }, files)) chunks.push(chunk);
    files.contents.set("a.tokens", Buffer.concat(chunks));
    const tokens = await PackedTokens.open(await files.open("a.tokens"));
    expect([tokens.vocabularySize, tokens.fingerprint]).toEqual([500, tokenizerFingerprint(tokenizer)]);
    expect(tokenizer.decode(await tokens.read(0, tokens.count))).toBe(CHAPTER);
    expect(progress).toEqual([{ files: 1, tokens: tokens.count }]);
  });

  it("needs an end token", async () => {
    const endless = fromMetadata(changed(byteLevelMetadata(), [["tokenizer.ggml.eos_token_id", undefined]]));
    const files = new MemoryFiles({ "a.txt": "a" });
    const read = async () => {
      for await (const _ of encodedTexts({ files: ["a.txt"], tokenizer: endless }, files));
    };
    await expect(read()).rejects.toThrow(ArgumentError);
  });

  it("fingerprints differ with tokens and with the cut, not with the object", () => {
    const print = (changes: readonly (readonly [string, unknown])[]) =>
      tokenizerFingerprint(fromMetadata(changed(byteLevelMetadata(), changes)));
    expect(print([])).toBe(print([]));
    const replaced = (key: string, from: string, to: string) => {
      const texts = byteLevelMetadata().get(key);
      if (!Array.isArray(texts)) throw new Error(`no ${key}`);
      return [key, texts.map((text) => (text === from ? to : text))] as const;
    };
    const numbers = [replaced("tokenizer.ggml.tokens", "aa", "23"), replaced("tokenizer.ggml.merges", "a a", "2 3")];
    expect(print(numbers)).not.toBe(print([]));
    expect(print([...numbers, ["tokenizer.ggml.pre", "smollm"]])).not.toBe(print(numbers));
  });
});
