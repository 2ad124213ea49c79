/**
 * Log-probabilities from raw logits: log-softmax in double precision, without temperature and filters.
 */
import { ArgumentError } from "../../util/errors.js";
import { TopIds } from "./top-ids.js";

export interface IdLogprob {
  readonly id: number;
  readonly logprob: number;
}

export interface Logprobs {
  /** Natural logarithm of the token's probability. */
  readonly logprob: number;
  /** The n most likely tokens, best first. */
  readonly top: readonly IdLogprob[];
}

/**
 * The log-probability of `id` and the `n` most likely alternatives.
 * @param logits [V], as the model gave them
 * @throws ArgumentError when the id is not in [0, V) or n is not a non-negative integer
 */
export function logprobsOf(logits: Float32Array, id: number, n: number): Logprobs {
  if (!Number.isInteger(id) || id < 0 || id >= logits.length) {
    throw new ArgumentError(`A token id must be an integer from 0 to ${logits.length - 1}; found ${id}.`, { id });
  }
  if (!Number.isInteger(n) || n < 0) {
    throw new ArgumentError(`logprobs must be a non-negative integer; found ${n}.`, { option: "logprobs" });
  }
  const { max, logSum } = normaliser(logits);
  const logprobAt = (at: number) => logits[at] - max - logSum;
  const top = new TopIds();
  top.select(logits, n);
  return {
    logprob: logprobAt(id),
    top: Array.from(top.ids.subarray(0, top.count), (other) => ({ id: other, logprob: logprobAt(other) })),
  };
}

/** The log-probability of `id` in one row of logits, [V]. */
export function logprobOf(logits: Float32Array, id: number): number {
  const { max, logSum } = normaliser(logits);
  return logits[id] - max - logSum;
}

/** Kept apart, not added up: next to a huge maximum the logarithm would be rounded away. */
function normaliser(logits: Float32Array): { max: number; logSum: number } {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i] > max) max = logits[i];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - max);
  return { max, logSum: Math.log(sum) };
}
