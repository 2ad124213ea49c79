/**
 * A model that runs in the engine's own thread, so that the caller's event loop stays free: the same face as in place.
 */
import type { ChatMessage, EncodeOptions } from "../../tokenizer/tokenizer.js";
import { ArgumentError, CancelledError } from "../../util/errors.js";
import type { Thread } from "../../util/platform.js";
import type { LoadOptions, MemoryPlan, Model, ModelInfo, Session, SessionOptions } from "../api.js";
import { withContext } from "../default-context.js";
import { fitNotes } from "../policy-fit.js";
import { sessionSettings } from "../session-options.js";
import { EngineLine } from "./line.js";
import { RemoteSession } from "./remote-session.js";
import { expectReply } from "./wire.js";
import { ownIds } from "./wire-values.js";

/**
 * Loads a model in `thread`, which must serve the engine (host.ts). The thread belongs to the model: it ends with
 * `dispose`, or when loading fails.
 * @throws what loading in place throws
 */
export async function loadRemote(thread: Thread, reference: string, options: LoadOptions = {}): Promise<Model> {
  const line = new EngineLine(thread);
  const { signal, onProgress, thread: _, ...plain } = options;
  let cancel: (() => void) | undefined;
  try {
    if (signal?.aborted) throw new CancelledError("Loading was cancelled.");
    const { id, reply } = line.send(
      { type: "load", reference, options: plain },
      { onNotice: (notice) => notice.type === "progress" && onProgress?.(notice.progress) },
    );
    cancel = () => line.cancel(id);
    signal?.addEventListener("abort", cancel);
    return new RemoteModel(line, expectReply(await reply, "loaded").info);
  } catch (error) {
    await line.close(new CancelledError("Loading failed."));
    throw error;
  } finally {
    if (cancel) signal?.removeEventListener("abort", cancel);
  }
}

class RemoteModel implements Model {
  readonly #line: EngineLine;
  #sessions = 0;
  #disposed: Promise<void> | undefined;

  constructor(
    line: EngineLine,
    readonly info: ModelInfo,
  ) {
    this.#line = line;
  }

  session(options: SessionOptions = {}): Session {
    this.#line.check();
    const settings = withContext(sessionSettings(options), this.info);
    const notes = fitNotes(settings, this.info);
    return RemoteSession.open(this.#line, ++this.#sessions, options, { policy: settings.policy, notes });
  }

  restore(saved: Uint8Array): Promise<Session> {
    return RemoteSession.restore(this.#line, ++this.#sessions, saved);
  }

  async encode(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    return expectReply(await this.#line.request({ type: "encode", text, options }), "ids").ids;
  }

  async decode(ids: ArrayLike<number>, options: { readonly special?: boolean } = {}): Promise<string> {
    const own = ownIds(ids);
    const { special = false } = options;
    const reply = await this.#line.request({ type: "decode", ids: own, special }, { transfer: [own.buffer] });
    return expectReply(reply, "text").text;
  }

  async tokenTexts(ids: ArrayLike<number>): Promise<string[]> {
    const own = ownIds(ids);
    const reply = await this.#line.request({ type: "tokenTexts", ids: own }, { transfer: [own.buffer] });
    return expectReply(reply, "texts").texts;
  }

  async renderChat(messages: readonly ChatMessage[]): Promise<string> {
    return expectReply(await this.#line.request({ type: "renderChat", messages }), "text").text;
  }

  async plan(options: SessionOptions = {}): Promise<MemoryPlan> {
    return expectReply(await this.#line.request({ type: "plan", options }), "plan").plan;
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    try {
      // A thread that died has freed everything already.
      if (!this.#line.hasEnded) await this.#line.request({ type: "dispose" });
    } finally {
      await this.#line.close(new ArgumentError("The model was disposed; load it again."));
    }
  }
}
