/**
 * The parts of work on the other side, as the reader takes them. They come in batches, ahead of what was asked for; what the
 * session shows, and how the work ends, counts when the reader gets there. Where it is left or cancelled after a part, what
 * came ahead is dropped here and taken back there.
 */
import type { SluiceError } from "../../util/errors.js";
import type { Part, ScorePart } from "../api.js";
import type { Caller } from "../calls/caller.js";
import type { EngineLine } from "./line.js";
import type { Reply, SessionView, WirePart } from "./wire.js";
import { fromWireError } from "./wire-error.js";

/** Parts that are taken without having been asked for. */
export const PART_CREDIT = 128;

export interface StreamOptions {
  readonly line: EngineLine;
  readonly caller: Caller;
  /** Whether the work was cancelled on this side. */
  readonly isCancelled: () => boolean;
  /** Why nothing can be read any more, where that is so. */
  readonly gone: () => SluiceError | undefined;
  readonly show: (view: SessionView) => void;
}

export class PartStream {
  /** Of the request that began the work. */
  private id = 0;
  private readonly waiting: WirePart[] = [];
  private taken = 0;
  private asked = 1;
  private end: { readonly reply: Reply } | { readonly error: unknown } | undefined;
  private hasEnded = false;
  private gaveLast = false;
  /** The last part was made the end. */
  private wasCut = false;
  private wake: () => void = () => {};

  constructor(private readonly options: StreamOptions) {}

  /** @param id of the request that began the work; `reply` ends it */
  begin(id: number, reply: Promise<Reply>): void {
    this.id = id;
    reply.then(
      (reply) => this.finish({ reply }),
      (error: unknown) => this.finish({ error }),
    );
  }

  get isOver(): boolean {
    return this.hasEnded;
  }

  push(parts: readonly WirePart[]): void {
    this.waiting.push(...parts);
    this.wake();
  }

  private finish(end: PartStream["end"]): void {
    this.end = end;
    this.wake();
  }

  /** The next part; undefined at the end. */
  async next(): Promise<Part | ScorePart | undefined> {
    const { line, caller, gone } = this.options;
    if (this.wasCut) {
      await this.stop();
      return undefined;
    }
    line.check(caller);
    const reason = this.gaveLast ? undefined : gone();
    if (reason) {
      // What came ahead does not count, as nothing would have been read any more.
      this.hasEnded = true;
      throw caller.begin(reason);
    }
    this.ask();
    await this.arrival();
    const found = this.waiting.shift();
    if (found) return this.take(found);
    return this.over();
  }

  /** Tells the other side where the reader is, when it waits for more or has taken a good part of the credit. */
  private ask(): void {
    const wanted = this.taken + 1;
    if (wanted <= this.asked || this.end) return;
    if (this.waiting.length > 0 && wanted - this.asked < PART_CREDIT / 2) return;
    this.asked = wanted;
    this.options.line.ask(this.id, wanted);
  }

  /** Something to give; the process stays alive meanwhile. */
  private async arrival(): Promise<void> {
    if (this.waiting.length > 0 || this.end) return;
    const release = this.options.line.hold();
    try {
      while (this.waiting.length === 0 && !this.end) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    } finally {
      release();
    }
  }

  private take({ part, view, heldBack }: WirePart): Part | ScorePart {
    this.taken++;
    this.gaveLast = part.finish !== undefined;
    this.options.show(view);
    if (heldBack === undefined || part.finish === "cancelled" || part.finish === "stop") return part;
    if (!("text" in part) || part.id === undefined || !this.options.isCancelled()) return part;
    this.wasCut = true;
    this.gaveLast = true;
    return { ...part, text: part.text + heldBack, finish: "cancelled" };
  }

  private over(): undefined {
    const { end } = this;
    // What went wrong on this side leaves the work as it is.
    if (end && "error" in end) throw end.error;
    this.hasEnded = true;
    if (!end) return undefined;
    const { reply } = end;
    if (reply.view) this.options.show(reply.view);
    if (reply.type === "error") throw this.options.caller.begin(fromWireError(reply.error));
    return undefined;
  }

  /** Nobody wants what is still to come. */
  async stop(): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.waiting.length = 0;
    const { line } = this.options;
    const request = { type: "stop", work: this.id, taken: this.taken, cancelled: this.wasCut } as const;
    await line.request(request).catch(() => undefined);
  }
}
