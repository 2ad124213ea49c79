/**
 * Ids that llama.cpp gives under every name of `tokenizer.ggml.pre`, for the tests of src/tokenizer: a vocabulary of
 * ../shared/vocab is rewritten to each name and encodes the texts of its test and of `lib/odd-texts.json`. Kept are hashes
 * of the ids, one for each text, names with the same ones together. Run from the root, after `npm run build`.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPeer } from "./lib/install.mjs";
import { readOptions } from "./lib/options.mjs";

const HELP = `Usage: node bench/pre-tokenizer-vectors.mjs [options]

  --shared FOLDER     where the vocabularies lie (../shared/vocab)
  --out FILE          the table (test/tokenizer/data/pre-tokenizer-vectors.json)
`;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Names by vocabulary: byte-level ones make sense of byte-level vocabularies alone. */
async function namesByVocabulary() {
  const { PRE_TOKENIZER_NAMES, preTokenizer } = await import("../dist/tokenizer/index.js");
  const byteLevel = PRE_TOKENIZER_NAMES.filter((name) => preTokenizer(name).byteLevel);
  const others = PRE_TOKENIZER_NAMES.filter((name) => !byteLevel.includes(name));
  return { "gpt-2": byteLevel, "deepseek-llm": byteLevel, "gemma-4": others };
}

/** FNV-1a of the ids, in 32 bits. */
function hash(ids) {
  let sum = 0x811c9dc5;
  for (const id of ids) {
    for (let shift = 0; shift < 32; shift += 8) sum = Math.imul(sum ^ ((id >>> shift) & 0xff), 0x01000193);
  }
  return (sum >>> 0).toString(36);
}

async function openLlama() {
  installPeer();
  const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");
  return getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
}

/** The ids of all texts under one name. The kind "gemma4" stands for its own name whatever the key says. */
async function hashesOf(llama, modelPath, name, texts) {
  const ggml = { pre: name, model: name === "gemma4" ? "gemma4" : "gpt2" };
  const model = await llama.loadModel({
    modelPath,
    gpuLayers: 0,
    vocabOnly: true,
    metadataOverrides: { tokenizer: { ggml } },
  });
  try {
    return texts.map((text) => hash(model.tokenize(text, false)));
  } finally {
    await model.dispose();
  }
}

/** In a process of its own: writes a line for each name, and dies with llama.cpp where a text isn't one for a name. */
async function encodeAll(file, names) {
  const texts = textsOf(file);
  const llama = await openLlama();
  for (const name of names) process.stdout.write(`ids ${(await hashesOf(llama, file, name, texts)).join(" ")}\n`);
  await llama.dispose();
}

function textsOf(file) {
  const odd = JSON.parse(readFileSync(here("lib/odd-texts.json"), "utf8"));
  return [...readFileSync(`${file}.inp`, "utf8").split("\n__ggml_vocab_test__\n").slice(0, -1), ...odd];
}

/** The rows of all names; a name on which llama.cpp aborts is left out, and said. */
function inChildren(file, names) {
  const rows = {};
  for (let left = names; left.length > 0; ) {
    const child = spawnSync(
      process.execPath,
      [here("pre-tokenizer-vectors.mjs"), "--file", file, "--names", left.join(" ")],
      { encoding: "utf8", maxBuffer: 1 << 28 },
    );
    // llama.cpp writes there too.
    const lines = child.stdout.split("\n").filter((line) => line.startsWith("ids "));
    lines.forEach((line, i) => {
      rows[left[i]] = line.slice(4);
    });
    if (lines.length < left.length) process.stderr.write(`${left[lines.length]}: llama.cpp aborts on these texts\n`);
    left = left.slice(lines.length + 1);
  }
  return rows;
}

/** {name: row} as {"name name ...": row}. */
function grouped(rows) {
  const names = new Map();
  for (const [name, row] of Object.entries(rows)) names.set(row, [...(names.get(row) ?? []), name]);
  return Object.fromEntries([...names].map(([row, same]) => [same.join(" "), row]));
}

async function main() {
  const values = readOptions(HELP, {
    names: { type: "string" },
    file: { type: "string" },
    shared: { type: "string", default: here("../../shared/vocab") },
    out: { type: "string", default: here("../test/tokenizer/data/pre-tokenizer-vectors.json") },
  });
  if (values.file !== undefined) return encodeAll(values.file, values.names.split(" "));
  const table = {};
  for (const [vocabulary, names] of Object.entries(await namesByVocabulary())) {
    table[vocabulary] = grouped(inChildren(join(values.shared, `ggml-vocab-${vocabulary}.gguf`), names));
  }
  writeFileSync(values.out, `${JSON.stringify(table, undefined, 1)}\n`);
}

await main();
