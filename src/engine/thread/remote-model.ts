/**
 * A model that runs in the engine's own thread, so that the caller's event loop stays free: the same face as in place.
 */
import type { GatesByName } from "../../context/gates/index.js";
import { copyBytes } from "../../util/bytes.js";
import { CancelledError, type SluiceError } from "../../util/errors.js";
import type { Thread } from "../../util/platform.js";
import type {
  ChatMessageInput,
  DecodeTextOptions,
  EncodeTextOptions,
  LoadOptions,
  MemoryPlan,
  Model,
  ModelInfo,
  ModelMetrics,
  RenderChatOptions,
  Session,
  SessionOptions,
} from "../api.js";
import { ASYNC_DISPOSE } from "../calls/async-dispose.js";
import { decodeOptions, encodeOptions, loadOptions, renderOptions } from "../calls/call-options.js";
import { Caller } from "../calls/caller.js";
import { modelDisposed } from "../calls/ended.js";
import { ownIds, ownMessages, ownText } from "../calls/values.js";
import { ownGates, readGates } from "../loading/given-gates.js";
import { fitNotes } from "../session/policy-fit.js";
import { sentOptions, settingsFor } from "../session/session-options.js";
import { type CancelFlag, cancelFlag, raise } from "./cancel-flag.js";
import { EngineLine, type RequestOptions } from "./line.js";
import { RemoteSession } from "./remote-session.js";
import { expectReply, type Reply, type RequestBody } from "./wire.js";

/** How long a thread that was asked to end, or to stop loading, may take before it is ended. */
const PATIENCE_MS = 2000;
const LOADING_PATIENCE_MS = 1000;

const loadingCancelled = () => new CancelledError("Loading was cancelled.");

/**
 * Loads a model in `thread`, which must serve the engine (host.ts). The thread belongs to the model: it ends with
 * `dispose`, or when loading fails.
 * @throws what loading in place throws
 */
export async function loadRemote(
  thread: Thread,
  reference: string,
  options?: LoadOptions,
  caller = new Caller(loadRemote),
): Promise<Model> {
  const line = new EngineLine(thread);
  let stopWaiting = () => {};
  try {
    const { signal, onProgress, thread: _, ...plain } = loadOptions(options);
    if (signal?.aborted) throw loadingCancelled();
    const gates = plain.gates && (await readGates(ownGates(plain.gates), { signal, store: plain.store }));
    const ended = cancelFlag();
    const { id, reply } = line.send(
      { type: "load", reference, options: { ...plain, ...(gates && { gates }) }, ...(ended && { ended }) },
      { caller, onNotice: (notice) => notice.type === "progress" && onProgress?.(notice.progress) },
    );
    if (signal) stopWaiting = cancelLoading(line, id, signal);
    const loaded = expectReply(await reply, "loaded");
    return new RemoteModel(line, loaded.info, loaded.gates, ended);
  } catch (error) {
    await line.close(loadingCancelled);
    throw error;
  } finally {
    stopWaiting();
  }
}

/** Asks the thread to stop once the signal is aborted, and ends it when it does not. Returns how to stop watching. */
function cancelLoading(line: EngineLine, id: number, signal: AbortSignal): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const cancel = () => {
    line.cancel(id);
    timer = setTimeout(() => void line.close(loadingCancelled), LOADING_PATIENCE_MS);
  };
  signal.addEventListener("abort", cancel);
  return () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
  };
}

class RemoteModel implements Model {
  private readonly line: EngineLine;
  /** Raised when the model is disposed of: what the thread is at then ends by itself. */
  private readonly ended: CancelFlag | undefined;
  private sessions = 0;
  private readonly nextId = () => ++this.sessions;
  private disposed: Promise<void> | undefined;

  constructor(
    line: EngineLine,
    readonly info: ModelInfo,
    readonly gates: GatesByName,
    ended: CancelFlag | undefined,
  ) {
    this.line = line;
    this.ended = ended;
  }

  session(options?: SessionOptions): Session {
    this.line.check();
    const settings = settingsFor(this, options);
    const opening = { settings, info: this.info, notes: fitNotes(settings, this.info) };
    return RemoteSession.open(this.line, this.nextId, opening);
  }

  async restore(saved: ArrayBufferView | ArrayBufferLike): Promise<Session> {
    const caller = new Caller(this.restore);
    this.line.check(caller);
    const bytes = copyBytes(saved, "A saved session");
    return RemoteSession.restore(this.line, this.nextId, { bytes, info: this.info, caller });
  }

  async encode(text: string, options?: EncodeTextOptions): Promise<Int32Array> {
    const caller = new Caller(this.encode);
    this.line.check(caller);
    const { signal, ...plain } = encodeOptions(options);
    const body = { type: "encode", text: ownText("encode", text), options: plain } as const;
    return expectReply(await this.cancellable(body, caller, signal), "ids").ids;
  }

  async decode(ids: ArrayLike<number>, options?: DecodeTextOptions): Promise<string> {
    const caller = new Caller(this.decode);
    this.line.check(caller);
    const own = ownIds("decode", ids);
    const body = { type: "decode", ids: own, options: decodeOptions(options) } as const;
    const reply = await this.line.request(body, { transfer: [own.buffer], caller });
    return expectReply(reply, "text").text;
  }

  async tokenTexts(ids: ArrayLike<number>): Promise<string[]> {
    const caller = new Caller(this.tokenTexts);
    this.line.check(caller);
    const own = ownIds("tokenTexts", ids);
    const reply = await this.line.request({ type: "tokenTexts", ids: own }, { transfer: [own.buffer], caller });
    return expectReply(reply, "texts").texts;
  }

  async renderChat(messages: readonly ChatMessageInput[], options?: RenderChatOptions): Promise<string> {
    const caller = new Caller(this.renderChat);
    this.line.check(caller);
    const { signal } = renderOptions(options);
    const body = { type: "renderChat", messages: ownMessages("renderChat", messages) } as const;
    return expectReply(await this.cancellable(body, caller, signal), "text").text;
  }

  async plan(options?: SessionOptions): Promise<MemoryPlan> {
    const caller = new Caller(this.plan);
    this.line.check(caller);
    const own = sentOptions(settingsFor(this, options, "plan"));
    return expectReply(await this.line.request({ type: "plan", options: own }, { caller }), "plan").plan;
  }

  async metrics(): Promise<ModelMetrics> {
    const caller = new Caller(this.metrics);
    this.line.check(caller);
    return expectReply(await this.line.request({ type: "metrics" }, { caller }), "metrics").metrics;
  }

  /** A request that a signal ends, also while the thread is at it. */
  private async cancellable(
    body: Extract<RequestBody, { readonly type: "encode" | "renderChat" }>,
    caller: Caller,
    signal: AbortSignal | undefined,
  ): Promise<Reply> {
    const options: RequestOptions = { caller };
    if (!signal) return this.line.request(body, options);
    if (signal.aborted) throw new CancelledError();
    const flag = cancelFlag();
    const { id, reply } = this.line.send({ ...body, ...(flag && { flag }) }, options);
    const cancel = () => {
      raise(flag);
      this.line.cancel(id);
    };
    signal.addEventListener("abort", cancel);
    try {
      return await reply;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  dispose(): Promise<void> {
    this.disposed ??= this.giveBack();
    return this.disposed;
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  private async giveBack(): Promise<void> {
    raise(this.ended);
    const reason = (): SluiceError => modelDisposed();
    await this.line.shutDown(reason, PATIENCE_MS);
  }
}
