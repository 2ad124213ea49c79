/** Texts of retrieval tasks as ids, each with the weight of predicting it. */
import type { Tokenizer } from "../../../tokenizer/tokenizer.js";

/**
 * What a stretch of text is to a reader who predicts it: `text` like any other, `noise` that nobody can know (a passkey
 * where it first occurs), an `answer` that was in the text before.
 */
export type PartKind = "text" | "noise" | "answer";
export type TextPart = readonly [kind: PartKind, text: string];

export type PartWeights = Readonly<Record<PartKind, number>>;

/** Answers are few among many tokens, so they count more. */
export const DEFAULT_WEIGHTS: PartWeights = { text: 1, noise: 0, answer: 4 };

export interface EncodedText {
  readonly ids: readonly number[];
  /** weights[i] is that of predicting ids[i]. */
  readonly weights: readonly number[];
}

/**
 * The ids of the parts joined. A token that reaches over a border (a space before digits, in some vocabularies) belongs to
 * the later part.
 */
export function encodeParts(tokenizer: Tokenizer, parts: readonly TextPart[], weightOf: PartWeights): EncodedText {
  const encode = (text: string) => tokenizer.encode(text, { addSpecial: false, parseSpecial: false });
  const ids = encode(parts.map(([, text]) => text).join(""));
  const weights: number[] = [];
  let text = "";
  parts.forEach(([kind, part], i) => {
    text += part;
    const end = i === parts.length - 1 ? ids.length : commonLength(encode(text), ids);
    while (weights.length < end) weights.push(weightOf[kind]);
  });
  return { ids: [...ids], weights };
}

function commonLength(a: Int32Array, b: Int32Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
