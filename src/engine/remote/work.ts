/**
 * Work of a session that gives parts, as the host runs it: one `next` for each part that the proxy asks for.
 */
import type { Session } from "../api.js";
import type { ReplyBody, WireWork } from "./wire.js";
import { ownFloats } from "./wire-values.js";

export interface WorkSteps {
  /** The next part; undefined at the end. */
  next(): Promise<ReplyBody | undefined>;
  /** Ends the work early. */
  stop(): Promise<void>;
}

export interface Work extends WorkSteps {
  readonly session: number;
}

/** Begins work; nothing is computed until the first `next`. */
export function startWork(
  session: Session,
  work: WireWork,
  signal: AbortSignal,
  onPrefill: ((done: number, total: number) => void) | undefined,
): WorkSteps {
  if (work.kind === "score") {
    const parts = session.score(work.text, { ...work.options, signal });
    return steps(parts, (part) => ({ type: "scorePart", part: { ...part, logprobs: ownFloats(part.logprobs) } }));
  }
  const options = { ...work.options, signal, ...(onPrefill ? { onPrefill } : {}) };
  const parts = work.kind === "chat" ? session.chat(work.messages, options) : session.generate(work.prompt, options);
  return steps(parts, (part) => ({ type: "part", part }));
}

function steps<Part>(parts: AsyncGenerator<Part, void, undefined>, reply: (part: Part) => ReplyBody): WorkSteps {
  return {
    async next() {
      const result = await parts.next();
      return result.done ? undefined : reply(result.value);
    },
    async stop() {
      await parts.return();
    },
  };
}
