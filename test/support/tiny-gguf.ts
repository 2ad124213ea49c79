/** A tiny random llama as a GGUF file with a SentencePiece vocabulary and a chat template, for tests of the whole way. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DType } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import { type GgufTensorSpec, type GgufValue, writeGguf } from "./write-gguf.js";

const SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"];
const PIECES = [
  "▁",
  "▁the",
  "▁a",
  "he",
  "th",
  "in",
  "er",
  "an",
  "on",
  "▁t",
  "s",
  "t",
  "h",
  "e",
  "a",
  "o",
  "n",
  "i",
  "r",
  "l",
  "d",
  "\n",
  "user",
  "assistant",
];
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
export const TINY_TOKENS = [...SPECIAL, ...BYTES, ...PIECES];

/** ChatML, as many models have it. */
export const TINY_TEMPLATE =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const HEADS = 4;
const KV_HEADS = 2;

/** Sizes that may be larger. */
export interface TinySize {
  readonly width: number;
  readonly hidden: number;
  readonly layers: number;
  /** Of the matrices. */
  readonly dtype: DType;
}
const TINY: TinySize = { width: 32, hidden: 48, layers: 2, dtype: "f32" };

export interface TinyOptions {
  readonly seed?: number;
  readonly size?: TinySize;
  /** Replaces or (undefined) removes metadata. */
  readonly metadata?: Readonly<Record<string, GgufValue | undefined>>;
  /** Names of tensors to leave out. */
  readonly without?: readonly string[];
  /** Names of matrices that hold zeros. */
  readonly zeros?: RegExp;
  /** Other shapes for tensors. */
  readonly shapes?: Readonly<Record<string, readonly [number, number]>>;
  /** Changes tensors before they are written. */
  readonly edit?: (tensor: GgufTensorSpec) => GgufTensorSpec;
}

export function tinyGguf(options: TinyOptions = {}): Uint8Array {
  const random = new Random(options.seed ?? 1);
  const { width, hidden, layers, dtype } = options.size ?? TINY;
  const tensor = (name: string, rows: number, cols: number): GgufTensorSpec => {
    const [r, c] = options.shapes?.[name] ?? [rows, cols];
    const zero = options.zeros?.test(name);
    const values = Float32Array.from({ length: r * c }, () =>
      r === 1 ? 1 : zero ? 0 : (random.double() - 0.5) * (5 / Math.sqrt(c)),
    );
    return { name, dtype: r === 1 ? "f32" : dtype, rows: r, cols: c, values };
  };
  const blocks = Array.from({ length: layers }, (_, i) => [
    tensor(`blk.${i}.attn_norm.weight`, 1, width),
    tensor(`blk.${i}.attn_q.weight`, width, width),
    tensor(`blk.${i}.attn_k.weight`, (width / HEADS) * KV_HEADS, width),
    tensor(`blk.${i}.attn_v.weight`, (width / HEADS) * KV_HEADS, width),
    tensor(`blk.${i}.attn_output.weight`, width, width),
    tensor(`blk.${i}.ffn_norm.weight`, 1, width),
    tensor(`blk.${i}.ffn_gate.weight`, hidden, width),
    tensor(`blk.${i}.ffn_up.weight`, hidden, width),
    tensor(`blk.${i}.ffn_down.weight`, width, hidden),
  ]);
  const tensors = [
    tensor("token_embd.weight", TINY_TOKENS.length, width),
    ...blocks.flat(),
    tensor("output_norm.weight", 1, width),
    tensor("output.weight", TINY_TOKENS.length, width),
  ].filter(({ name }) => !options.without?.includes(name));
  const { edit = (same) => same } = options;
  return writeGguf({ metadata: metadataOf(options), tensors: tensors.map(edit) });
}

function metadataOf({ size = TINY, metadata: changes = {} }: TinyOptions): Record<string, GgufValue> {
  const kinds = TINY_TOKENS.map((_, id) =>
    id === 0 ? 2 : id < SPECIAL.length ? 3 : id < SPECIAL.length + 256 ? 6 : 1,
  );
  const all: Record<string, GgufValue | undefined> = {
    "general.architecture": "llama",
    "general.name": "tiny",
    "llama.block_count": size.layers,
    "llama.context_length": 64,
    "llama.embedding_length": size.width,
    "llama.feed_forward_length": size.hidden,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": TINY_TOKENS,
    "tokenizer.ggml.scores": Float32Array.from(TINY_TOKENS, (_, id) => -id),
    "tokenizer.ggml.token_type": Int32Array.from(kinds),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": TINY_TEMPLATE,
    ...changes,
  };
  return Object.fromEntries(Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

/** Writes it to a temporary file. */
export function tinyFile(options: TinyOptions = {}): string {
  const path = join(mkdtempSync(join(tmpdir(), "sluice-")), "tiny.gguf");
  writeFileSync(path, tinyGguf(options));
  return path;
}
