/** What all retrieval tasks that speak in words have in common. */
import type { Tokenizer } from "../../../tokenizer/tokenizer.js";
import type { EncodedText, PartWeights, TextPart } from "./encoded-text.js";
import { DEFAULT_WEIGHTS, encodeParts } from "./encoded-text.js";
import type { Filler } from "./filler.js";

export interface RetrievalOptions {
  readonly seed: number;
  readonly tokenizer: Tokenizer;
  readonly filler: Filler;
  /** Needles of a sample: least and most. */
  readonly needles?: readonly [number, number];
  /** Default: text (and filler) 1, noise 0, answers 4. */
  readonly weights?: Partial<PartWeights>;
}

/** The encoder of a task's texts, with its weights. */
export function partEncoder({ tokenizer, weights }: Pick<RetrievalOptions, "tokenizer" | "weights">): {
  readonly weights: PartWeights;
  encode(parts: readonly TextPart[]): EncodedText;
} {
  const all = { ...DEFAULT_WEIGHTS, ...weights };
  return { weights: all, encode: (parts) => encodeParts(tokenizer, parts, all) };
}
