/**
 * A vocabulary: the text and the kind of every token. Kinds are GGUF's (`tokenizer.ggml.token_type`), which
 * tokenizer.json is translated to.
 */
import { FormatError } from "../util/errors.js";

/**
 * The numbers of `tokenizer.ggml.token_type`, and one of our own: a token that the user added and that marks turns (`marker`),
 * which is shown in texts like any added one, but never made of plain text.
 */
export const TokenKind = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
  marker: 100,
} as const;

export interface Vocabulary {
  /** Token texts by id; undefined where an id has no token. */
  readonly texts: readonly (string | undefined)[];
  /** `TokenKind` by id. */
  readonly kinds: Uint8Array;
  /** Ids by text; of equal texts the first. */
  readonly ids: ReadonlyMap<string, number>;
}

/** The stand-in for a space in SentencePiece vocabularies, U+2581. */
export const SPACE_MARK = "\u2581";

/** Ids of a vocabulary may be sparse, but the table never takes much more than the entries do. */
const MOST_GAPS = 65_536;

/** @throws FormatError where kinds and texts differ in number */
export function makeVocabulary(texts: readonly (string | undefined)[], kinds: Uint8Array): Vocabulary {
  if (kinds.length !== texts.length) {
    throw new FormatError(`The tokenizer has ${texts.length} tokens but ${kinds.length} token types.`, {
      tokens: texts.length,
      types: kinds.length,
    });
  }
  const ids = new Map<string, number>();
  texts.forEach((text, id) => {
    if (text !== undefined && !ids.has(text)) ids.set(text, id);
  });
  return { texts, kinds, ids };
}

/** Lays [text, id] entries out by id. @throws FormatError for ids that are no numbers or far beyond the entries */
export function textsById(entries: readonly (readonly [string, unknown])[]): (string | undefined)[] {
  const limit = entries.length + MOST_GAPS;
  let size = 0;
  for (const [text, id] of entries) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= limit) {
      throw new FormatError(
        `The tokenizer gives the token ${JSON.stringify(text)} the id ${JSON.stringify(id)?.slice(0, 60)}; expected a whole number below ${limit}.`,
      );
    }
    size = Math.max(size, id + 1);
  }
  const texts = new Array<string | undefined>(size).fill(undefined);
  for (const [text, id] of entries) if (typeof id === "number") texts[id] = text;
  return texts;
}

/** Whether a token is hidden in texts. */
export function isControl(kind: number): boolean {
  return kind === TokenKind.control || kind === TokenKind.unknown;
}

/** Whether a token may never come from plain text: it steers the model. */
export function isSteering(kind: number): boolean {
  return isControl(kind) || kind === TokenKind.marker;
}
