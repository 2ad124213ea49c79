/** Tells tokenizers apart, so that packed tokens of one aren't read for a model of another. */
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { xxhash32 } from "../../util/xxhash32.js";

/** Words, numbers, spaces and scripts: tokenizers with the same tokens may still cut these differently. */
const PROBE = "It's 1,234.50 o'clock:\n\n  the   end\tof café 漢字 ١٢ \u{1f600}\u0085<|endoftext|>";

/** From 0 to 2^32 - 1: a checksum of all tokens and of how a text is cut. */
export function tokenizerFingerprint(tokenizer: Tokenizer): number {
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.tokenText(id));
  const probe = tokenizer.encode(PROBE, { addSpecial: false, parseSpecial: false });
  return xxhash32(new TextEncoder().encode(JSON.stringify([tokens, [...probe]])));
}
