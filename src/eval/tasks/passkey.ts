/**
 * Passkey retrieval (2305.16300) as a test: prompts of exactly so many tokens with a number hidden at a depth, in the
 * wording of the training task, and whether an answer has the number.
 */
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { encodeParts } from "../../train/data/retrieval/encoded-text.js";
import { digits } from "../../train/data/retrieval/names.js";
import { PASSKEY_DIGITS, PASSKEY_WORDING } from "../../train/data/retrieval/passkey.js";
import { randomFor } from "../../train/data/sample.js";
import { ArgumentError } from "../../util/errors.js";
import type { Range } from "../../util/ranges.js";

export interface PasskeyTrial {
  readonly passkey: string;
  /** 0 = at the beginning, 1 = right before the question. */
  readonly depth: number;
  /** Where in the filler the prompt's text begins, from 0 to 1. */
  readonly fillerStart: number;
}

/** Trials that a seed determines, with depths evenly from 0 to 1 and each depth with its own passkey and filler. */
export function passkeyTrials(seed: number, count: number): PasskeyTrial[] {
  return Array.from({ length: count }, (_, i) => {
    const random = randomFor(seed, i);
    const passkey = digits(PASSKEY_DIGITS, random);
    return { passkey, depth: count === 1 ? 0.5 : i / (count - 1), fillerStart: random.double() };
  });
}

/**
 * In an order whose every beginning is spread over all depths (the numbers' bits reversed: van der Corput, base 2), so that
 * an interrupted run is not one of the early depths alone.
 */
export function inMixedOrder<T>(trials: readonly T[]): T[] {
  const bits = Math.ceil(Math.log2(Math.max(1, trials.length)));
  return Array.from({ length: 2 ** bits }, (_, at) => reversedBits(at, bits))
    .filter((at) => at < trials.length)
    .map((at) => trials[at]);
}

function reversedBits(value: number, bits: number): number {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) reversed = 2 * reversed + (Math.floor(value / 2 ** bit) % 2);
  return reversed;
}

export interface PasskeyPromptOptions {
  readonly tokenizer: Tokenizer;
  /** Tokens of the prompt, the first token included. */
  readonly length: number;
  /** Text around the passkey, by its ids; after its end it goes on at the beginning. */
  readonly filler: ArrayLike<number>;
  /** Put in front: the start token, or the sink that the model was trained with. */
  readonly firstToken?: number | undefined;
}

export interface PasskeyPrompt {
  /** Ends with "The pass key is". */
  readonly ids: Int32Array;
  readonly answer: string;
  /** Where the sentence with the passkey stands. */
  readonly needle: Range;
  /** Ids of the answer after the prompt, a space before it included: so many tokens must be generated. */
  readonly answerIds: Int32Array;
}

/** @throws ArgumentError where the length has no room for passkey and question */
export function passkeyPrompt(trial: PasskeyTrial, options: PasskeyPromptOptions): PasskeyPrompt {
  const { tokenizer, length, filler, firstToken } = options;
  const encode = (text: string) => tokenizer.encode(text, { addSpecial: false, parseSpecial: false });
  const needle = partsText(PASSKEY_WORDING.needle(trial.passkey));
  const question = partsText(PASSKEY_WORDING.question());
  const first = firstToken === undefined ? [] : [firstToken];
  const needleIds = encode(needle);
  const questionIds = encode(question);
  const hay = length - first.length - needleIds.length - questionIds.length;
  if (hay < 0 || filler.length === 0) {
    throw new ArgumentError(
      `A passkey prompt needs a filler and at least ${length - hay} tokens; found ${length}, and ${filler.length} of filler.`,
      { length, least: length - hay },
    );
  }
  const start = Math.floor(trial.fillerStart * filler.length);
  const hayIds = Array.from({ length: hay }, (_, i) => filler[(start + i) % filler.length]);
  const before = Math.round(trial.depth * hay);
  const ids = Int32Array.from([
    ...first,
    ...hayIds.slice(0, before),
    ...needleIds,
    ...hayIds.slice(before),
    ...questionIds,
  ]);
  const needleStart = first.length + before;
  return {
    needle: { start: needleStart, end: needleStart + needleIds.length },
    ids,
    answer: trial.passkey,
    answerIds: answerIds(tokenizer, question, trial.passkey),
  };
}

/** The tokens that must follow the question: those of question and answer together, after the question's own. */
function answerIds(tokenizer: Tokenizer, question: string, passkey: string): Int32Array {
  const marked = { text: 0, noise: 0, answer: 1 };
  const { ids, weights } = encodeParts(
    tokenizer,
    [
      ["text", question],
      ["answer", ` ${passkey}`],
    ],
    marked,
  );
  return Int32Array.from(ids.filter((_, i) => weights[i] === 1));
}

/** Whether a generated text begins with exactly the passkey's digits, after white space. */
export function isPasskey(generated: string, answer: string): boolean {
  return /^\s*(\d+)/.exec(generated)?.[1] === answer;
}

function partsText(parts: readonly (readonly [string, string])[]): string {
  return parts.map(([, text]) => text).join("");
}
