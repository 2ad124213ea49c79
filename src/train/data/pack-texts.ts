/** Packing: text files through a tokenizer into one row of ids, each document with the end token behind it. */
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { ArgumentError } from "../../util/errors.js";
import type { Platform } from "../../util/platform.js";
import { packedTokenBytes } from "./packed-tokens.js";
import { textPieces } from "./text-files.js";
import { tokenizerFingerprint } from "./tokenizer-fingerprint.js";

export interface PackTexts {
  /** Locations of files, as `textFiles` gives them. */
  readonly files: readonly string[];
  readonly tokenizer: Tokenizer;
  /** Put behind each document; default: the tokenizer's end token. */
  readonly endId?: number | undefined;
  /** Before each piece of a text; throws to stop. */
  readonly onPiece?: (() => Promise<void>) | undefined;
  /** After each file. */
  readonly onProgress?: ((done: { readonly files: number; readonly tokens: number }) => void) | undefined;
}

/** The bytes of a packed token file of all texts, chunk by chunk. @throws NotFoundError, FormatError, ArgumentError */
export function packTexts(
  texts: PackTexts,
  platform: Pick<Platform, "open">,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const { tokenizer } = texts;
  return packedTokenBytes(encodedTexts(texts, platform), {
    vocabularySize: tokenizer.vocabSize,
    fingerprint: tokenizerFingerprint(tokenizer),
  });
}

/** The ids of all texts, piece by piece. Special tokens that a text spells out are plain text. */
export async function* encodedTexts(
  { files, tokenizer, endId = tokenizer.eosId, onPiece, onProgress }: PackTexts,
  platform: Pick<Platform, "open">,
): AsyncGenerator<Int32Array, void, undefined> {
  if (endId === undefined) {
    throw new ArgumentError("The tokenizer names no end token, which parts the documents: give the id of one.");
  }
  const end = Int32Array.of(endId);
  let tokens = 0;
  for (const [i, file] of files.entries()) {
    for await (const { text, last } of textPieces(file, platform)) {
      await onPiece?.();
      const ids = tokenizer.encode(text, { addSpecial: false, parseSpecial: false });
      yield ids;
      if (last) yield end;
      tokens += ids.length + (last ? 1 : 0);
    }
    onProgress?.({ files: i + 1, tokens });
  }
}
