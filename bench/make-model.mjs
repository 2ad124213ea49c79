/**
 * Makes the benchmark's models once, in bench/cache: llama of TinyLlama's 1.1B shape with seeded random weights in Q8_0 or
 * Q4_0, F32 norms and a made-up SentencePiece vocabulary. What they write means nothing; speed does not depend on it.
 * Run on its own: `node bench/make-model.mjs [q8_0] [q4_0]`.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeGguf } from "./lib/gguf-writer.mjs";
import { FORMATS, randomBits, randomBlocks } from "./lib/random-blocks.mjs";

const CACHE = fileURLToPath(new URL("cache/", import.meta.url));
/** Raise it when the bytes of the files change, so that old ones are not used. */
const REVISION = 1;
const SEED = 20_231_004;

export const SHAPE = {
  layers: 22,
  width: 2048,
  heads: 32,
  kvHeads: 4,
  headWidth: 64,
  feedForward: 5632,
  vocabulary: 32_000,
  context: 2048,
};

/** <unk> <s> </s>, 256 bytes, then words: all of one, two, three letters with and without the leading space. */
function vocabulary(size) {
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const tokens = ["<unk>", "<s>", "</s>"];
  for (let byte = 0; byte < 256; byte++) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const special = tokens.length;
  tokens.push("▁");
  let words = [""];
  while (tokens.length < size) {
    words = words.flatMap((word) => letters.map((letter) => word + letter));
    for (const word of words) tokens.push(`▁${word}`, word);
  }
  tokens.length = size;
  const scores = tokens.map((_, id) => (id < special ? 0 : special - id));
  const types = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < special ? 6 : 1));
  return { tokens, scores, types };
}

function metadata(format) {
  const { tokens, scores, types } = vocabulary(SHAPE.vocabulary);
  return [
    ["general.architecture", "string", "llama"],
    ["general.name", "string", `random llama 1.1B ${format}`],
    ["general.file_type", "u32", FORMATS[format].fileType],
    ["general.quantization_version", "u32", 2],
    ["llama.block_count", "u32", SHAPE.layers],
    ["llama.context_length", "u32", SHAPE.context],
    ["llama.embedding_length", "u32", SHAPE.width],
    ["llama.feed_forward_length", "u32", SHAPE.feedForward],
    ["llama.vocab_size", "u32", SHAPE.vocabulary],
    ["llama.attention.head_count", "u32", SHAPE.heads],
    ["llama.attention.head_count_kv", "u32", SHAPE.kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", "f32", 1e-5],
    ["llama.rope.dimension_count", "u32", SHAPE.headWidth],
    ["llama.rope.freq_base", "f32", 10_000],
    ["tokenizer.ggml.model", "string", "llama"],
    ["tokenizer.ggml.tokens", "string[]", tokens],
    ["tokenizer.ggml.scores", "f32[]", scores],
    ["tokenizer.ggml.token_type", "i32[]", types],
    ["tokenizer.ggml.bos_token_id", "u32", 1],
    ["tokenizer.ggml.eos_token_id", "u32", 2],
    ["tokenizer.ggml.unknown_token_id", "u32", 0],
    ["tokenizer.ggml.add_bos_token", "bool", true],
    ["tokenizer.ggml.add_eos_token", "bool", false],
  ];
}

/**
 * Deviations keep every branch near one: 1/sqrt(inputs). The embedding is larger by sqrt(2 * layers), so that no branch
 * drowns it (scaling the branches down instead would make their f16 scales subnormal, unlike a trained model's).
 */
function tensors(format) {
  const { layers, width, heads, kvHeads, headWidth, feedForward } = SHAPE;
  const next = randomBits(SEED);
  const matrix = (name, rows, cols, sigma) => ({
    name: `${name}.weight`,
    shape: [cols, rows],
    ggmlType: FORMATS[format].ggmlType,
    byteLength: ((rows * cols) / 32) * FORMATS[format].blockBytes,
    chunks: () => randomBlocks(format, rows * cols, sigma, next),
  });
  const linear = (name, rows, cols, gain = 1) => matrix(name, rows, cols, gain / Math.sqrt(cols));
  const norm = (name) => {
    const gains = Float32Array.from({ length: width }, () => 0.75 + (next() / 2 ** 32) * 0.5);
    const bytes = new Uint8Array(gains.buffer);
    return { name: `${name}.weight`, shape: [width], ggmlType: 0, byteLength: bytes.length, chunks: () => [bytes] };
  };
  const layer = (index) => [
    norm(`blk.${index}.attn_norm`),
    linear(`blk.${index}.attn_q`, heads * headWidth, width),
    linear(`blk.${index}.attn_k`, kvHeads * headWidth, width),
    linear(`blk.${index}.attn_v`, kvHeads * headWidth, width),
    linear(`blk.${index}.attn_output`, width, heads * headWidth),
    norm(`blk.${index}.ffn_norm`),
    linear(`blk.${index}.ffn_gate`, feedForward, width),
    linear(`blk.${index}.ffn_up`, feedForward, width),
    linear(`blk.${index}.ffn_down`, width, feedForward),
  ];
  return [
    matrix("token_embd", SHAPE.vocabulary, width, Math.sqrt(2 * layers)),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    norm("output_norm"),
    linear("output", SHAPE.vocabulary, width, 2),
  ];
}

/**
 * The path of the model in this format, made if it is not there.
 * @param {"q8_0" | "q4_0"} format
 */
export function makeModel(format) {
  if (!Object.hasOwn(FORMATS, format)) {
    throw new Error(`expected a format of ${Object.keys(FORMATS).join(", ")}, found '${format}'`);
  }
  const path = `${CACHE}llama-1.1b-${format}-r${REVISION}.gguf`;
  if (existsSync(path)) return path;
  mkdirSync(CACHE, { recursive: true });
  const start = performance.now();
  writeGguf(path, metadata(format), tensors(format));
  const seconds = (performance.now() - start) / 1000;
  process.stderr.write(`Made ${path}: ${(statSync(path).size / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s\n`);
  return path;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv.slice(2);
  for (const format of wanted.length > 0 ? wanted : Object.keys(FORMATS))
    process.stdout.write(`${makeModel(format)}\n`);
}
