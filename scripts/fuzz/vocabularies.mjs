// Small vocabularies of each kind: as keys of GGUF and as tokenizer.json.

const hex = (byte) => byte.toString(16).toUpperCase().padStart(2, "0");
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];
const SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"];
const WORDS = ["\u2581the", "\u2581a", "th", "he", "in", "\u2581", "er", "an"];

export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Stands for a byte in byte-level vocabularies (GPT-2). */
function charOfByte(byte) {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  return printable(byte)
    ? String.fromCharCode(byte)
    : String.fromCharCode(256 + BYTES.filter((b) => b < byte && !printable(b)).length);
}

/** 48 pieces: enough for ids, and for texts of small letters. */
function plainPieces() {
  const tokens = [...SPECIAL, ...WORDS, ...LETTERS, ".", ",", "<0x0A>", "<0x20>", "!", "?", "'", "-", "\n"];
  return {
    tokens,
    types: tokens.map((text, id) => (id === 0 ? 2 : id < SPECIAL.length ? 3 : text.startsWith("<0x") ? 6 : 1)),
  };
}

const COMMON = {
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
  "tokenizer.chat_template": CHATML,
};

/** `tokenizer.ggml.*` by kind. */
export function ggufVocabulary(kind) {
  if (kind === "bytes") {
    const merges = [
      ["t", "h"],
      ["th", "e"],
      ["\u0120", "the"],
      ["a", "b"],
    ];
    const tokens = [...SPECIAL, ...BYTES.map(charOfByte), ...merges.map((pair) => pair.join(""))];
    return {
      ...COMMON,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": Int32Array.from(tokens, (_, id) => (id < SPECIAL.length ? 3 : 1)),
      "tokenizer.ggml.merges": merges.map((pair) => pair.join(" ")),
    };
  }
  if (kind === "words") {
    const tokens = [
      "[PAD]",
      "[UNK]",
      "[CLS]",
      "[SEP]",
      "\u2581the",
      "\u2581cat",
      ...LETTERS,
      ...LETTERS.map((letter) => `\u2581${letter}`),
    ];
    return {
      "tokenizer.ggml.model": "bert",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": Int32Array.from(tokens, (_, id) => (id < 4 ? 3 : 1)),
      "tokenizer.ggml.unknown_token_id": 1,
      "tokenizer.ggml.cls_token_id": 2,
      "tokenizer.ggml.seperator_token_id": 3,
    };
  }
  const { tokens, types } = plainPieces();
  return {
    ...COMMON,
    "tokenizer.ggml.model": kind === "unigram" ? "t5" : "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": Float32Array.from(tokens, (_, id) => -id),
    "tokenizer.ggml.token_type": Int32Array.from(types),
  };
}

const added = (texts, first = 0) =>
  texts.map((content, i) => ({
    id: first + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: i !== 3,
  }));
const ids = (texts) => Object.fromEntries(texts.map((text, id) => [text, id]));
const metaspace = {
  type: "Metaspace",
  replacement: "\u2581",
  add_prefix_space: true,
  prepend_scheme: "always",
  split: false,
};

/** tokenizer.json by kind, with what stands beside it. */
export const HF_VOCABULARIES = {
  bytes() {
    const merges = [
      ["t", "h"],
      ["th", "e"],
      ["\u0120", "the"],
      ["a", "b"],
    ];
    const tokens = [...SPECIAL, ...BYTES.map(charOfByte), ...merges.map((pair) => pair.join(""))];
    return {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added(SPECIAL),
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          {
            type: "Split",
            pattern: { Regex: "\\p{N}{1,3}|\\s?[^\\s\\p{N}]+|\\s+" },
            behavior: "Isolated",
            invert: false,
          },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
      },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: ids(tokens),
        merges,
      },
    };
  },
  pieces() {
    const tokens = [
      ...SPECIAL,
      ...BYTES.map((byte) => `<0x${hex(byte)}>`),
      "\u2581",
      ...LETTERS,
      "th",
      "he",
      "\u2581the",
    ];
    return {
      version: "1.0",
      added_tokens: added(SPECIAL),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "\u2581" },
          { type: "Replace", pattern: { String: " " }, content: "\u2581" },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "\u2581" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: {
        type: "BPE",
        unk_token: "<unk>",
        fuse_unk: true,
        byte_fallback: true,
        vocab: ids(tokens),
        merges: ["t h", "h e", "\u2581 t", "\u2581 the"].slice(0, 2),
      },
    };
  },
  unigram() {
    const { tokens } = plainPieces();
    return {
      version: "1.0",
      added_tokens: added(SPECIAL),
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "Replace", pattern: { Regex: " {2,}" }, content: " " }, { type: "Lowercase" }],
      },
      pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] },
      post_processor: null,
      decoder: metaspace,
      model: { type: "Unigram", unk_id: 0, byte_fallback: false, vocab: tokens.map((text, id) => [text, -id / 3]) },
    };
  },
  words() {
    const tokens = [
      "[PAD]",
      "[UNK]",
      "[CLS]",
      "[SEP]",
      "the",
      "cat",
      "##s",
      ...LETTERS,
      ...LETTERS.map((letter) => `##${letter}`),
    ];
    return {
      version: "1.0",
      added_tokens: added(tokens.slice(0, 4)),
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: ids(tokens),
      },
    };
  },
};

export const TOKENIZER_CONFIG = {
  tokenizer_class: "PreTrainedTokenizerFast",
  add_bos_token: true,
  bos_token: "<s>",
  eos_token: { content: "</s>", lstrip: false, normalized: false, rstrip: false, single_word: false },
  chat_template: CHATML,
  added_tokens_decoder: { 1: { content: "<s>", special: true } },
};

/** What is encoded: plain and odd, and long enough that what takes the square of the length shows. */
export const SAMPLE_TEXTS = [
  "the cat sat on the mat",
  "",
  " ",
  "Hello, World! 12345 don't",
  "a\n\n\n  b\t c",
  "<s>user<|im_end|></s><unk>",
  "na\u00efve caf\u00e9 \u{1f600}\u200d\u{1f469} \u4e2d\u6587 \u3042",
  "\ud800 lone \udc00",
  "\u0000\u0001\ufeff\u0085\u2028\ufdd0",
  "a".repeat(3000),
  " ".repeat(3000),
  "ab".repeat(1500),
  "1".repeat(2000),
  "x y ".repeat(800),
  "\u{1f600}".repeat(500),
  "e\u0301".repeat(500),
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
];
