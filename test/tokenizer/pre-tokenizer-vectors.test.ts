/**
 * Every name of `tokenizer.ggml.pre` against llama.cpp: hashes of the ids of 46 + 34 texts, made by
 * bench/pre-tokenizer-vectors.mjs with the vocabularies of ../shared/vocab rewritten to each name.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import { PRE_TOKENIZER_NAMES } from "../../src/tokenizer/pre-tokenizers.js";
import { hasShared, sharedMetadata, vectorTexts } from "../support/shared-vocabularies.js";
import { changed } from "../support/tiny-vocabularies.js";

const json = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
const table = new Map(
  Object.entries(Object(json("data/pre-tokenizer-vectors.json"))).map(([vocabulary, rows]) => [
    vocabulary,
    Object.entries(Object(rows)).flatMap(([names, row]) =>
      names.split(" ").map((name) => [name, String(row).split(" ")] as const),
    ),
  ]),
);
const ODD_TEXTS = texts(json("../../bench/lib/odd-texts.json"));

/** FNV-1a of the ids, in 32 bits. */
function hash(ids: Iterable<number>): string {
  let sum = 0x811c9dc5;
  for (const id of ids) {
    for (let shift = 0; shift < 32; shift += 8) sum = Math.imul(sum ^ ((id >>> shift) & 0xff), 0x01000193);
  }
  return (sum >>> 0).toString(36);
}

it("the table has every name but those that llama.cpp aborts on here", () => {
  const names = new Set([...table.values()].flatMap((rows) => rows.map(([name]) => name)));
  expect(PRE_TOKENIZER_NAMES.filter((name) => !names.has(name))).toEqual(["granite-embed-multi-311m", "whitespace"]);
  expect(names.size).toBe(88);
});

describe.skipIf(!hasShared).each([...table])("%s (../shared/vocab)", (vocabulary, rows) => {
  it.each(rows)("%s gives llama.cpp's ids", async (name, hashes) => {
    const metadata = await sharedMetadata(`vocab/ggml-vocab-${vocabulary}.gguf`);
    const kind = vocabulary === "gemma-4" && name !== "gemma4" ? "gpt2" : metadata.get("tokenizer.ggml.model");
    const renamed = changed(metadata, [
      ["tokenizer.ggml.pre", name],
      ["tokenizer.ggml.model", kind],
    ]);
    const tokenizer = createTokenizer({ kind: "gguf", metadata: renamed });
    const all = [...vectorTexts(vocabulary), ...ODD_TEXTS];
    const found = all.map((text) => hash(tokenizer.encode(text, { addSpecial: false, parseSpecial: false })));
    expect(all.filter((_, i) => found[i] !== hashes[i])).toEqual([]);
    expect(found).toHaveLength(hashes.length);
  });
});
