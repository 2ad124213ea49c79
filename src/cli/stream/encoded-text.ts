/** Texts as a model reads them in one stream: the start token, then the tokens of the texts, none of them special. */
import type { Model } from "../../engine/api.js";

/** A text as the model reads it. */
export interface EncodedText {
  /** The start token, where the vocabulary puts one, and the text's tokens. */
  readonly ids: Int32Array;
  /** How many of `ids` stand before the text; they are read, and not scored. */
  readonly opening: number;
  /** How many are the text's own. */
  readonly tokens: number;
}

/** The texts' tokens one after another, cut after `most`; texts that are not reached are not encoded. */
export async function encodeTexts(
  model: Model,
  texts: readonly string[],
  most = Number.POSITIVE_INFINITY,
): Promise<EncodedText> {
  const start = await startTokens(model);
  const pieces: Int32Array[] = [start];
  let length = 0;
  for (const text of texts) {
    if (length >= most) break;
    // Books are text: what looks like a special token in them is none.
    const ids = await model.encode(text, { addSpecial: false, parseSpecial: false });
    const piece = ids.subarray(0, most - length);
    pieces.push(piece);
    length += piece.length;
  }
  const ids = new Int32Array(start.length + length);
  let offset = 0;
  for (const piece of pieces) {
    ids.set(piece, offset);
    offset += piece.length;
  }
  return { ids, opening: start.length, tokens: length };
}

/** What the vocabulary puts before a text: one token or none. Some put one behind it as well, which is not wanted here. */
export async function startTokens(model: Model): Promise<Int32Array> {
  const [first] = await model.encode("a", { addSpecial: false, parseSpecial: false });
  const whole = await model.encode("a", { addSpecial: true, parseSpecial: false });
  return whole.subarray(0, Math.max(0, whole.indexOf(first)));
}
