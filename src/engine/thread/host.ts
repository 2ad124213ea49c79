/**
 * The engine's side of the line: owns the model and its sessions, and does what the proxy asks. Messages are taken while
 * work is running (the sessions yield to the event loop between chunks and tokens), so cancelling is prompt.
 */
import type { GatesByName } from "../../context/gates/index.js";
import { InternalError } from "../../util/errors.js";
import type { ThreadPort } from "../../util/platform.js";
import type { LoadOptions, Model, SessionOptions } from "../api.js";
import { sessionDisposed } from "../calls/ended.js";
import { type CancelFlag, watched } from "./cancel-flag.js";
import { asToHost, type FromHost, type ReplyBody, type Request, type SessionView } from "./wire.js";
import { toWireError } from "./wire-error.js";
import { ownBytes, ownNumbers } from "./wire-values.js";
import { partsOf, type ServedSession, Work } from "./work.js";

/** Loads a model in place, in the thread that calls it. */
export type LoadLocal = (reference: string, options: LoadOptions) => Promise<ServedModel>;

/** A model whose sessions may let their generations run ahead. */
export interface ServedModel extends Model {
  readonly gates: GatesByName;
  session(options?: SessionOptions): ServedSession;
  restore(saved: ArrayBufferView | ArrayBufferLike): Promise<ServedSession>;
}

/** Serves the other end of `port` until the thread ends. */
export function serveEngine(port: ThreadPort, loadLocal: LoadLocal): void {
  const host = new Host(port, loadLocal);
  port.onMessage((message) => host.take(message));
}

class Host {
  private readonly port: ThreadPort;
  private readonly loadLocal: LoadLocal;
  private model: ServedModel | undefined;
  private readonly sessions = new Map<number, HostedSession>();
  /** Work that has begun, by the id of its start. */
  private readonly works = new Map<number, { readonly session: number; readonly work: Work }>();
  /** Signals by the id of the request that they cancel. */
  private readonly aborts = new Map<number, AbortController>();
  /** Raised when the model is disposed of. */
  private ended: CancelFlag | undefined;

  constructor(port: ThreadPort, loadLocal: LoadLocal) {
    this.port = port;
    this.loadLocal = loadLocal;
  }

  take(raw: unknown): void {
    const message = asToHost(raw);
    if (message.type === "cancel") this.aborts.get(message.id)?.abort();
    else if (message.type === "next") this.works.get(message.id)?.work.ask(message.asked);
    else void this.answer(message);
  }

  private async answer(request: Request): Promise<void> {
    const session = this.sessionOf(request);
    let body: ReplyBody;
    try {
      body = await this.serve(request);
    } catch (error) {
      body = { type: "error", error: toWireError(error) };
    }
    const view = session === undefined ? undefined : this.viewOf(session, request.id);
    this.post({ ...body, id: request.id, ...(view ? { view } : {}) }, transferOf(body));
  }

  private post(message: FromHost, transfer: readonly ArrayBuffer[] = []): void {
    this.port.post(message, transfer);
  }

  private async serve(request: Request): Promise<ReplyBody> {
    switch (request.type) {
      case "load":
        return this.load(request);
      case "encode":
        return this.cancellable(request, async (signal) => {
          const ids = await this.loaded().encode(request.text, { ...request.options, signal });
          return { type: "ids", ids: ownNumbers(ids) };
        });
      case "decode":
        return { type: "text", text: await this.loaded().decode(request.ids, request.options) };
      case "tokenTexts":
        return { type: "texts", texts: await this.loaded().tokenTexts(request.ids) };
      case "renderChat":
        return this.cancellable(request, async (signal) => ({
          type: "text",
          text: await this.loaded().renderChat(request.messages, { signal }),
        }));
      case "plan":
        return { type: "plan", plan: await this.loaded().plan(request.options) };
      case "metrics":
        return { type: "metrics", metrics: await this.loaded().metrics() };
      case "dispose":
        return this.dispose();
      case "stop":
        return this.stop(request);
      default:
        return this.serveSession(request);
    }
  }

  /** Work that its flag, the end of the model, or a cancel message ends. */
  private async cancellable(
    { id, flag }: { readonly id: number; readonly flag?: CancelFlag },
    work: (signal: AbortSignal) => Promise<ReplyBody>,
  ): Promise<ReplyBody> {
    const abort = new AbortController();
    this.aborts.set(id, abort);
    try {
      return await work(watched(abort, [flag, this.ended]));
    } finally {
      this.aborts.delete(id);
    }
  }

  private async serveSession(
    request: Extract<Request, { readonly type: "open" | "restore" | "fork" | "save" | "start" | "reset" | "close" }>,
  ): Promise<ReplyBody> {
    if (request.type === "open") {
      const session = this.loaded().session(request.options);
      this.sessions.set(request.session, new HostedSession(request.session, session));
      return { type: "done" };
    }
    if (request.type === "restore") {
      const session = await this.loaded().restore(request.saved);
      this.sessions.set(request.session, new HostedSession(request.session, session));
      return { type: "restored", context: session.context, notes: session.notes };
    }
    if (request.type === "fork") return this.fork(request);
    const hosted = this.sessions.get(request.session);
    // Calls that were on their way when it was disposed of.
    if (!hosted) throw sessionDisposed();
    if (request.type === "start") return this.start(request, hosted);
    if (request.type === "save") return { type: "saved", saved: ownBytes(await hosted.session.save()) };
    if (request.type === "reset") {
      await hosted.session.reset();
      return { type: "done" };
    }
    this.sessions.delete(request.session);
    this.forgetWorks(request.session);
    await hosted.session.dispose();
    return { type: "done" };
  }

