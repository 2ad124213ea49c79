/** Real vocabularies and texts of ../shared for the tokenizer's tests, read through our own GGUF reader. */
import { existsSync, readFileSync } from "node:fs";
import { readGguf } from "../../src/formats/gguf.js";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.js";
import type { ByteSource } from "../../src/util/platform.js";

const SHARED = new URL("../../../shared/", import.meta.url);

/** Whether ../shared is there; tests that need it skip visibly otherwise. */
export const hasShared = existsSync(new URL("vocab/", SHARED));

export const VOCABULARIES = [
  "llama-spm",
  "phi-3",
  "gpt-2",
  "mpt",
  "falcon",
  "starcoder",
  "deepseek-llm",
  "gemma-4",
  "bert-bge",
] as const;

export type VocabularyName = (typeof VOCABULARIES)[number];

export function sharedText(path: string): string {
  return readFileSync(new URL(path, SHARED), "utf8");
}

export function sharedJson(path: string): unknown {
  return JSON.parse(sharedText(path));
}

/** Metadata of a GGUF file of ../shared. */
export async function sharedMetadata(path: string): Promise<ReadonlyMap<string, unknown>> {
  const bytes = readFileSync(new URL(path, SHARED));
  const source: ByteSource = {
    name: path,
    size: bytes.length,
    read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
    close: async () => {},
  };
  return (await readGguf(source)).metadata;
}

export async function ggufTokenizer(path: string): Promise<Tokenizer> {
  return createTokenizer({ kind: "gguf", metadata: await sharedMetadata(path) });
}

const loaded = new Map<VocabularyName, Promise<Tokenizer>>();

/** The tokenizer of a vocabulary of ../shared/vocab; built once. */
export function vocabularyTokenizer(name: VocabularyName): Promise<Tokenizer> {
  const known = loaded.get(name);
  if (known) return known;
  const tokenizer = ggufTokenizer(`vocab/ggml-vocab-${name}.gguf`);
  loaded.set(name, tokenizer);
  return tokenizer;
}

/** The 46 texts of a vocabulary's test. */
export function vectorTexts(name: string): string[] {
  return sharedText(`vocab/ggml-vocab-${name}.gguf.inp`).split("\n__ggml_vocab_test__\n").slice(0, -1);
}

/** The 46 texts of a vocabulary's test and the ids that llama.cpp gives them. */
export function vectors(name: VocabularyName): { readonly text: string; readonly ids: readonly number[] }[] {
  const texts = vectorTexts(name);
  const lines = sharedText(`vocab/ggml-vocab-${name}.gguf.out`).split("\n");
  return texts.map((text, i) => ({
    text,
    ids: lines[i].trim() === "" ? [] : lines[i].trim().split(/\s+/).map(Number),
  }));
}
