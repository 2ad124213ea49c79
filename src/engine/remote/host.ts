/**
 * The engine's side of the line: owns the model and its sessions, and does what the proxy asks. Messages are taken while
 * work is running (the sessions yield to the event loop between chunks and tokens), so cancelling is prompt.
 */
import { InternalError } from "../../util/errors.js";
import type { ThreadPort } from "../../util/platform.js";
import type { LoadOptions, Model, Session } from "../api.js";
import { sessionDisposed } from "../ended.js";
import { type CancelFlag, watched } from "./cancel-flag.js";
import { asToHost, type FromHost, type ReplyBody, type Request, type SessionView } from "./wire.js";
import { toWireError } from "./wire-error.js";
import { ownBytes, ownNumbers } from "./wire-values.js";
import { startWork, type Work } from "./work.js";

/** Loads a model in place, in the thread that calls it. */
export type LoadLocal = (reference: string, options: LoadOptions) => Promise<Model>;

/** Serves the other end of `port` until the thread ends. */
export function serveEngine(port: ThreadPort, loadLocal: LoadLocal): void {
  const host = new Host(port, loadLocal);
  port.onMessage((message) => host.take(message));
}

class Host {
  readonly #port: ThreadPort;
  readonly #loadLocal: LoadLocal;
  #model: Model | undefined;
  readonly #sessions = new Map<number, HostedSession>();
  /** Work that has begun, by the id of its start. */
  readonly #works = new Map<number, Work>();
  /** Signals by the id of the request that they cancel. */
  readonly #aborts = new Map<number, AbortController>();
  /** Raised when the model is disposed of. */
  #ended: CancelFlag | undefined;

  constructor(port: ThreadPort, loadLocal: LoadLocal) {
    this.#port = port;
    this.#loadLocal = loadLocal;
  }

  take(raw: unknown): void {
    const message = asToHost(raw);
    if (message.type === "cancel") this.#aborts.get(message.id)?.abort();
    else void this.#answer(message);
  }

