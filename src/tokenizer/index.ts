/**
 * Tokenizers: text to ids and back, chat templates.
 * @module sluice/tokenizer
 */
export { createTokenizer } from "./create-tokenizer.js";
export { PRE_TOKENIZER_NAMES, type PreTokenizer, preTokenizer } from "./pre-tokenizers.js";
export type { GgufTokenizerSource, HfTokenizerSource, TokenizerSource } from "./source.js";
export type { Split, WordSplitter } from "./split-words.js";
export type {
  ChatMessage,
  DecodeOptions,
  EncodeOptions,
  RenderOptions,
  Tokenizer,
  TokenStream,
} from "./tokenizer.js";
export { type BytePairOptions, trainBytePair } from "./train/byte-pair.js";
export {
  type ByteLevelJson,
  type GgufTokenizerValue,
  ggufTokenizerKeys,
  type SpecialTokenNames,
  tokenizerConfig,
} from "./train/tokenizer-json.js";
export { WordCounter } from "./train/word-counter.js";
