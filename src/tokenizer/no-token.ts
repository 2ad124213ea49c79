/** A vocabulary that has no token for a piece of text, nor an unknown token to stand for it: what is left out would be missed. */
import { FormatError } from "../util/errors.js";

const SHOWN = 40;

export function noTokenFor(text: string): FormatError {
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
  return new FormatError(
    `The vocabulary has no token for ${JSON.stringify(shown)}, and no unknown token that could stand for it: take the ` +
      "tokenizer's files from one place, or leave that out of the text.",
  );
}
