/** What turns plain text (between special tokens) into ids: one implementation for each family of vocabularies. */
import type { IdList } from "./id-list.js";

export interface TextPlace {
  /** The text begins the whole input (some vocabularies put a space there). */
  readonly first: boolean;
  /** Special tokens in the text are read as such. */
  readonly parseSpecial: boolean;
  /** Called now and then while a long text is read; what it throws ends the work. */
  readonly check?: (() => void) | undefined;
}

export interface TextModel {
  encode(text: string, place: TextPlace, out: IdList): void;
}

/** Turns one word of the pre-tokenizer into ids. */
export interface WordEncoder {
  encodeWord(word: string, out: IdList, check?: () => void): void;
}
