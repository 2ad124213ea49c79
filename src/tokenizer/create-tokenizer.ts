/** The tokenizer of a checkpoint, from GGUF metadata or from the files of a Hugging Face folder. */
import { tokenizerFromGguf } from "./from-gguf.js";
import { tokenizerFromHf } from "./from-hf.js";
import type { TokenizerSource } from "./source.js";
import type { Tokenizer } from "./tokenizer.js";

/**
 * Builds the tokenizer of a model. `rows` are those of its embedding: tokens that were added beyond them are left out, as the
 * model has never seen them.
 * @throws FormatError for missing or broken metadata, UnsupportedError for kinds of vocabularies that Sluice can't read
 */
export function createTokenizer(source: TokenizerSource, rows?: number): Tokenizer {
  return source.kind === "gguf" ? tokenizerFromGguf(source.metadata) : tokenizerFromHf(source, rows);
}
