/**
 * Texts in which it is known where a head that retrieves must look. Their last rows are *probes*: of each, the places are
 * known that have what comes next. Copies: random tokens, and the same again; the place is that of the next token in the first
 * copy. Passkeys: the places are those of the passkey's digits. Both are far from the probes: in the first half.
 */
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { randomFor } from "../../train/data/sample.js";
import { ArgumentError } from "../../util/errors.js";
import { passkeyPrompt, passkeyTrials } from "../tasks/passkey.js";
import type { Marks } from "./marked-values.js";

export interface ProbePrompt {
  readonly kind: "copy" | "passkey";
  readonly ids: Int32Array;
  /** Of the last rows, one after the other: the places that have what comes next. */
  readonly targets: Marks;
}

export interface ProbeOptions {
  readonly tokenizer: Tokenizer;
  readonly seed: number;
  /** Tokens of a prompt, about. */
  readonly length: number;
  /** Of each kind. */
  readonly prompts: number;
  /** Text around passkeys, and the tokens that copies are made of. */
  readonly filler: ArrayLike<number>;
  readonly firstToken: number | undefined;
  /** Most probes of a prompt. */
  readonly most: number;
}

/** Fewest tokens of a prompt: so many that neither copy nor passkey lies near its probes. */
export const LEAST_PROMPT = 128;

/** Both kinds in turn. @throws ArgumentError for lengths without room */
export function probePrompts(options: ProbeOptions): ProbePrompt[] {
  const { seed, prompts, length } = options;
  if (length < LEAST_PROMPT)
    throw new ArgumentError(`A prompt needs at least ${LEAST_PROMPT} tokens; found ${length}.`, { length });
  const trials = passkeyTrials(seed, prompts);
  return trials.flatMap((trial, n) => [copyPrompt(options, n), passkeyProbe(options, trial)]);
}

function copyPrompt({ seed, length, filler, firstToken, most }: ProbeOptions, n: number): ProbePrompt {
  const random = randomFor(seed, n);
  const symbols = [...new Set(Array.from(filler))];
  const first = firstToken === undefined ? [] : [firstToken];
  const size = Math.floor((length - first.length) / 2);
  const string = Array.from({ length: size }, () => symbols[random.below(symbols.length)]);
  // The last token of the second copy predicts nothing.
  const ids = Int32Array.from([...first, ...string, ...string.slice(0, -1)]);
  const probes = Math.min(most, size - 1);
  const targets = Array.from({ length: probes }, (_, k) => [first.length + size - probes + k]);
  return { kind: "copy", ids, targets };
}

function passkeyProbe(
  { tokenizer, length, filler, firstToken, most }: ProbeOptions,
  trial: ReturnType<typeof passkeyTrials>[number],
): ProbePrompt {
  const early = { ...trial, depth: trial.depth / 2 };
  const { ids, answerIds, needle } = passkeyPrompt(early, { tokenizer, length, filler, firstToken });
  const isDigits = (id: number) => /\d/.test(tokenizer.tokenText(id));
  const places: number[] = [];
  for (let place = needle.start; place < needle.end; place++) if (isDigits(ids[place])) places.push(place);
  // Where the space before the number is a token of its own, it is no part of the passkey.
  const spaces = Math.max(0, answerIds.findIndex(isDigits));
  const probes = Math.min(most, answerIds.length - spaces);
  // The token before the number predicts its first.
  const read = Int32Array.from([...ids, ...answerIds.subarray(0, spaces + probes - 1)]);
  return { kind: "passkey", ids: read, targets: Array.from({ length: probes }, () => places) };
}
