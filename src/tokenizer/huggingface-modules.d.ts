/**
 * What Sluice uses of a library whose own declarations import files without extensions, which NodeNext resolution
 * can't follow. Checked by the tests that run them.
 */
declare module "@huggingface/tokenizers" {
  /** Entries are normalizers of tokenizer.json; unknown types throw. */
  export class SequenceNormalizer {
    constructor(config: { type: "Sequence"; normalizers: readonly unknown[] });
    normalize(text: string): string;
  }
  /** Entries are pre-tokenizers of tokenizer.json; unknown types throw. */
  export class SequencePreTokenizer {
    constructor(config: { type: "Sequence"; pretokenizers: readonly unknown[] });
    pre_tokenize(text: string, options: { section_index: number }): readonly string[];
  }
  /** The whole library at work: the oracle of the tests. */
  export class Tokenizer {
    constructor(tokenizerJson: object, tokenizerConfig: object);
    encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
    decode(ids: number[], options?: { skip_special_tokens?: boolean; clean_up_tokenization_spaces?: boolean }): string;
  }
}
