/**
 * Makes the benchmark's models once, in bench/cache: llamas of known shapes with seeded random weights in Q8_0, Q4_0 or
 * Q4_K, F32 norms and a made-up SentencePiece vocabulary. What they write means nothing; speed does not depend on it.
 * Run on its own: `node bench/make-model.mjs [SHAPE-FORMAT ...]`, as in 1.1b-q4_0.
 */
import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeGguf } from "./lib/gguf-writer.mjs";
import { bytesOf, FORMATS, randomBits, randomBlocks } from "./lib/random-blocks.mjs";

const CACHE = fileURLToPath(new URL("cache/", import.meta.url));
/** Raise it when the bytes of the files change, so that old ones are not used. */
const REVISION = 1;
const SEED = 20_231_004;

/**
 * TinyLlama's shape; Qwen2 0.5B's (a group of 7 heads, widths that are no powers of two) with llama's layers; and two
 * layers with the 1.1B shape's heads and groups, small enough to read 100,000 tokens.
 */
export const SHAPES = {
  "1.1b": { layers: 22, width: 2048, heads: 32, kvHeads: 4, headWidth: 64, feedForward: 5632, vocabulary: 32_000 },
  "0.5b": { layers: 24, width: 896, heads: 14, kvHeads: 2, headWidth: 64, feedForward: 4864, vocabulary: 32_000 },
  "two-layers": { layers: 2, width: 1024, heads: 16, kvHeads: 2, headWidth: 64, feedForward: 2816, vocabulary: 4_000 },
};
const TRAINED_CONTEXT = 2048;

/** Id of the first token that is neither special nor a byte. */
const FIRST_WORD = 259;

/** <unk> <s> </s>, 256 bytes, then words: all of one, two, three letters with and without the leading space. */
function vocabulary(size) {
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  const tokens = ["<unk>", "<s>", "</s>"];
  for (let byte = 0; byte < 256; byte++) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const special = FIRST_WORD;
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

function metadata(name, shape, format) {
  const { tokens, scores, types } = vocabulary(shape.vocabulary);
  return [
    ["general.architecture", "string", "llama"],
    ["general.name", "string", `random llama ${name.toUpperCase()} ${format}`],
    ["general.file_type", "u32", FORMATS[format].fileType],
    ["general.quantization_version", "u32", 2],
    ["llama.block_count", "u32", shape.layers],
    ["llama.context_length", "u32", TRAINED_CONTEXT],
    ["llama.embedding_length", "u32", shape.width],
    ["llama.feed_forward_length", "u32", shape.feedForward],
    ["llama.vocab_size", "u32", shape.vocabulary],
    ["llama.attention.head_count", "u32", shape.heads],
    ["llama.attention.head_count_kv", "u32", shape.kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", "f32", 1e-5],
    ["llama.rope.dimension_count", "u32", shape.headWidth],
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
function tensors(shape, format) {
  const { layers, width, heads, kvHeads, headWidth, feedForward } = shape;
  const next = randomBits(SEED);
  const matrix = (name, rows, cols, sigma) => ({
    name: `${name}.weight`,
    shape: [cols, rows],
    ggmlType: FORMATS[format].ggmlType,
    byteLength: bytesOf(format, rows * cols),
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
    matrix("token_embd", shape.vocabulary, width, Math.sqrt(2 * layers)),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    norm("output_norm"),
    linear("output", shape.vocabulary, width, 2),
  ];
}

function requireOne(what, all, found) {
  if (!Object.hasOwn(all, found)) {
    throw new Error(`expected a ${what} of ${Object.keys(all).join(", ")}, found '${found}'`);
  }
}

/**
 * The path of the model of this shape in this format, made if it is not there.
 * @param {keyof typeof SHAPES} shape
 * @param {keyof typeof FORMATS} format
 */
export function makeModel(shape, format) {
  requireOne("shape", SHAPES, shape);
  requireOne("format", FORMATS, format);
  const path = `${CACHE}llama-${shape}-${format}-r${REVISION}.gguf`;
  if (existsSync(path)) return path;
  mkdirSync(CACHE, { recursive: true });
  const start = performance.now();
  writeGguf(path, metadata(shape, SHAPES[shape], format), tensors(SHAPES[shape], format));
  const seconds = (performance.now() - start) / 1000;
  process.stderr.write(`Made ${path}: ${(statSync(path).size / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s\n`);
  return path;
}

/** Reads the file once, so that every load after it finds it in the page cache. */
export function warmPageCache(path) {
  const buffer = Buffer.alloc(1 << 23);
  const file = openSync(path, "r");
  while (readSync(file, buffer) > 0);
  closeSync(file);
}

/**
 * Bytes of weights that one decoded token reads (all matrices but the embedding, of which it takes one row), and bytes of
 * f16 keys and values per token of context.
 * @param {keyof typeof SHAPES} shape
 * @param {keyof typeof FORMATS} format
 */
export function bytesPerToken(shape, format) {
  const { layers, kvHeads, headWidth } = SHAPES[shape];
  const read = tensors(SHAPES[shape], format).filter(({ name }) => name !== "token_embd.weight");
  return {
    weights: read.reduce((sum, { byteLength }) => sum + byteLength, 0),
    cache: layers * kvHeads * headWidth * 2 * 2,
  };
}

/** The start token, then ordinary tokens at random. */
export function randomPrompt(length, seed, vocabulary) {
  const next = randomBits(seed);
  return Array.from({ length }, (_, i) => (i === 0 ? 1 : FIRST_WORD + (next() % (vocabulary - FIRST_WORD))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of process.argv.slice(2)) {
    const dash = name.lastIndexOf("-");
    process.stdout.write(`${makeModel(name.slice(0, dash), name.slice(dash + 1))}\n`);
  }
}
