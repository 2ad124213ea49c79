/**
 * What a tokenizer is built from: the same shape as `TokenizerSource` of the formats, which have this folder's rank and
 * so can't be imported. Contents are unknown here: they come from files and are checked field by field.
 */
export interface GgufTokenizerSource {
  readonly kind: "gguf";
  /** `tokenizer.ggml.*`, `tokenizer.chat_template`, `general.*`. */
  readonly metadata: ReadonlyMap<string, unknown>;
}

export interface HfTokenizerSource {
  readonly kind: "hf";
  /** Parsed `tokenizer.json`. */
  readonly tokenizerJson: unknown;
  /** Parsed `tokenizer_config.json`, if there is one. */
  readonly tokenizerConfig: unknown;
  /** Parsed `special_tokens_map.json`, if there is one. */
  readonly specialTokensMap: unknown;
  /** Start and end tokens of config.json and generation_config.json, if known. */
  readonly startId?: number | undefined;
  readonly endIds?: readonly number[];
}

export type TokenizerSource = GgufTokenizerSource | HfTokenizerSource;
