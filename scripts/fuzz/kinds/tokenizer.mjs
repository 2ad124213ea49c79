// tokenizer.json and what stands beside it: any node replaced, unknown steps, expressions that backtrack, texts that grow.
import { hostileJson, hostileScalar, TEXTS } from "../hostile-values.mjs";
import { jsonBytes, mutateJson } from "../mutate.mjs";
import { HF_VOCABULARIES, SAMPLE_TEXTS, TOKENIZER_CONFIG } from "../vocabularies.mjs";

const EXPRESSIONS = [
  "(a+)+$",
  "(a|a)*b",
  "(a|aa)+$",
  "(.*a){20}",
  "([a-z]+)*\\d",
  "(x+x+)+y",
  "(?=(a+))\\1b",
  "(?<!a*)b",
  "\\s+$",
  "^",
  "$",
  "",
  "\\b",
  "a{0,100000}",
  "(a{1,1000}){1,1000}",
  "(",
  "[z-a]",
  "\\p{Foo}",
  "(?i)a",
  "(?i:'s|'t)",
  "\\p{L}++",
  "a*+b",
  "(?>a+)b",
  "[[:alpha:]]+",
  "\\X",
  "\\h+",
  "\\G",
  "\\A",
  "\\z",
  "(?<n>a)\\k<n>",
  "[\\p{L}--a]",
  "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+",
  " ?\\p{L}+| ?\\p{N}+|\\s+(?!\\S)|\\s+",
  ".",
  ".{1,3}",
  "[\\s\\S]",
  "(((((((((((a)))))))))))",
  "a".repeat(5000),
  "(a?){500}a{500}",
  "(".repeat(3000) + ")".repeat(3000),
];
const BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous", "isolated", "Other"];

const pattern = (random) =>
  random.chance(0.6)
    ? { Regex: random.pick(EXPRESSIONS) }
    : { String: random.pick(["a", " ", "", "ab", "\u2581", random.pick(TEXTS)]) };
const bool = (random) => random.pick([true, false, true, false, null, "true", 1]);

