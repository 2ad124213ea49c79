/**
 * The expressions that cut a text into words, by family of vocabularies: those of llama.cpp, which are the models' own but
 * for what a std::regex can't say. Written so that no text takes more than linear time.
 */
import { asciiGroupsOfThree, groupsOfThree } from "./digit-groups.js";
import type { Split, WordSplitter } from "./split-words.js";

// \s of the original patterns is Unicode's white space; JavaScript's would take U+FEFF and leave U+0085.
const pattern = (source: string): RegExp =>
  // Only the patterns that take letters away from others need the flag v, which some older browsers lack.
  new RegExp(
    source.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"),
    source.includes("--[") ? "gv" : "gu",
  );

const SUFFIX = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const LINES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const WORD = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const LEAD = "[^\\r\\n\\p{L}\\p{N}]?";
/** cl100k and its kin: `digits` says how numbers are cut. */
const cl100k = (digits: string) => `${SUFFIX}|${WORD}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES}`;
const LETTERS = "\\p{L}";
/** o200k and its kin: words are also cut where lower case turns to upper case. Only ASCII letters have a case here. */
const cased = (letters: string, suffix: string, digits: string) =>
  `${LEAD}[[${letters}]--[a-z]]*[[${letters}]--[A-Z]]+${suffix}|${LEAD}[[${letters}]--[a-z]]+[[${letters}]--[A-Z]]*${suffix}|` +
  `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n\\/]*|${LINES}`;
/** The same where llama.cpp takes every letter for one of both cases. */
const uncased = (suffix: string, digits: string) =>
  `${LEAD}[\\p{L}\\p{M}]+${suffix}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n\\/]*|${LINES}`;
const HAN =
  "[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b820}-\u{2ceaf}\u{2ceb0}-\u{2ebef}\uf900-\ufaff\u{2f800}-\u{2fa1f}]";
const HAN_AND_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
const YOUTU_SCRIPTS =
  "[\uac00-\ud7a3\u3131-\u318e]+|[！…“”‘’—：；，\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
const AFMOE_SCRIPTS =
  "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+";
/** Letters with their marks, and over single spaces the next word: "(?:L M* (?: L M*)*)+" without its nested loops. */
const PHRASE = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}[\\p{L}\\p{M}]*(?: \\p{L}[\\p{L}\\p{M}]*)*";
/** White space up to its last line end. Behind other white space there is no line end left, so nothing is looked for twice. */
const FIRST_LINES = "(?<![^\\S\\r\\n])\\s*[\\r\\n]+";
const NEWLINES = "[^\\n]+|\\n+";
const CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
/** "\s+$" of the original, without its quadratic search through long white space. */
const TRAILING_SPACE = "(?<!\\s)\\s+$";
const ASCII_PUNCTUATION = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]";
const MARKED_WORD = `${ASCII_PUNCTUATION}[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+`;
const BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+";
/** The letters that DeepSeek's first models count as words: the scripts with case. */
const CASED =
  "A-Za-z\u00b5À-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbe" +
  "ῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ" +
  "\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}";

/** The splits of each family, one applied after the other. */
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
  tekken: [cased(LETTERS, "", "\\p{N}")],
  gpt4o: [cased(LETTERS, `${SUFFIX}?`, "\\p{N}{1,3}")],
  graniteEmbedding: [cased("\\p{L}\\p{M}", `${SUFFIX}?`, "\\p{N}{1,3}")],
  tinyAya: [groupsOfThree, uncased(`${SUFFIX}?`, "\\p{N}{1,3}")],
  youtu: [YOUTU_SCRIPTS, uncased(`${SUFFIX}?`, "\\p{N}")],
  deepseekLlm: ["[\\r\\n]", `\\s?[${CASED}]+`, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", TRAILING_SPACE, CJK, "\\p{N}+"],
  deepseekCoder: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"],
  deepseek3: ["\\p{N}{1,3}", HAN_AND_KANA, `${MARKED_WORD}| ?[\\p{P}\\p{S}]+[\\r\\n]*|${LINES}`],
  spark: ["\\p{N}{1,3}", HAN_AND_KANA, `${MARKED_WORD}| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+`, "\\p{N}"],
  afmoe: [groupsOfThree, AFMOE_SCRIPTS, `${MARKED_WORD}| ?[\\p{P}\\p{S}]+[\\r\\n]*|${LINES}`],
  kimi: [
    `${HAN}+|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}--${HAN}]+${SUFFIX}?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES}`,
  ],
  jais2: [
    `${SUFFIX}|${WORD}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${FIRST_LINES}|${[512, 256, 128, 64, 32, 16, 8, 4].map((n) => `\\s{${n}}(?!\\S)`).join("|")}|\\s{1,2}(?!\\S)|\\s`,
  ],
  exaoneMoe: [`${SUFFIX}|${PHRASE}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`],
  minicpm5: ["\\p{N}{1,3}", cl100k("\\p{N}+")],
  ufakzeka: [`${WORD}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES}`],
  superbpe: ["\\p{N}+", asciiGroupsOfThree],
  laguna: [NEWLINES, cl100k("\\p{N}")],
  newlines: [NEWLINES],
  whitespace: ["\\S+"],
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
} as const satisfies Readonly<Record<string, readonly (string | WordSplitter)[]>>;

export type Family = keyof typeof FAMILIES;

/** The splits of a family, made when they are asked for. */
export function familySplits(family: Family): readonly Split[] {
  return FAMILIES[family].map((split) => (typeof split === "string" ? pattern(split) : split));
}
