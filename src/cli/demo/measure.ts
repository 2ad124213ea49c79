/** Runs the policies of the demonstration over the text, one after the other, each until its share of the time ends. */

import type { Session, SessionOptions } from "../../engine/api.js";
import { keepsAll } from "../gates-option.js";
import { isCancellation } from "../interrupt.js";
import { partLength } from "../stream/measurement.js";
import { warmUp } from "../stream/warm-up.js";
import type { Ending, PolicyRun } from "./policy-run.js";
import { readSamples } from "./samples.js";
import type { DemoWork } from "./work.js";

/** @returns the session that can write on, where its policy got that far; the caller disposes of it */
export async function measurePolicies(work: DemoWork): Promise<Session | undefined> {
  let writer: Session | undefined;
  const [first] = work.runs;
  const options = sessionOptions(work, first);
  await warmUp(work.model, options, work.text.ids, { batch: 1, signal: work.signal });
  for (const run of work.runs) {
    if (work.signal.aborted) break;
    const session = await measurePolicy(work, run);
    if (run.name === work.plan.writer && run.ending !== "error") writer = session;
    else await session?.dispose();
  }
  return writer;
}

/** What goes wrong becomes part of the run, so that the others still run. */
async function measurePolicy(work: DemoWork, run: PolicyRun): Promise<Session | undefined> {
  const { io, model, live } = work;
  let session: Session | undefined;
  try {
    session = model.session(sessionOptions(work, run));
    await live.note(session);
    run.ending = await (run.plan.sampled ? readSamples(work, run, session) : readThrough(work, run, session));
  } catch (thrown) {
    run.ending = isCancellation(thrown) ? "interrupted" : "error";
    if (run.ending === "error") run.error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  run.residentBytes = io.runtime.residentMemoryBytes();
  await live.policyEnded(run);
  return session;
}

function sessionOptions({ text }: DemoWork, { name, plan }: PolicyRun): SessionOptions {
  // Without a length `full` would end where the training did.
  return { context: name, ...(keepsAll(name) && { contextLength: text.opening + plan.tokens }) };
}

/** The text from its beginning, token by token. */
async function readThrough(work: DemoWork, run: PolicyRun, session: Session): Promise<Ending> {
  const { text, live, signal } = work;
  const { tokens, until } = run.plan;
  const measurement = run.begin(tokens);
  const ids = text.ids.subarray(0, text.opening + tokens);
  for await (const part of session.score(ids, { batch: 1, every: partLength(tokens, 1), signal })) {
    measurement.add({ ...part, start: part.start - text.opening });
    await live.update(run);
    if (measurement.tokens < tokens && work.late(until)) return "time";
  }
  return signal.aborted ? "interrupted" : "complete";
}
