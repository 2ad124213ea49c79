/** Reads a text and tells how well each token was predicted by what the session saw before it. */

import { counted } from "../../util/figures.js";
import type { ScoreOptions, ScorePart } from "../api.js";
import type { Cancel } from "../calls/leaving.js";
import { logprobOf } from "../sampling/index.js";
import { requireRoom } from "./default-context.js";
import type { SessionSettings } from "./session-settings.js";
import type { TextState } from "./text-state.js";

/**
 * Parts of the scores of `ids`, in order; the last says whether it was all of them or the run was cancelled. Of the ids the
 * first `opening` (a start token) are read without a score, as is the very first token that an empty session reads: nothing is
 * there to predict it from.
 * @param ids undefined: cancelled before they were known
 */
export async function* scoreText(
  state: TextState,
  ids: Int32Array | undefined,
  opening: number,
  { batch = 1, every = 64 }: ScoreOptions,
  cancel: Cancel,
): AsyncGenerator<ScorePart, void, undefined> {
  if (!ids || cancel.aborted) {
    yield partOf(state, 0, [], 0, "cancelled");
    return;
  }
  admitWhole(state, ids.length);
  const most = Math.min(batch, state.settings.chunk);
  state.admitLogits(Math.min(most, ids.length));
  // One by one they are read as if the model had written them.
  const origin = most === 1 ? "written" : "given";
  const { vocabulary } = state.model.info;
  const rowOf = (logits: Float32Array, row: number) => logits.subarray(row * vocabulary, (row + 1) * vocabulary);
  const known = await logitsBefore(state, ids);
  // The score of the next token, which counts once that token is read: so what is given out is what was read.
  let ahead = known && logprobOf(known, ids[0]);
  const pending: number[] = [];
  let start = known || opening > 0 ? 0 : 1;
  let started = performance.now();
  let finish: ScorePart["finish"];
  for (let at = 0; !finish; ) {
    const count = at < ids.length ? state.reader.limit(Math.min(most, ids.length - at)) : 0;
    if (count > 0) {
      state.reader.admit(count, ids.length - at);
      const use = (logits: Float32Array) => {
        for (let row = 0; row < count; row++) {
          if (ahead !== undefined) pending.push(ahead);
          const next = at + row + 1;
          ahead = next < ids.length ? logprobOf(rowOf(logits, row), ids[next]) : undefined;
        }
        state.keepLogits(rowOf(logits, count - 1));
      };
      await state.read(ids.subarray(at, at + count), "all", use, { origin });
    }
    at += count;
    state.countPrompt(count);
    finish = at === ids.length ? "end" : cancel.aborted ? "cancelled" : undefined;
    if (pending.length < every && !finish) continue;
    const elapsedMs = performance.now() - started;
    state.decodeSpeed.add(pending.length, elapsedMs);
    yield partOf(state, start, pending, elapsedMs, finish);
    start += pending.length;
    pending.length = 0;
    await state.breath.take();
    started = performance.now();
    if (!finish && cancel.aborted) {
      yield partOf(state, start, [], 0, "cancelled");
      return;
    }
  }
}

/** What is to be said of a session some of whose text was scored with `batch`; 0: none was. */
export function scoreNotes({ policy, chunk }: SessionSettings, batch: number, seen: number): string[] {
  const rows = Math.min(batch, chunk);
  const { text, reading } = policy;
  if (!reading || rows <= 1 || seen <= reading.tokens) return [];
  return [
    `${text}: what is scored ${counted(rows, "token")} at once reads all that is kept, as a prompt does, so read=quest:${reading.tokens} changes ` +
      "nothing there. Score with a batch of 1 to measure it.",
  ];
}

/** The default context has no measure of a text that it would not read whole. @throws ContextFullError */
function admitWhole({ reader, settings, waiting, model }: TextState, count: number): void {
  const held = waiting === undefined ? 0 : 1;
  requireRoom(settings, model.info, { seen: reader.seen, waiting: held, prompt: count });
  if (settings.policy.wholePrompts) reader.admit(held + count, count);
}

function partOf(
  { usage }: TextState,
  start: number,
  logprobs: readonly number[],
  elapsedMs: number,
  finish: ScorePart["finish"],
): ScorePart {
  const part = { start, count: logprobs.length, logprobs: Float32Array.from(logprobs), elapsedMs, usage };
  return finish ? { ...part, finish } : part;
}

/** Logits that predict the first id, where something was read before; reads a token that still waits. */
async function logitsBefore(state: TextState, ids: Int32Array): Promise<Float32Array | undefined> {
  const { waiting, nextLogits } = state;
  if (ids.length === 0) return undefined;
  if (waiting === undefined) return nextLogits;
  state.reader.admit(1, 0);
  return state.read(Int32Array.of(waiting), "last", (logits) => state.keepLogits(logits), { origin: "written" });
}
