/** Tokenizers: text to ids and back, chat templates. */
export { createTokenizer } from "./create-tokenizer.js";
export type { GgufTokenizerSource, HfTokenizerSource, TokenizerSource } from "./source.js";
export type {
  ChatMessage,
  DecodeOptions,
  EncodeOptions,
  RenderOptions,
  Tokenizer,
  TokenStream,
} from "./tokenizer.js";
