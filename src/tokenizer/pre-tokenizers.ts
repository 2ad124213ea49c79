/**
 * How byte-level vocabularies cut a text into words before merging, by GGUF's `tokenizer.ggml.pre`. Each split keeps its
 * matches and what lies between them as words; further splits cut these again. The patterns are those of the models'
 * own tokenizer.json files, as llama.cpp names them.
 */
import { UnsupportedError } from "../util/errors.js";

export interface PreTokenizer {
  readonly splits: readonly RegExp[];
  /** A word that is a token stays whole. */
  readonly ignoreMerges?: boolean;
  /** The start token is put first unless the metadata says otherwise. */
  readonly addsBos?: boolean;
}

// \s of the original patterns is Unicode's white space; JavaScript's would take U+FEFF and leave U+0085.
const pattern = (source: string): RegExp =>
  new RegExp(
    source.replace(/\[\^?[^\]]*\]|\\s|\\S/g, (part) => {
      if (part === "\\s") return "\\p{White_Space}";
      return part === "\\S" ? "\\P{White_Space}" : part.replaceAll("\\s", "\\p{White_Space}");
    }),
    "gu",
  );

const SUFFIX = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const LINES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const WORD = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const LEAD = "[^\\r\\n\\p{L}\\p{N}]?";
/** cl100k and its kin: `digits` says how numbers are cut. */
const cl100k = (digits: string) => `${SUFFIX}|${WORD}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES}`;
/** o200k and its kin: words are also cut where lower case turns to upper case. */
const o200k = (suffix: string, digits: string) =>
  `${LEAD}${UPPER}*${LOWER}+${suffix}|${LEAD}${UPPER}+${LOWER}*${suffix}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES}`;
const CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
/** "\s+$" of the original, without its quadratic search through long white space. */
const TRAILING_SPACE = "(?<!\\s)\\s+$";
const ASCII_PUNCTUATION = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]";
const BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+";
/** The letters that DeepSeek's first models count as words: the scripts with case. */
const CASED =
  "A-Za-z\u00b5À-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbe" +
  "ῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ" +
  "\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}";

/** Splits by family; made into regular expressions when first asked for. */
const FAMILIES = {
  default: ["[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"],
  gpt2: [GPT2],
  digits: ["\\p{N}", GPT2],
  falcon: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"],
  llama3: [cl100k("\\p{N}{1,3}")],
  qwen2: [cl100k("\\p{N}")],
  qwen35: [`${SUFFIX}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${LINES}`],
  bloom: [BLOOM],
  viking: [BLOOM, "\\p{N}"],
  tekken: [o200k("", "\\p{N}")],
  gpt4o: [o200k(`${SUFFIX}?`, "\\p{N}{1,3}")],
  deepseekLlm: ["[\\r\\n]", `\\s?[${CASED}]+`, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", TRAILING_SPACE, CJK, "\\p{N}+"],
  deepseekCoder: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"],
  deepseek3: [
    "\\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    `${ASCII_PUNCTUATION}[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${LINES}`,
  ],
  bailing: [
    `'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|${WORD}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`,
  ],
  seedCoder: [`${SUFFIX}|${WORD}|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${LINES}`],
  chameleon: [
    "<sentinel:[0-9]+>",
    "(?:IMGIMG)(?:[A-I]{1,4})Z",
    "[\\t\\n]|    |  ",
    "\\p{N}",
    "[\\p{P}!-/:-@\\[-`\\{-~]",
    GPT2,
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

type Family = keyof typeof FAMILIES;

/** The names of `tokenizer.ggml.pre`, by family. */
const NAMES: readonly (readonly [Family, readonly string[]])[] = [
  ["default", ["default"]],
  [
    "gpt2",
    "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum roberta-bpe jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code".split(
      " ",
    ),
  ],
  ["digits", "starcoder refact command-r smollm codeshell exaone minerva-7b".split(" ")],
  ["falcon", ["falcon"]],
  [
    "llama3",
    "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe glm4 chatglm-bpe".split(" "),
  ],
  ["qwen2", "qwen2 deepseek-r1-qwen kormo stablelm2 megrez hunyuan grok-2".split(" ")],
  ["qwen35", ["qwen35"]],
  ["bloom", "bloom poro-chat gpt3-finnish".split(" ")],
  ["viking", ["viking"]],
  ["tekken", ["tekken"]],
  ["gpt4o", "gpt-4o llama4 minimax-m2".split(" ")],
  ["deepseekLlm", ["deepseek-llm"]],
  ["deepseekCoder", ["deepseek-coder"]],
  ["deepseek3", "deepseek-v3 hunyuan-dense".split(" ")],
  ["bailing", "bailingmoe bailingmoe2 llada-moe".split(" ")],
  ["seedCoder", ["seed-coder"]],
  ["chameleon", ["chameleon"]],
];

/** Names that keep whole words (`ignoreMerges`) and put the start token first. */
const WHOLE_WORDS = new Set("llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 tekken".split(" "));
const ADDS_BOS = new Set([...WHOLE_WORDS, "chameleon"]);

const FAMILY_OF = new Map(NAMES.flatMap(([family, names]) => names.map((name) => [name, family] as const)));

/** The names of `tokenizer.ggml.pre` that are known. */
export const PRE_TOKENIZER_NAMES: readonly string[] = [...FAMILY_OF.keys()];

/** The pre-tokenizer of a name of `tokenizer.ggml.pre`. @throws UnsupportedError for an unknown name */
export function preTokenizer(name: string): PreTokenizer {
  const family = FAMILY_OF.get(name);
  if (!family) {
    throw new UnsupportedError(
      `The pre-tokenizer "${name}" (tokenizer.ggml.pre) isn't known, and with another one the model would read wrong tokens. ` +
        `Known: ${PRE_TOKENIZER_NAMES.join(", ")}.`,
      { pre: name },
    );
  }
  return {
    splits: FAMILIES[family].map(pattern),
    ignoreMerges: WHOLE_WORDS.has(name),
    addsBos: ADDS_BOS.has(name),
  };
}

/** Cuts a text into words by all splits, one after the other. */
export function splitWords(text: string, splits: readonly RegExp[]): readonly string[] {
  let words: readonly string[] = [text];
  for (const split of splits) words = words.length === 1 ? cut(words[0], split) : words.flatMap((w) => cut(w, split));
  return words;
}

/** The matches of a pattern and the stretches between them, in order. */
function cut(text: string, split: RegExp): readonly string[] {
  // Most patterns leave nothing between their matches, and without places these are found three times as fast.
  const matches = text.match(split) ?? [];
  if (joinToLength(matches, text.length)) return matches;
  const words: string[] = [];
  let end = 0;
  for (const match of text.matchAll(split)) {
    if (match[0] === "") continue;
    if (match.index > end) words.push(text.slice(end, match.index));
    words.push(match[0]);
    end = match.index + match[0].length;
  }
  if (end < text.length) words.push(text.slice(end));
  return words;
}

function joinToLength(parts: readonly string[], length: number): boolean {
  let sum = 0;
  for (const part of parts) {
    if (part === "") return false;
    sum += part.length;
  }
  return sum === length;
}