/** Steps by type, for any place in which a step may stand. */
const STEPS = {
  Replace: (random) => ({
    pattern: pattern(random),
    content: random.pick(["", "b", "aa", "a".repeat(50), "$&$&", "$1", random.pick(TEXTS)]),
  }),
  Split: (random) => ({ pattern: pattern(random), behavior: random.pick(BEHAVIOURS), invert: bool(random) }),
  Sequence: (random, depth) => {
    const steps = random.times(random.pick([0, 1, 2, 3]), () => step(random, depth + 1));
    return { normalizers: steps, pretokenizers: steps, decoders: steps, processors: steps };
  },
  Prepend: (random) => ({ prepend: random.pick(["\u2581", "", "a".repeat(100), hostileScalar(random)]) }),
  Precompiled: (random) => ({
    precompiled_charsmap: random.pick(["", "AAAA", "ALQCAACEAAAAAACAAQAA", "!!!", "A".repeat(4000), null, 3]),
  }),
  Strip: (random) => ({
    strip_left: bool(random),
    strip_right: bool(random),
    content: random.pick([" ", "a", "", "ab"]),
    start: random.pick([0, 1, -1, 1e9]),
    stop: random.pick([0, 1, -1]),
  }),
  StripAccents: () => ({}),
  Lowercase: () => ({}),
  Nmt: () => ({}),
  NFC: () => ({}),
  NFD: () => ({}),
  NFKC: () => ({}),
  NFKD: () => ({}),
  ByteLevel: (random) => ({ add_prefix_space: bool(random), trim_offsets: bool(random), use_regex: bool(random) }),
  BertNormalizer: (random) => ({
    clean_text: bool(random),
    handle_chinese_chars: bool(random),
    strip_accents: bool(random),
    lowercase: bool(random),
  }),
  BertPreTokenizer: () => ({}),
  Whitespace: () => ({}),
  WhitespaceSplit: () => ({}),
  Punctuation: (random) => ({ behavior: random.pick(BEHAVIOURS) }),
  Digits: (random) => ({ individual_digits: bool(random) }),
  CharDelimiterSplit: (random) => ({ delimiter: random.pick(["a", "", "ab", 3]) }),
  UnicodeScripts: () => ({}),
  FixedLength: (random) => ({ length: random.pick([1, 5, 0, -1, 1e9]) }),
  Metaspace: (random) => ({
    replacement: random.pick(["\u2581", "_", "", "__"]),
    add_prefix_space: bool(random),
    prepend_scheme: random.pick(["always", "first", "never", "x"]),
    split: bool(random),
  }),
  ByteFallback: () => ({}),
  Fuse: () => ({}),
  WordPiece: (random) => ({ prefix: random.pick(["##", ""]), cleanup: bool(random) }),
  BPEDecoder: (random) => ({ suffix: random.pick(["</w>", "", null]) }),
  CTC: (random) => ({ pad_token: "<pad>", word_delimiter_token: "|", cleanup: bool(random) }),
  RobertaProcessing: (random) => ({
    sep: ["</s>", random.pick([2, -1, 1e9, "2"])],
    cls: ["<s>", 1],
    trim_offsets: true,
    add_prefix_space: true,
  }),
  BertProcessing: (random) => ({ sep: random.pick([["</s>", 2], [], null]), cls: ["<s>", 1] }),
  TemplateProcessing: (random) => ({
    single: random.times(random.pick([0, 1, 2, 200]), () =>
      random.pick([
        { SpecialToken: { id: "<s>", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { Sequence: { id: "B" } },
        null,
      ]),
    ),
    pair: [],
    special_tokens: { "<s>": { id: "<s>", ids: [random.pick([1, 99999, -1])], tokens: ["<s>"] } },
  }),
  Unheard: () => ({}),
};

function step(random, depth = 0) {
  const types = Object.keys(STEPS);
  const type = depth > 3 ? "NFC" : random.pick(types);
  const made = { type, ...STEPS[type](random, depth) };
  return random.chance(0.1) ? mutateJson(random, made) : made;
}

/** Each doubles every character: a text of a few letters has no end. */
const doublings = (count) => ({
  type: "Sequence",
  normalizers: Array.from({ length: count }, () => ({ type: "Replace", pattern: { String: "a" }, content: "aa" })),
});

export const tokenizer = {
  name: "tokenizer",

  async prepare(library) {
    return { library, bases: Object.values(HF_VOCABULARIES).map((make) => make()) };
  },

  async run({ library, bases }, random) {
    const json = changedTokenizer(random, random.pick(bases));
    const beside = random.chance(0.2) ? mutateJson(random, TOKENIZER_CONFIG) : TOKENIZER_CONFIG;
    const map = random.chance(0.1)
      ? mutateJson(random, { bos_token: "<s>", eos_token: { content: "</s>" }, unk_token: "<unk>" })
      : undefined;
    const made = library.createTokenizer({
      kind: "hf",
      tokenizerJson: asParsed(random, json),
      tokenizerConfig: beside,
      specialTokensMap: map,
    });
    use(made, random);
  },
};

/** What JSON.parse would give; a file of broken bytes is the reader's matter, and of other kinds. */
function asParsed(random, json) {
  try {
    return JSON.parse(new TextDecoder().decode(jsonBytes(random, json)));
  } catch {
    return json;
  }
}

function changedTokenizer(random, base) {
  const json = structuredClone(base);
  switch (random.below(8)) {
    case 0:
    case 1:
      return mutateJson(random, json);
    case 2:
    case 3:
      for (const name of ["normalizer", "pre_tokenizer", "post_processor", "decoder"])
        if (random.chance(0.4)) json[name] = step(random);
      return json;
    case 4:
      json.normalizer = random.chance(0.2)
        ? doublings(random.pick([3, 10, 30]))
        : { type: "Replace", pattern: pattern(random), content: "a".repeat(random.pick([0, 10, 1000])) };
      return json;
    case 5:
      json.added_tokens = changedAdded(random, json.added_tokens);
      return json;
    case 6:
      json.model = random.chance(0.5)
        ? changedModel(random, json.model)
        : { ...json.model, ...mutateJson(random, { ...json.model, vocab: {}, merges: [] }) };
      return json;
    default:
      return random.chance(0.9)
        ? { ...json, [random.pick(Object.keys(json))]: hostileJson(random) }
        : hostileJson(random);
  }
}

function changedAdded(random, list) {
  const changed = list.map((token) => ({ ...token }));
  for (let i = random.between(1, 4); i > 0; i--) {
    const token = random.pick(changed);
    const field = random.pick(["id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"]);
    token[field] = random.chance(0.3)
      ? hostileScalar(random)
      : field === "id"
        ? random.pick([0, 1, 5, 50, 60, 400, -1, 1e6, 2 ** 31, 2 ** 53])
        : random.pick([true, false]);
  }
  if (random.chance(0.2))
    changed.push(
      ...Array.from({ length: 500 }, (_, i) => ({ ...changed[0], id: 1000 + i, content: "a".repeat((i % 40) + 1) })),
    );
  if (random.chance(0.1)) changed.push(hostileJson(random));
  return changed;
}

function changedModel(random, model) {
  const changed = structuredClone(model);
  if (random.chance(0.5) && Array.isArray(changed.merges)) {
    changed.merges = [
      ...changed.merges,
      ...random.times(3, () =>
        random.pick(["a", "", " ", "a b c", "q z", ["a"], ["a", "b", "c"], ["zz", "qq"], [1, 2], null, 7, "a  b"]),
      ),
    ];
  }
  const entries = Array.isArray(changed.vocab) ? changed.vocab : Object.entries(changed.vocab);
  for (let i = random.between(0, 4); i > 0; i--) {
    const entry = random.pick(entries);
    if (random.chance(0.4)) entry[0] = random.pick(["", "a", "aa", random.pick(TEXTS)]);
    else entry[1] = random.pick([0, 1, -1, 1.5, 1e9, 2 ** 31, 2 ** 53, null, "3", Number.NaN, entry[1] + 1000]);
  }
  changed.vocab = Array.isArray(changed.vocab) ? entries : Object.fromEntries(entries);
  for (const field of [
    "unk_id",
    "unk_token",
    "byte_fallback",
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "max_input_chars_per_word",
    "type",
    "ignore_merges",
  ]) {
    if (random.chance(0.1))
      changed[field] = random.pick([
        null,
        true,
        false,
        "",
        "##",
        "a",
        0,
        1,
        -1,
        1e9,
        0.5,
        "BPE",
        "WordLevel",
        "Unigram",
        "WordPiece",
      ]);
  }
  return changed;
}

function use(made, random) {
  for (const text of random.times(3, () => random.pick(SAMPLE_TEXTS))) {
    const ids = made.encode(text, { addSpecial: random.chance(0.5), parseSpecial: random.chance(0.5) });
    if (!(ids instanceof Int32Array)) throw new Error("encode gave no ids");
    if (ids.some((id) => id < 0 || id >= made.vocabSize))
      throw new Error("encode gave an id that is not in the vocabulary");
    made.decode(ids, { special: random.chance(0.5) });
    const stream = made.stream();
    for (const id of ids.subarray(0, 50)) stream.push(id);
    stream.end();
    for (const id of [...ids.subarray(0, 5), 0, made.vocabSize - 1, made.vocabSize])
      if (id >= 0 && id < made.vocabSize) made.tokenText(id);
  }
  if (made.chatTemplate !== undefined && random.chance(0.3))
    made.encodeChat([{ role: "user", content: random.pick(SAMPLE_TEXTS).slice(0, 200) }]);
}
