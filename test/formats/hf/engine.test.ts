/** Every architecture through the whole engine: from its Hugging Face folder the same log-probabilities as from GGUF. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadLocal } from "../../../src/engine/loading/load-local.js";
import { readHfConfig } from "../../../src/formats/hf/config.js";
import { Random } from "../../../src/util/random.js";
import { byteLevelMetadata, hfJson } from "../../support/tiny-vocabularies.js";
import type { GgufValue } from "../../support/write-gguf.js";
import { ggufOf, hfFolderOf, type Twin } from "./twin.js";
import { TWINS, tinyModel } from "./twins.js";

/** As many as the tokenizer has, and some. */
const VOCABULARY = 268;
const TOKENS = 24;

/** Where numbers are rounded twice (GGUF has floats of 32 bits), or dot products are summed in another order. */
const ROUNDED = /^(llama|gemma|mamba|jamba|phi3-longrope)/;

function write(name: string, twin: Twin): { readonly gguf: string; readonly hf: string } {
  const folder = mkdtempSync(join(tmpdir(), "sluice-twin-"));
  const keys = { ...twin.keys, vocab_size: VOCABULARY };
  const { tensors, all, more } = tinyModel(name, twin, keys);
  const hf = join(folder, "hf");
  mkdirSync(hf);
  const files = hfFolderOf(twin, keys, tensors, more);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(hf, file), content);
  writeFileSync(join(hf, "tokenizer.json"), JSON.stringify(hfJson()));
  const { metadata } = readHfConfig(JSON.parse(String(files["config.json"])), undefined, "config.json");
  const vocabulary = Object.fromEntries(byteLevelMetadata()) as Record<string, GgufValue>;
  const activation = metadata.get(`${twin.architecture}.hidden_act`);
  const gguf = join(folder, "m.gguf");
  writeFileSync(gguf, ggufOf(twin, keys, all, activation, vocabulary));
  return { gguf, hf };
}

async function logprobs(location: string, tokens: readonly number[], source: readonly number[] | undefined) {
  const model = await loadLocal(location, { backend: "reference" });
  const session = model.session({ context: "full", kv: "f32", ...(source && { source }) });
  const all: number[] = [];
  for await (const part of session.score(tokens)) all.push(...part.logprobs);
  await session.dispose();
  await model.dispose();
  return all;
}

test.each(TWINS)("%s", async (name, twin) => {
  const random = new Random(3);
  const tokens = Array.from({ length: TOKENS }, () => random.below(250));
  const source = twin.architecture === "t5" ? tokens.slice(3, 14) : undefined;
  const { gguf, hf } = write(name, twin);
  const expected = await logprobs(gguf, tokens, source);
  const found = await logprobs(hf, tokens, source);
  expect(expected.length).toBe(TOKENS - 1);
  // A model that says nothing would agree with anything.
  expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(0.1);
  const worst = Math.max(...found.map((value, i) => Math.abs(value - expected[i])));
  expect(worst).toBeLessThanOrEqual(ROUNDED.test(name) ? 2e-5 : 0);
});
