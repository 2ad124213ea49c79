/** Reads a text and tells how well each token was predicted by what the session saw before it. */
import { ArgumentError } from "../util/errors.js";
import type { ScoreOptions, ScorePart } from "./api.js";
import type { LocalSession } from "./local-session.js";

/** Natural-log probability of `id` in one row of logits, in double precision. */
function logprob(logits: Float32Array, offset: number, vocabulary: number, id: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = offset; i < offset + vocabulary; i++) if (logits[i] > most) most = logits[i];
  let sum = 0;
  for (let i = offset; i < offset + vocabulary; i++) sum += Math.exp(logits[i] - most);
  return logits[offset + id] - most - Math.log(sum);
}

function positive(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new ArgumentError(`${option} must be a whole number of at least 1; found ${value}.`, { option });
}

/**
 * Parts of the scores of `ids`, of which the first `opening` (a start token) are read without a score. So is the very
 * first token that an empty session reads: nothing is there to predict it from.
 */
export async function* scoreText(
  session: LocalSession,
  ids: Int32Array,
  opening: number,
  options: ScoreOptions,
): AsyncGenerator<ScorePart, void, undefined> {
  const batch = positive("batch", options.batch ?? 1);
  const every = positive("every", options.every ?? 64);
  const { vocabulary } = session.model.info;
  const known = await logitsBefore(session, ids);
  const pending: number[] = known ? [logprob(known, 0, vocabulary, ids[0])] : [];
  let start = known || opening > 0 ? 0 : 1;
  let started = performance.now();
  for (let at = 0; at < ids.length; ) {
    if (options.signal?.aborted) break;
    const count = session.text.limit(Math.min(batch, ids.length - at));
    session.text.admit(count);
    await session.text.read(ids.subarray(at, at + count), "all", (logits) => {
      for (let row = 0; row < count && at + row + 1 < ids.length; row++) {
        pending.push(logprob(logits, row * vocabulary, vocabulary, ids[at + row + 1]));
      }
      if (at + count === ids.length) session.nextLogits = logits.slice((count - 1) * vocabulary, count * vocabulary);
    });
    at += count;
    session.promptTokens += count;
    const last = at === ids.length;
    if (pending.length < every && !last) continue;
    const elapsedMs = performance.now() - started;
    session.decodeSpeed.add(pending.length, elapsedMs);
    yield { start, count: pending.length, logprobs: Float32Array.from(pending), elapsedMs, usage: session.usage };
    start += pending.length;
    pending.length = 0;
    await session.breathe();
    started = performance.now();
  }
}

/** Logits that predict the first id, where something was read before; reads a token that still waits. */
async function logitsBefore(session: LocalSession, ids: Int32Array): Promise<Float32Array | undefined> {
  const { waiting, nextLogits } = session;
  if (ids.length === 0) return undefined;
  session.nextLogits = undefined;
  if (waiting === undefined) return nextLogits;
  session.text.admit(1);
  return session.text.read(Int32Array.of(waiting), "last", (logits) => {
    session.waiting = undefined;
    return logits.slice();
  });
}
