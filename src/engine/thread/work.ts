/**
 * Work of a session that gives parts, as the host runs it: parts are pushed in batches to the one who reads them. Until that
 * one has asked for the next part, the work goes on only within the credit, for a short time, and only where it can be taken
 * back: who leaves after a part, or cancels, finds the session as it was after that part.
 */
import type { Part, ScorePart, Session } from "../api.js";
import type { RunAhead, SessionMark } from "../session/run-ahead.js";
import type { SessionView, WirePart, WireWork } from "./wire.js";
import { ownFloats } from "./wire-values.js";

/** A session whose generations may be able to run ahead. */
export interface ServedSession extends Session {
  readonly ahead?: RunAhead | undefined;
}

/** How long work goes on that nobody has asked for: so a reader that pauses wastes no more than this. */
const AHEAD_MS = 30;
/** Parts are held for a batch this long, while there is more to come. */
const BATCH_MS = 4;

export interface WorkOptions {
  readonly session: ServedSession;
  /** Parts that the reader takes without having asked for them. */
  readonly credit: number;
  readonly parts: AsyncGenerator<WirePart["part"], void, undefined>;
  /** What the session shows now. */
  readonly view: () => SessionView;
  readonly post: (parts: readonly WirePart[]) => void;
  /** Whether parts should go out one by one, as there is other work that may hold this one up. */
  readonly isShared: () => boolean;
}

export class Work {
  /** Resolves when the work has ended, rejects with what it failed with. Parts were sent before. */
  readonly ended: Promise<void>;
  private asked = 1;
  private made = 0;
  private askedAt = performance.now();
  private postedAt = Number.NEGATIVE_INFINITY;
  private batch: WirePart[] = [];
  private readonly marks = new Map<number, SessionMark>();
  private isStopping = false;
  private isLast = false;
  private isRunning = true;
  private wake: () => void = () => {};

  constructor(private readonly options: WorkOptions) {
    this.ended = this.run();
    // Told to the one who asks; stopping may be first.
    this.ended.catch(() => {});
  }

  /** The reader wants `asked` parts in all. */
  ask(asked: number): void {
    if (asked <= this.asked) return;
    this.asked = asked;
    this.askedAt = performance.now();
    for (const part of this.marks.keys()) if (part < asked - 1) this.marks.delete(part);
    this.wake();
  }

  /**
   * The reader has taken `taken` parts and wants no more. `cancelled`: it made the last of them the end, with the text that
   * was held back.
   */
  async stop(taken: number, cancelled: boolean): Promise<void> {
    this.isStopping = true;
    this.wake();
    await this.ended.catch(() => {});
    const { parts, session } = this.options;
    // Nobody can have taken less than the first part, unless something of his own failed before.
    const mark = this.marks.get(Math.max(1, taken));
    if (mark && taken < this.made) session.ahead?.takeBack(mark);
    if (taken === 0) session.ahead?.gaveNothing();
    if (mark && cancelled) session.ahead?.gaveRest(mark);
    await parts.return();
    session.ahead?.settle();
  }

  /** Neither ended nor failed. */
  get isOpen(): boolean {
    return this.isRunning;
  }

  private async run(): Promise<void> {
    const { parts } = this.options;
    try {
      for (;;) {
        while (!this.isStopping && !this.mayGoOn()) await this.asking();
        if (this.isStopping) return;
        const result = await parts.next();
        if (result.done) return;
        this.made++;
        this.take(result.value);
      }
    } finally {
      this.isRunning = false;
      this.flush();
    }
  }

  private mayGoOn(): boolean {
    if (this.made < this.asked) return true;
    const { session, credit } = this.options;
    if (this.isLast || this.made - this.asked >= credit - 1 || !session.ahead) return false;
    return performance.now() - this.askedAt < AHEAD_MS && session.ahead.mayGoOn();
  }

  /** Waits until more is asked for. What was made is wanted now. */
  private asking(): Promise<void> {
    this.flush();
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private take(part: Part | ScorePart): void {
    const { session, credit, view, isShared } = this.options;
    this.isLast = part.finish !== undefined;
    const mark = credit > 1 ? session.ahead?.mark() : undefined;
    if (mark) this.marks.set(this.made, mark);
    this.batch.push({ part, view: view(), ...(mark && { heldBack: this.isLast ? "" : mark.heldBack }) });
    const now = performance.now();
    if (this.isLast || isShared() || now - this.postedAt >= BATCH_MS) this.flush();
  }

  private flush(): void {
    if (this.batch.length === 0) return;
    this.options.post(this.batch);
    this.batch = [];
    this.postedAt = performance.now();
  }
}

/** Begins work; nothing is computed until its first part is asked for. */
export function partsOf(
  session: Session,
  work: WireWork,
  signal: AbortSignal,
  onPrefill: ((done: number, total: number) => void) | undefined,
): AsyncGenerator<WirePart["part"], void, undefined> {
  if (work.kind === "score") return scored(session.score(work.text, { ...work.options, signal }));
  const options = { ...work.options, signal, ...(onPrefill ? { onPrefill } : {}) };
  return work.kind === "chat" ? session.chat(work.messages, options) : session.generate(work.prompt, options);
}

/** Numbers that share no memory. */
async function* scored(parts: AsyncGenerator<ScorePart, void, undefined>): AsyncGenerator<ScorePart, void, undefined> {
  for await (const part of parts) yield { ...part, logprobs: ownFloats(part.logprobs) };
}
