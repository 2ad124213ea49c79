/**
 * Makes the benchmark's models once, in bench/cache: known shapes with seeded random weights in F32, Q8_0, Q4_0, Q4_K
 * or llama.cpp's mixture Q4_K_M, F32 norms and a made-up SentencePiece vocabulary. What they write means nothing; speed does not depend on it.
 * Run on its own: `node bench/make-model.mjs [SHAPE-FORMAT ...]`, as in 1.1b-q4_0.
 */
import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeGguf } from "./lib/gguf-writer.mjs";
import { FAMILIES } from "./lib/model-families.mjs";
import { bytesOf, FORMATS, MIXTURES, randomBits, randomBlocks } from "./lib/random-blocks.mjs";

const CACHE = fileURLToPath(new URL("cache/", import.meta.url));
/** Raise it when the bytes of the files change, so that old ones are not used. */
const REVISION = 1;
const SEED = 20_231_004;

/**
 * TinyLlama's shape; Qwen2 0.5B's (a group of 7 heads, widths that are no powers of two) with llama's layers; two layers
 * with the 1.1B shape's heads and groups, small enough to read 100,000 tokens; Pythia-160m's and Mamba-130m's.
 */
export const SHAPES = {
  "1.1b": {
    family: "llama",
    layers: 22,
    width: 2048,
    heads: 32,
    kvHeads: 4,
    headWidth: 64,
    feedForward: 5632,
    vocabulary: 32_000,
  },
  "0.5b": {
    family: "llama",
    layers: 24,
    width: 896,
    heads: 14,
    kvHeads: 2,
    headWidth: 64,
    feedForward: 4864,
    vocabulary: 32_000,
  },
  "two-layers": {
    family: "llama",
    layers: 2,
    width: 1024,
    heads: 16,
    kvHeads: 2,
    headWidth: 64,
    feedForward: 2816,
    vocabulary: 4_000,
  },
  "neox-160m": {
    family: "gptneox",
    layers: 12,
    width: 768,
    heads: 12,
    rotated: 16,
    feedForward: 3072,
    vocabulary: 50_304,
  },
  "mamba-130m": {
    family: "mamba",
    layers: 24,
    width: 768,
    inner: 1536,
    state: 16,
    convolution: 4,
    rank: 48,
    vocabulary: 50_280,
  },
};
const TRAINED_CONTEXT = 2048;
const ALL_FORMATS = { ...FORMATS, ...MIXTURES };

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
  const { family } = shape;
  return [
    ["general.architecture", "string", family],
    ["general.name", "string", `random ${family} ${name.toUpperCase()} ${format}`],
    ["general.file_type", "u32", ALL_FORMATS[format].fileType],
    ["general.quantization_version", "u32", 2],
    [`${family}.block_count`, "u32", shape.layers],
    [`${family}.context_length`, "u32", TRAINED_CONTEXT],
    [`${family}.embedding_length`, "u32", shape.width],
    [`${family}.vocab_size`, "u32", shape.vocabulary],
    ...FAMILIES[family].keys(shape).map(([key, type, value]) => [`${family}.${key}`, type, value]),
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

/** The tensors of a shape; random numbers are drawn when a tensor is written, but for vectors and small tables at once. */
function tensors(shape, format) {
  const next = randomBits(SEED);
  const matrix = (name, rows, cols, sigma) => {
    const own = MIXTURES[format]?.formatOf(name, shape.layers) ?? format;
    return {
      name: `${name}.weight`,
      shape: [cols, rows],
      ggmlType: FORMATS[own].ggmlType,
      byteLength: bytesOf(own, rows * cols),
      chunks: () => randomBlocks(own, rows * cols, sigma, next),
    };
  };
  /** f32 whatever the format: `value` of a random number from [0, 1) and the element's index. */
  const exact = (name, sizes, value) => {
    const count = sizes.reduce((product, size) => product * size, 1);
    const bytes = new Uint8Array(Float32Array.from({ length: count }, (_, i) => value(next() / 2 ** 32, i)).buffer);
    return { name, shape: sizes, ggmlType: FORMATS.f32.ggmlType, byteLength: bytes.length, chunks: () => [bytes] };
  };
  return FAMILIES[shape.family].tensors(shape, {
    matrix,
    exact,
    linear: (name, rows, cols, gain = 1) => matrix(name, rows, cols, gain / Math.sqrt(cols)),
    gains: (name, width, mean = 1) => exact(`${name}.weight`, [width], (random) => mean * (0.75 + random * 0.5)),
    biases: (name, width) => exact(`${name}.bias`, [width], (random) => 0.2 * (random - 0.5)),
  });
}

function requireOne(what, all, found) {
  if (!Object.hasOwn(all, found)) {
    throw new Error(`expected a ${what} of ${Object.keys(all).join(", ")}, found '${found}'`);
  }
}

/**
 * The path of the model of this shape in this format, made if it is not there.
 * @param {keyof typeof SHAPES} shape
 * @param {keyof typeof ALL_FORMATS} format
 */
export function makeModel(shape, format) {
  requireOne("shape", SHAPES, shape);
  requireOne("format", ALL_FORMATS, format);
  const path = `${CACHE}${SHAPES[shape].family}-${shape}-${format}-r${REVISION}.gguf`;
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
 * What one decoded token reads: bytes of weights (all matrices but an embedding that is not the head as well, of which it
 * takes one row) and of recurrent states, and bytes of f16 keys and values per token of context.
 * @param {keyof typeof SHAPES} shape
 * @param {keyof typeof ALL_FORMATS} format
 */
export function bytesPerToken(shape, format) {
  const { cacheBytes, stateBytes } = FAMILIES[SHAPES[shape].family];
  const all = tensors(SHAPES[shape], format);
  const tied = all.every(({ name }) => name !== "output.weight");
  const read = all.filter(({ name }) => tied || name !== "token_embd.weight");
  const weights = read.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { weights: weights + stateBytes(SHAPES[shape]), cache: cacheBytes(SHAPES[shape]) };
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
