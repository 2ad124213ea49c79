/**
 * A small llama with seeded random weights as training would hand it over, and a byte-level tokenizer whose merges are
 * learned naively from a text: enough to see that what Sluice exports is what other programs read.
 */
import { charOfByte } from "../../dist/tokenizer/byte-level.js";
import { randomBits } from "./random-blocks.mjs";

const SHAPE = { layers: 4, width: 256, heads: 8, kvHeads: 4, feedForward: 704, context: 1024 };
const MERGES = 300;
const SPECIAL = ["<s>", "</s>"];
const SEED = 5;

/** The words of a text as GPT-2 cuts them, as byte characters, with how often each occurs. */
function wordCounts(text) {
  const counts = new Map();
  const encoder = new TextEncoder();
  for (const [word] of text.matchAll(/'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu)) {
    const symbols = [...encoder.encode(word)].map(charOfByte).join(" ");
    counts.set(symbols, (counts.get(symbols) ?? 0) + 1);
  }
  return counts;
}

/** Merges the most frequent pair again and again. */
function learnMerges(text, most) {
  let words = [...wordCounts(text)].map(([symbols, count]) => ({ symbols: symbols.split(" "), count }));
  const merges = [];
  while (merges.length < most) {
    const pairs = new Map();
    for (const { symbols, count } of words) {
      for (let i = 1; i < symbols.length; i++) {
        const pair = `${symbols[i - 1]} ${symbols[i]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    }
    const [best, count] = [...pairs].reduce((a, b) => (b[1] > a[1] ? b : a), ["", 1]);
    if (count < 2) break;
    merges.push(best);
    words = words.map((word) => ({ ...word, symbols: merged(word.symbols, best) }));
  }
  return merges;
}

function merged(symbols, pair) {
  const result = [];
  for (let i = 0; i < symbols.length; i++) {
    if (i + 1 < symbols.length && `${symbols[i]} ${symbols[i + 1]}` === pair) result.push(symbols[i] + symbols[++i]);
    else result.push(symbols[i]);
  }
  return result;
}

/** `tokenizer.ggml.*` of a byte-level vocabulary. */
export function byteLevelKeys(text) {
  const merges = learnMerges(text, MERGES);
  const bytes = Array.from({ length: 256 }, (_, byte) => charOfByte(byte));
  const tokens = [...bytes, ...merges.map((pair) => pair.replace(" ", "")), ...SPECIAL];
  const first = tokens.length - SPECIAL.length;
  return new Map([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "gpt-2"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", Int32Array.from(tokens, (_, id) => (id < first ? 1 : 3))],
    ["tokenizer.ggml.merges", merges],
    ["tokenizer.ggml.bos_token_id", first],
    ["tokenizer.ggml.eos_token_id", first + 1],
    ["tokenizer.ggml.add_bos_token", false],
  ]);
}

/** @returns {import("../../src/train/export/trained-model.js").TrainedModel} */
export function randomLlama(vocabulary) {
  const { layers, width, heads, kvHeads, feedForward, context } = SHAPE;
  const next = randomBits(SEED);
  const uniform = () => next() / 2 ** 31 - 1;
  const tensor = (name, rows, cols, value) => {
    const values = Float32Array.from({ length: rows * cols }, value);
    return { name: `${name}.weight`, rows, cols, exact: rows === 1, read: () => values };
  };
  const gains = (name) => tensor(name, 1, width, () => 1 + 0.3 * uniform());
  // 2.4 / sqrt(cols): outputs somewhat larger than inputs, so that every part matters and logits spread.
  const matrix = (name, rows, cols, gain = 2.4) => tensor(name, rows, cols, () => (gain / Math.sqrt(cols)) * uniform());
  const kvWidth = (width / heads) * kvHeads;
  const block = (name) => [
    gains(`${name}.attn_norm`),
    matrix(`${name}.attn_q`, width, width),
    matrix(`${name}.attn_k`, kvWidth, width),
    matrix(`${name}.attn_v`, kvWidth, width),
    matrix(`${name}.attn_output`, width, width),
    gains(`${name}.ffn_norm`),
    matrix(`${name}.ffn_gate`, feedForward, width),
    matrix(`${name}.ffn_up`, feedForward, width),
    matrix(`${name}.ffn_down`, width, feedForward),
  ];
  return {
    architecture: "llama",
    metadata: new Map([
      ["general.name", "random llama"],
      ["llama.block_count", layers],
      ["llama.context_length", context],
      ["llama.embedding_length", width],
      ["llama.feed_forward_length", feedForward],
      ["llama.attention.head_count", heads],
      ["llama.attention.head_count_kv", kvHeads],
      ["llama.attention.layer_norm_rms_epsilon", 1e-5],
      ["llama.rope.freq_base", 10_000],
    ]),
    tensors: [
      matrix("token_embd", vocabulary, width, 16),
      ...Array.from({ length: layers }, (_, layer) => block(`blk.${layer}`)).flat(),
      gains("output_norm"),
      matrix("output", vocabulary, width, 3),
    ],
    tokenizer: undefined,
  };
}
