/**
 * The proxy's end of the line to the engine's thread: matches replies to requests, keeps the process alive while
 * something is pending and only then, and fails everything at once when the thread dies.
 */
import { ArgumentError, InternalError, MemoryError, SluiceError } from "../../util/errors.js";
import type { Thread } from "../../util/platform.js";
import type { Caller } from "../calls/caller.js";
import {
  asFromHost,
  type FromHost,
  type Notice,
  type Reply,
  type RequestBody,
  type SessionView,
  type WirePart,
} from "./wire.js";
import { fromWireError } from "./wire-error.js";

interface Pending {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
  /** Where the call was made that this is a request of. */
  readonly caller: Caller | undefined;
  readonly onNotice: ((notice: Notice) => void) | undefined;
  readonly onParts: ((parts: readonly WirePart[]) => void) | undefined;
}

export interface RequestOptions {
  readonly caller?: Caller;
  readonly transfer?: readonly ArrayBuffer[];
  /** Progress while the request is pending. What it throws fails the request; whoever made it then stops the work. */
  readonly onNotice?: ((notice: Notice) => void) | undefined;
  /**
   * Takes parts while the request is pending. Such a request keeps the process alive only while someone waits (`hold`), and its
   * reply, also an error, is handed over as it is: what it says counts when the parts before it were taken.
   */
  readonly onParts?: ((parts: readonly WirePart[]) => void) | undefined;
}

/** A request on its way. */
export interface Sent {
  readonly id: number;
  readonly reply: Promise<Reply>;
}

export class EngineLine {
  private readonly thread: Thread;
  private readonly pending = new Map<number, Pending>();
  private readonly views = new Map<number, (view: SessionView) => void>();
  private lastId = 0;
  private waiting = 0;
  /** Why nothing can be asked any more; an error of its own for each call. */
  private ended: (() => SluiceError) | undefined;

  constructor(thread: Thread) {
    this.thread = thread;
    thread.onMessage((message) => this.take(asFromHost(message)));
    thread.onFailure((error) => this.end(() => threadDied(error)));
    thread.keepAlive(false);
  }

  /** @throws SluiceError when the thread has died or the model was disposed */
  check(caller?: Caller): void {
    if (!this.ended) return;
    const error = this.ended();
    throw caller ? caller.begin(error) : error;
  }

  /** Rejects with the typed error that the request failed with. */
  request(body: RequestBody, options?: RequestOptions): Promise<Reply> {
    return this.send(body, options).reply;
  }

  /** As `request`, and tells the id, to cancel it by. */
  send(body: RequestBody, { transfer, onNotice, onParts, caller }: RequestOptions = {}): Sent {
    const id = ++this.lastId;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.check(caller);
      this.post({ ...body, id }, transfer);
      this.pending.set(id, { resolve, reject, onNotice, onParts, caller });
      if (!onParts) this.count(1);
    });
    return { id, reply };
  }

  /** Keeps the process alive until the returned function is called. */
  hold(): () => void {
    this.count(1);
    return () => this.count(-1);
  }

  /** Asks for parts of the work that the request `id` began: `asked` in all. */
  ask(id: number, asked: number): void {
    if (!this.ended) this.thread.post({ type: "next", id, asked });
  }

  /** Of those who wait for something. */
  private count(change: 1 | -1): void {
    const before = this.waiting;
    this.waiting += change;
    if ((before === 0) !== (this.waiting === 0)) this.thread.keepAlive(this.waiting > 0);
  }

  /** Aborts the signal of a request on the other side. */
  cancel(id: number): void {
    if (!this.ended) this.thread.post({ type: "cancel", id });
  }

  /** Calls the listener with what each message tells of a session, until the returned function is called. */
  onView(session: number, listener: (view: SessionView) => void): () => void {
    this.views.set(session, listener);
    return () => this.views.delete(session);
  }

  /** Ends the thread; what is pending fails with `reason`. */
  async close(reason: () => SluiceError): Promise<void> {
    this.end(reason);
    await this.thread.terminate().catch(() => undefined);
  }

  /**
   * Ends the thread as `close` does, but first lets it give back what it has, if it does so within `patienceMs`: a thread
   * that is busy in a template or an expression hears nothing.
   */
  async shutDown(reason: () => SluiceError, patienceMs: number): Promise<void> {
    const hadEnded = this.ended !== undefined;
    this.end(reason);
    if (!hadEnded) await this.farewell(patienceMs);
    await this.close(reason);
  }

  private farewell(patienceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patienceMs);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      const id = ++this.lastId;
      const pending = { resolve: done, reject: done, onNotice: undefined, onParts: undefined, caller: undefined };
      this.pending.set(id, pending);
      this.count(1);
      this.thread.post({ type: "dispose", id });
    });
  }

  private post(message: unknown, transfer: readonly ArrayBuffer[] | undefined): void {
    try {
      this.thread.post(message, transfer);
    } catch (error) {
      const found = error instanceof Error ? error.message : String(error);
      throw new ArgumentError(`Options must be plain data to reach the engine's thread: ${found}`);
    }
  }

  private take(message: FromHost): void {
    if (message.type === "progress" || message.type === "prefill") {
      this.notify(message);
      return;
    }
    if (message.type === "parts") {
      this.pending.get(message.id)?.onParts?.(message.parts);
      return;
    }
    const pending = this.settle(message.id);
    if (message.view && !pending?.onParts) this.views.get(message.view.session)?.(message.view);
    if (message.type !== "error" || pending?.onParts) pending?.resolve(message);
    else if (pending) this.fail(pending, fromWireError(message.error));
  }

  private notify(notice: Notice): void {
    try {
      this.pending.get(notice.id)?.onNotice?.(notice);
    } catch (error) {
      this.settle(notice.id)?.reject(error);
    }
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    if (pending && this.pending.delete(id) && !pending.onParts) this.count(-1);
    return pending;
  }

  private fail({ reject, caller }: Pending, error: SluiceError): void {
    reject(caller ? caller.begin(error) : error);
  }

  private end(reason: () => SluiceError): void {
    this.ended ??= reason;
    for (const id of [...this.pending.keys()]) {
      const pending = this.settle(id);
      if (pending) this.fail(pending, this.ended());
    }
  }
}

function threadDied(error: Error): SluiceError {
  if (error instanceof SluiceError) return error;
  if ("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new MemoryError(`The engine's thread ran out of JavaScript memory: ${error.message}.`, {});
  }
  return new InternalError(`The engine's thread died: ${error.message}.`, {}, { cause: error });
}
