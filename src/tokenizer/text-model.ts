/** What turns plain text (between special tokens) into ids: one implementation for each family of vocabularies. */
import type { IdList } from "./id-list.js";

export interface TextPlace {
  /** The text begins the whole input (some vocabularies put a space there). */
  readonly first: boolean;
  /** Special tokens in the text are read as such. */
  readonly parseSpecial: boolean;
}

export interface TextModel {
  encode(text: string, place: TextPlace, out: IdList): void;
}
