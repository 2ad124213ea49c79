/**
 * The pre-tokenizers that a GGUF's `tokenizer.ggml.pre` names: how byte-level vocabularies cut a text into words before
 * merging. The names are those of llama.cpp.
 */
import { UnsupportedError } from "../util/errors.js";
import { type Family, familySplits } from "./pre-tokenizer-expressions.js";
import type { Split } from "./split-words.js";

export interface PreTokenizer {
  readonly splits: readonly Split[];
  /** A word that is a token stays whole. */
  readonly ignoreMerges: boolean;
  /** The start token is put first unless the metadata says otherwise. */
  readonly addsBos: boolean;
  /** Tokens are spelled in byte characters; else as they are, with `<0x..>` for bytes. */
  readonly byteLevel: boolean;
  /** Spaces are written U+2581 before the text is cut. */
  readonly marksSpaces: boolean;
}

/** The names of `tokenizer.ggml.pre`, by family. */
const NAMES: readonly (readonly [Family, readonly string[]])[] = [
  ["default", ["default"]],
  [
    "gpt2",
    "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum roberta-bpe jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code modern-bert".split(
      " ",
    ),
  ],
  ["digits", "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2".split(" ")],
  ["falcon", ["falcon"]],
  [
    "llama3",
    "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe glm4 chatglm-bpe".split(
      " ",
    ),
  ],
  ["qwen2", "qwen2 deepseek-r1-qwen kormo stablelm2 megrez hunyuan grok-2 f2llmv2 solar-open".split(" ")],
  ["qwen35", ["qwen35"]],
  ["bloom", "bloom poro-chat gpt3-finnish".split(" ")],
  ["viking", ["viking"]],
  ["tekken", ["tekken"]],
  ["gpt4o", "gpt-4o llama4 minimax-m2 kanana2 talkie".split(" ")],
  ["deepseekLlm", ["deepseek-llm"]],
  ["deepseekCoder", ["deepseek-coder"]],
  ["deepseek3", "deepseek-v3 hunyuan-dense joyai-llm hy_v4".split(" ")],
  ["bailing", "bailingmoe bailingmoe2 llada-moe".split(" ")],
  ["seedCoder", ["seed-coder"]],
  ["chameleon", ["chameleon"]],
  ["graniteEmbedding", ["granite-embed-multi-97m"]],
  ["tinyAya", ["tiny_aya", "cohere2moe"]],
  ["youtu", ["youtu"]],
  ["spark", ["spark2_5"]],
  ["afmoe", ["afmoe"]],
  ["kimi", ["kimi-k2"]],
  ["jais2", ["jais-2"]],
  ["exaoneMoe", ["exaone-moe"]],
  ["minicpm5", ["minicpm5"]],
  ["ufakzeka", ["ufakzeka"]],
  ["superbpe", ["superbpe"]],
  ["laguna", ["laguna"]],
  ["newlines", ["gemma4", "granite-embed-multi-311m", "sarvam-moe"]],
  ["whitespace", ["whitespace"]],
];

/** Names that keep whole words (`ignoreMerges`) and put the start token first, and those that do one of both. */
const BEGINS_WHOLE = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken".split(" ");
const WHOLE_WORDS = new Set([...BEGINS_WHOLE, "minicpm5", "youtu", "granite-embed-multi-97m"]);
const ADDS_BOS = new Set([...BEGINS_WHOLE, "chameleon", "gemma4", "granite-embed-multi-311m"]);
const MARKS_SPACES = new Set(["gemma4", "granite-embed-multi-311m", "sarvam-moe"]);

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
    splits: familySplits(family),
    ignoreMerges: WHOLE_WORDS.has(name),
    addsBos: ADDS_BOS.has(name),
    byteLevel: !(MARKS_SPACES.has(name) || name === "whitespace"),
    marksSpaces: MARKS_SPACES.has(name),
  };
}
