/** Small made-up vocabularies of each kind, so that the tokenizer's tests also run without ../shared. */
import { charOfByte, toByteLevel } from "../../src/tokenizer/byte-level.js";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.js";

type Entries = readonly (readonly [string, unknown])[];

const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0");
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** Metadata with some keys replaced; undefined takes a key out. */
export function changed(metadata: ReadonlyMap<string, unknown>, changes: Entries): ReadonlyMap<string, unknown> {
  const copy = new Map(metadata);
  for (const [key, value] of changes) {
    if (value === undefined) copy.delete(key);
    else copy.set(key, value);
  }
  return copy;
}

/** SentencePiece BPE: special tokens, byte tokens, pieces with scores (several with the same), two added ones. */
export function scoreMergeMetadata(changes: Entries = []): ReadonlyMap<string, unknown> {
  const pieces: [string, number][] = [
    ["▁", -3],
    ["a", -4],
    ["b", -4],
    ["c", -5],
    ["e", -6],
    ["h", -6],
    ["t", -6],
    ["é", -7],
    ["ab", -1],
    ["aa", -1],
    ["bc", -1],
    ["abc", -2],
    ["aab", -2],
    ["▁a", -2],
    ["th", -1],
    ["▁th", -1],
    ["▁the", -0.5],
    ["<s", -1],
    ["<", -9],
    ["s", -9],
    [">", -9],
  ];
  const tokens = ["<unk>", "<s>", "</s>", ...BYTES.map((b) => `<0x${hex(b)}>`), ...pieces.map(([text]) => text)];
  const scores = [0, 0, 0, ...BYTES.map(() => 0), ...pieces.map(([, score]) => score)];
  const types = [2, 3, 3, ...BYTES.map(() => 6), ...pieces.map(() => 1)];
  tokens.push("<|im_start|>", "<|im_end|>", "<think>");
  scores.push(0, 0, 0);
  types.push(3, 3, 4);
  const entries: Entries = [
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.scores", Float32Array.from(scores)],
    ["tokenizer.ggml.token_type", Int32Array.from(types)],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.chat_template", CHATML],
  ];
  return changed(new Map(entries), changes);
}

/** Byte-level BPE: 256 byte characters, a few merges, special and added tokens. */
export function byteLevelMetadata(changes: Entries = []): ReadonlyMap<string, unknown> {
  const pairs = [
    ["t", "h"],
    ["th", "e"],
    [" ", "the"],
    ["a", "a"],
    ["a", "b"],
  ] as const;
  const merges = pairs.map(([left, right]) => `${toByteLevel(left)} ${toByteLevel(right)}`);
  const merged = pairs.map(([left, right]) => toByteLevel(left + right));
  const tokens = [...BYTES.map(charOfByte), ...merged, "<|endoftext|>", "<|im_start|>", "<|im_end|>", "  "];
  const types = [...BYTES.map(() => 1), ...merged.map(() => 1), 3, 3, 3, 4];
  const entries: Entries = [
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "gpt-2"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", Int32Array.from(types)],
    ["tokenizer.ggml.merges", merges],
    ["tokenizer.ggml.bos_token_id", 256 + merged.length],
    ["tokenizer.ggml.eos_token_id", 256 + merged.length],
    ["tokenizer.chat_template", CHATML],
  ];
  return changed(new Map(entries), changes);
}

/** WordPiece as GGUF spells it. */
export function wordPieceMetadata(changes: Entries = []): ReadonlyMap<string, unknown> {
  const tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁the", "▁cat", "s", "▁.", "▁t", "h", "▁e", "▁漢"];
  const entries: Entries = [
    ["tokenizer.ggml.model", "bert"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", Int32Array.from(tokens, (_, id) => (id < 4 ? 3 : 1))],
    ["tokenizer.ggml.unknown_token_id", 1],
    ["tokenizer.ggml.cls_token_id", 2],
    ["tokenizer.ggml.seperator_token_id", 3],
  ];
  return changed(new Map(entries), changes);
}

export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export function fromMetadata(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  return createTokenizer({ kind: "gguf", metadata });
}

/** A tokenizer.json of the byte-level kind, with parts replaced. */
export function hfJson(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const vocab = Object.fromEntries([...BYTES.map(charOfByte), "th", "the", "Ġthe"].map((text, id) => [text, id]));
  return {
    added_tokens: [
      { id: 259, content: "<|end|>", special: true, normalized: false },
      { id: 260, content: "<tool>", special: false, normalized: false },
    ],
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges: ["t h", "th e", "Ġ the"] },
    ...changes,
  };
}
