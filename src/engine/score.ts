/** Reads a text and tells how well each token was predicted by what the session saw before it. */

import { ArgumentError } from "../util/errors.js";
import type { ScoreOptions, ScorePart } from "./api.js";
import { requireRoom } from "./default-context.js";
import type { LocalSession } from "./local-session.js";
import { logprobOf } from "./sampling-logprobs.js";

function positive(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new ArgumentError(`${option} must be a whole number of at least 1; found ${value}.`, { option });
}

/**
 * Parts of the scores of `ids`, in order; a cancelled run ends with what was read. Of the ids the first
 * `opening` (a start token) are read without a score, as is the very first token that an empty session reads: nothing is
 * there to predict it from.
 */
export async function* scoreText(
  session: LocalSession,
  ids: Int32Array,
  opening: number,
  options: ScoreOptions,
): AsyncGenerator<ScorePart, void, undefined> {
  const batch = Math.min(positive("batch", options.batch ?? 1), session.settings.chunk);
  const every = positive("every", options.every ?? 64);
  const { vocabulary } = session.model.info;
  const rowOf = (logits: Float32Array, row: number) => logits.subarray(row * vocabulary, (row + 1) * vocabulary);
  const { seen } = session.text;
  const waiting = session.waiting === undefined ? 0 : 1;
  requireRoom(session.settings, { seen, waiting, prompt: ids.length });
  if (session.settings.policy.wholePrompts) session.text.admit(waiting + ids.length);
  const known = await logitsBefore(session, ids);
  // The score of the next token, which counts once that token is read: so what is given out is what was read.
  let ahead = known && logprobOf(known, ids[0]);
  const pending: number[] = [];
  let start = known || opening > 0 ? 0 : 1;
  let started = performance.now();
  for (let at = 0; at < ids.length && !options.signal?.aborted; ) {
    const count = session.text.limit(Math.min(batch, ids.length - at));
    session.text.admit(count);
    await session.text.read(ids.subarray(at, at + count), "all", (logits) => {
      for (let row = 0; row < count; row++) {
        if (ahead !== undefined) pending.push(ahead);
        const next = at + row + 1;
        ahead = next < ids.length ? logprobOf(rowOf(logits, row), ids[next]) : undefined;
      }
      session.keepLogits(rowOf(logits, count - 1));
    });
    at += count;
    session.promptTokens += count;
    const last = at === ids.length || options.signal?.aborted;
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
  if (waiting === undefined) return nextLogits;
  session.text.admit(1);
  return session.text.read(Int32Array.of(waiting), "last", (logits) => {
    session.waiting = undefined;
    return session.keepLogits(logits);
  });
}
