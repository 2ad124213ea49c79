// Values that programs stumble over: numbers at the edges of their types, texts that mean something elsewhere, odd shapes.

export const NUMBERS = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  7,
  0.5,
  -0.5,
  1e-45,
  1e-7,
  127,
  128,
  255,
  256,
  1000,
  65535,
  65536,
  1e6,
  1e9,
  1e12,
  1e18,
  1e38,
  1e308,
  -128,
  -1e9,
  -1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 63,
  2 ** 64,
];

export const TEXTS = [
  "",
  " ",
  "  ",
  "\n",
  "\t",
  "a",
  "A",
  "0",
  "-1",
  "1e999",
  "NaN",
  "null",
  "true",
  "undefined",
  "\0",
  "a\0b",
  "\u2581",
  "\u00e9",
  "e\u0301",
  "\u{1f600}",
  "\u{1f468}\u200d\u{1f469}",
  "\ud800",
  "\udc00x",
  "\ufeff",
  "\u0085",
  "\u200b",
  "\ufdd0",
  "\uffff",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "prototype",
  "../../x",
  "/dev/zero",
  "C:\\x",
  "http://x",
  "hf:a/b",
  "{{ x }}",
  "{% if %}",
  "%s%n",
  "<s>",
  "</s>",
  "<unk>",
  "<|im_end|>",
  "<0x41>",
  "(a+)+$",
  "(a|a)*b",
  "[",
  "(",
  "\\",
  "*",
  ".*",
  "(?<x>a)\\k<x>",
  "\\p{L}++",
  "x".repeat(300),
  "ab ".repeat(2000),
  "\u0130".repeat(50),
  "9".repeat(400),
];

/** Names that the project's own files use, so that a wrong one may be another's right one. */
export const WORDS = [
  "llama",
  "qwen2",
  "gemma3",
  "gpt2",
  "mamba",
  "t5",
  "linear",
  "yarn",
  "longrope",
  "llama3",
  "dynamic",
  "none",
  "gelu",
  "silu",
  "relu",
  "BPE",
  "Unigram",
  "WordPiece",
  "WordLevel",
  "NFC",
  "NFKD",
  "ByteLevel",
  "Metaspace",
  "Sequence",
  "Split",
  "Replace",
  "f32",
  "f16",
  "q8",
  "q8/f16",
  "full",
  "recent:4",
  "sinks:2,recent:4",
  "recompute:4",
  "user",
  "system",
  "assistant",
  "tool",
];

/** A number, text or word. */
export function hostileScalar(random) {
  const kind = random.below(8);
  if (kind < 3) return random.pick(NUMBERS);
  if (kind < 5) return random.pick(TEXTS);
  if (kind === 5) return random.pick(WORDS);
  return random.pick([null, true, false, random.between(-3, 300), random.double() * 10]);
}

/** Anything that JSON can say (and numbers that it says as null or not at all). */
export function hostileJson(random, depth = 0) {
  const kind = random.below(12);
  if (depth > 3 || kind < 7) return hostileScalar(random);
  if (kind === 7) return [];
  if (kind === 8) return {};
  if (kind === 9) return random.times(random.between(1, 4), () => hostileJson(random, depth + 1));
  if (kind === 10) {
    return Object.fromEntries(
      random.times(random.between(1, 3), () => [String(hostileScalar(random)), hostileJson(random, depth + 1)]),
    );
  }
  return random.pick([
    nested(random.pick([10, 100, 400])),
    Array(random.pick([100, 5000])).fill(0),
    [[]],
    [null],
    [{}],
  ]);
}

function nested(depth) {
  let value = [];
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}