  private async fork({ session, from }: Extract<Request, { readonly type: "fork" }>): Promise<ReplyBody> {
    const hosted = this.sessions.get(from);
    if (!hosted) throw sessionDisposed();
    const made = await hosted.session.fork();
    this.sessions.set(session, new HostedSession(session, made));
    return { type: "restored", context: made.context, notes: made.notes };
  }

  private async start(
    request: Extract<Request, { readonly type: "start" }>,
    hosted: HostedSession,
  ): Promise<ReplyBody> {
    const { id, credit } = request;
    const { session } = hosted;
    const abort = new AbortController();
    if (request.cancelled) abort.abort();
    const onPrefill = (done: number, total: number) => this.post({ type: "prefill", id, done, total });
    const signal = watched(abort, [request.flag, this.ended]);
    const parts = partsOf(session, request.work, signal, request.prefill ? onPrefill : undefined);
    this.forgetFailed(hosted.id);
    this.aborts.set(id, abort);
    const work = new Work({
      session,
      credit,
      parts,
      view: () => hosted.view("changes"),
      post: (batch) => this.post({ type: "parts", id, parts: batch }),
      isShared: () => [...this.works.values()].filter(({ work: { isOpen } }) => isOpen).length > 1,
    });
    this.works.set(id, { session: hosted.id, work });
    await work.ended;
    this.forget(id);
    return { type: "done" };
  }

  private async load(request: Extract<Request, { readonly type: "load" }>): Promise<ReplyBody> {
    const abort = new AbortController();
    this.ended = request.ended;
    this.aborts.set(request.id, abort);
    try {
      this.model = await this.loadLocal(request.reference, {
        ...request.options,
        signal: abort.signal,
        onProgress: (progress) => this.post({ type: "progress", id: request.id, progress }),
      });
    } finally {
      this.aborts.delete(request.id);
    }
    return { type: "loaded", info: this.model.info, gates: this.model.gates };
  }

  /** Cancels what is running, then lets the work clean up. */
  private async stop({ work: id, taken, cancelled }: Extract<Request, { readonly type: "stop" }>): Promise<ReplyBody> {
    this.aborts.get(id)?.abort();
    try {
      await this.works.get(id)?.work.stop(taken, cancelled);
    } finally {
      this.forget(id);
    }
    return { type: "done" };
  }

  /** Work that failed ahead of its reader is kept until it cannot be taken back any more. */
  private forgetFailed(session: number): void {
    for (const [id, { session: other, work }] of this.works) if (other === session && !work.isOpen) this.forget(id);
  }

  private forgetWorks(session: number): void {
    for (const [id, { session: other }] of this.works) if (other === session) this.forget(id);
  }

  private forget(id: number): void {
    this.works.delete(id);
    this.aborts.delete(id);
  }

  private async dispose(): Promise<ReplyBody> {
    for (const abort of this.aborts.values()) abort.abort();
    this.sessions.clear();
    await this.model?.dispose();
    this.model = undefined;
    return { type: "done" };
  }

  private loaded(): ServedModel {
    if (this.model) return this.model;
    throw new InternalError("The engine's thread has no model.");
  }

  private sessionOf(request: Request): number | undefined {
    if (request.type === "stop") return this.works.get(request.work)?.session;
    return "session" in request ? request.session : undefined;
  }

  /** What a session shows with a reply; nothing while work of another request is ahead of what its reader has seen. */
  private viewOf(session: number, request: number): SessionView | undefined {
    const isAhead = [...this.works].some(
      ([id, other]) => id !== request && other.session === session && other.work.isOpen,
    );
    return isAhead ? undefined : this.sessions.get(session)?.view("all");
  }
}

/** Buffers that move to the proxy instead of being copied. */
function transferOf(body: ReplyBody): ArrayBuffer[] {
  if (body.type === "saved") return [body.saved.buffer];
  return body.type === "ids" && body.ids.buffer instanceof ArrayBuffer ? [body.ids.buffer] : [];
}

/** A session, and what of it the proxy has been told. */
class HostedSession {
  private toldMessages = 0;
  private toldNotes = "";

  constructor(
    readonly id: number,
    readonly session: ServedSession,
  ) {}

  /**
   * Usage each time. With a part, notes only where they changed, and messages where their number did: a conversation is long, a
   * token is not.
   */
  view(what: "all" | "changes"): SessionView {
    const { usage, messages, notes } = this.session;
    const changed = <T>(now: T, told: T) => what === "all" || now !== told;
    const noted = notes.join("\n");
    const view = {
      session: this.id,
      usage,
      ...(changed(messages.length, this.toldMessages) && { messages }),
      ...(changed(noted, this.toldNotes) && { notes }),
    };
    this.toldMessages = messages.length;
    this.toldNotes = noted;
    return view;
  }
}
