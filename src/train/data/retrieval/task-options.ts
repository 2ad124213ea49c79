/** What all retrieval tasks that speak in words have in common. */
import type { Tokenizer } from "../../../tokenizer/tokenizer.js";
import { ArgumentError } from "../../../util/errors.js";
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

const MOST_DRAWS = 100;

/** Needles differ in length: what does not fit is drawn anew. @throws ArgumentError for lengths that nothing fits into */
export async function untilItFits<R>(draw: () => R | Promise<R>): Promise<R> {
  for (let draws = 1; ; draws++) {
    try {
      return await draw();
    } catch (error) {
      if (!(error instanceof ArgumentError) || draws === MOST_DRAWS) throw error;
    }
  }
}

/** The encoder of a task's texts, with its weights. */
export function partEncoder({ tokenizer, weights }: Pick<RetrievalOptions, "tokenizer" | "weights">): {
  readonly weights: PartWeights;
  encode(parts: readonly TextPart[]): EncodedText;
} {
  const all = { ...DEFAULT_WEIGHTS, ...weights };
  return { weights: all, encode: (parts) => encodeParts(tokenizer, parts, all) };
}