  async #answer(request: Request): Promise<void> {
    const session = this.#sessionOf(request);
    let body: ReplyBody;
    try {
      body = await this.#serve(request);
    } catch (error) {
      body = { type: "error", error: toWireError(error) };
    }
    const isPart = body.type === "part" || body.type === "scorePart";
    const view = session === undefined ? undefined : this.#sessions.get(session)?.view(isPart);
    this.#post({ ...body, id: request.id, ...(view ? { view } : {}) }, transferOf(body));
  }

  #post(message: FromHost, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.post(message, transfer);
  }

  async #serve(request: Request): Promise<ReplyBody> {
    switch (request.type) {
      case "load":
        return this.#load(request);
      case "encode":
        return this.#cancellable(request, async (signal) => {
          const ids = await this.#loaded().encode(request.text, { ...request.options, signal });
          return { type: "ids", ids: ownNumbers(ids) };
        });
      case "decode":
        return { type: "text", text: await this.#loaded().decode(request.ids, request.options) };
      case "tokenTexts":
        return { type: "texts", texts: await this.#loaded().tokenTexts(request.ids) };
      case "renderChat":
        return this.#cancellable(request, async (signal) => ({
          type: "text",
          text: await this.#loaded().renderChat(request.messages, { signal }),
        }));
      case "plan":
        return { type: "plan", plan: await this.#loaded().plan(request.options) };
      case "dispose":
        return this.#dispose();
      case "next":
        return this.#nextPart(request.work);
      case "stop":
        return this.#stop(request.work);
      default:
        return this.#serveSession(request);
    }
  }

  /** Work that its flag, the end of the model, or a cancel message ends. */
  async #cancellable(
    { id, flag }: { readonly id: number; readonly flag?: CancelFlag },
    work: (signal: AbortSignal) => Promise<ReplyBody>,
  ): Promise<ReplyBody> {
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    try {
      return await work(watched(abort, [flag, this.#ended]));
    } finally {
      this.#aborts.delete(id);
    }
  }

  async #serveSession(
    request: Extract<Request, { readonly type: "open" | "restore" | "save" | "start" | "reset" | "close" }>,
  ): Promise<ReplyBody> {
    if (request.type === "open") {
      const session = this.#loaded().session(request.options);
      this.#sessions.set(request.session, new HostedSession(request.session, session));
      return { type: "done" };
    }
    if (request.type === "restore") {
      const session = await this.#loaded().restore(request.saved);
      this.#sessions.set(request.session, new HostedSession(request.session, session));
      return { type: "restored", context: session.context, notes: session.notes };
    }
    const hosted = this.#sessions.get(request.session);
    // Calls that were on their way when it was disposed of.
    if (!hosted) throw sessionDisposed();
    if (request.type === "start") return this.#start(request, hosted.session);
    if (request.type === "save") return { type: "saved", saved: ownBytes(await hosted.session.save()) };
    if (request.type === "reset") {
      await hosted.session.reset();
      return { type: "done" };
    }
    this.#sessions.delete(request.session);
    await hosted.session.dispose();
    return { type: "done" };
  }

  #start(request: Extract<Request, { readonly type: "start" }>, session: Session): Promise<ReplyBody> {
    const { id } = request;
    const abort = new AbortController();
    if (request.cancelled) abort.abort();
    const onPrefill = (done: number, total: number) => this.#post({ type: "prefill", id, done, total });
    const signal = watched(abort, [request.flag, this.#ended]);
    const steps = startWork(session, request.work, signal, request.prefill ? onPrefill : undefined);
    this.#aborts.set(id, abort);
    this.#works.set(id, { ...steps, session: request.session });
    return this.#nextPart(id);
  }

  async #load(request: Extract<Request, { readonly type: "load" }>): Promise<ReplyBody> {
    const abort = new AbortController();
    this.#ended = request.ended;
    this.#aborts.set(request.id, abort);
    try {
      this.#model = await this.#loadLocal(request.reference, {
        ...request.options,
        signal: abort.signal,
        onProgress: (progress) => this.#post({ type: "progress", id: request.id, progress }),
      });
    } finally {
      this.#aborts.delete(request.id);
    }
    return { type: "loaded", info: this.#model.info };
  }

  async #nextPart(id: number): Promise<ReplyBody> {
    const work = this.#works.get(id);
    if (!work) return { type: "done" };
    let part: ReplyBody | undefined;
    try {
      part = await work.next();
    } finally {
      if (!part) this.#forget(id);
    }
    return part ?? { type: "done" };
  }

  /** Cancels what is running, then lets the work clean up. */
  async #stop(id: number): Promise<ReplyBody> {
    this.#aborts.get(id)?.abort();
    try {
      await this.#works.get(id)?.stop();
    } finally {
      this.#forget(id);
    }
    return { type: "done" };
  }

  #forget(id: number): void {
    this.#works.delete(id);
    this.#aborts.delete(id);
  }

  async #dispose(): Promise<ReplyBody> {
    for (const abort of this.#aborts.values()) abort.abort();
    this.#sessions.clear();
    await this.#model?.dispose();
    this.#model = undefined;
    return { type: "done" };
  }

  #loaded(): Model {
    if (this.#model) return this.#model;
    throw new InternalError("The engine's thread has no model.");
  }

  #sessionOf(request: Request): number | undefined {
    if (request.type === "next" || request.type === "stop") return this.#works.get(request.work)?.session;
    return "session" in request ? request.session : undefined;
  }
}

/** Buffers that move to the proxy instead of being copied. */
function transferOf(body: ReplyBody): ArrayBuffer[] {
  if (body.type === "saved") return [body.saved.buffer];
  return body.type === "ids" && body.ids.buffer instanceof ArrayBuffer ? [body.ids.buffer] : [];
}

/** A session, and what of it the proxy has been told. */
class HostedSession {
  #toldMessages = 0;
  #toldNotes = 0;

  constructor(
    readonly id: number,
    readonly session: Session,
  ) {}

  /**
   * Usage each time; with a part the messages only when their number changed: a conversation is long, a token is not.
   * Notes when there is one more or less.
   */
  view(isPart: boolean): SessionView {
    const { usage, messages, notes } = this.session;
    const view = { session: this.id, usage, ...(notes.length !== this.#toldNotes && { notes }) };
    this.#toldNotes = notes.length;
    if (isPart && messages.length === this.#toldMessages) return view;
    this.#toldMessages = messages.length;
    return { ...view, messages };
  }
}
