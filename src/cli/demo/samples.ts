/**
 * Samples of the text for a policy whose every token costs a whole window. Under `recompute:N` a token depends on the N
 * tokens before it alone, so a stretch anywhere in the text, read after the N before it, has the scores that it would have
 * had if everything before had been read too.
 */

import type { ScorePart, Session } from "../../engine/api.js";
import { keepsAll } from "../gates-option.js";
import type { Ending, PolicyRun } from "./policy-run.js";
import type { DemoWork } from "./work.js";

/** So many stretches of so many tokens, where the time allows. */
const SAMPLES = 64;
const SAMPLE_TOKENS = 16;

export async function readSamples(work: DemoWork, run: PolicyRun, session: Session): Promise<Ending> {
  const { io, signal } = work;
  const { until } = run.plan;
  const reach = sharedReach(work);
  // One that does not count: it pays for compilation, and tells what one costs.
  const began = io.now();
  for await (const _ of sampleParts(work, session, sampleStarts(work, reach, 1)[0])) if (work.late(until)) break;
  // Fewer that are spread over the whole text are better than its beginning alone.
  const affordable = Math.floor(work.timeLeftMs(until) / Math.max(1, io.now() - began));
  const starts = sampleStarts(work, reach, Math.min(SAMPLES, affordable));
  run.begin(starts.length * Math.min(SAMPLE_TOKENS, reach));
  for (const start of starts) {
    for await (const part of sampleParts(work, session, start)) {
      if (part.count > 0) run.addSample(start, part);
      await work.live.update(run);
      if (work.late(until)) return "time";
    }
    if (signal.aborted) return "interrupted";
  }
  return "complete";
}

/** How far the policies got that the samples are compared with. */
function sharedReach({ runs, text }: DemoWork): number {
  const tokens = runs.filter(({ name, plan }) => !keepsAll(name) && !plan.sampled && plan.tokens > 0);
  return tokens.reduce((least, { measurement }) => Math.min(least, measurement?.tokens || least), text.tokens);
}

/** Where samples begin, evenly from the first full window to the end of the reach; at least one. */
function sampleStarts({ plan }: DemoWork, reach: number, wanted: number): number[] {
  const last = Math.max(0, reach - SAMPLE_TOKENS);
  const first = Math.min(plan.window, last);
  const count = Math.max(1, Math.min(wanted, Math.floor((last - first) / SAMPLE_TOKENS) + 1));
  if (count === 1) return [first];
  return Array.from({ length: count }, (_, at) => first + Math.round((at * (last - first)) / (count - 1)));
}

/** Reads the window before `start` without scores, then the sample token by token. */
async function* sampleParts(work: DemoWork, session: Session, start: number): AsyncGenerator<ScorePart, void> {
  const { ids, opening } = work.text;
  const at = opening + start;
  await session.reset();
  const before = ids.subarray(Math.max(0, at - work.plan.window), at);
  if (before.length > 0) {
    for await (const { finish } of session.generate(before, { maxTokens: 0, signal: work.signal })) {
      if (finish === "cancelled") return;
    }
  }
  yield* session.score(ids.subarray(at, at + SAMPLE_TOKENS), { batch: 1, every: 1, signal: work.signal });
}
