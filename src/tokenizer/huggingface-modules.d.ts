/**
 * What Sluice uses of a library whose own declarations import files without extensions, which NodeNext resolution
 * can't follow. Checked by the tests that run them.
 */
declare module "@huggingface/tokenizers" {
  /** The whole library at work: the oracle of the tests. */
  export class Tokenizer {
    constructor(tokenizerJson: object, tokenizerConfig: object);
    encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
    decode(ids: number[], options?: { skip_special_tokens?: boolean; clean_up_tokenization_spaces?: boolean }): string;
  }
}
