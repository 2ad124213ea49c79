/**
 * A session in the engine's thread. Parts are pulled: each `next` of the consumer asks for one. What the session shows
 * synchronously (usage, messages) is a mirror that every message brings up to date.
 */
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import type {
  ChatMessageInput,
  GenerateOptions,
  ModelInfo,
  Part,
  ScoreOptions,
  ScorePart,
  Session,
  Usage,
} from "../api.js";
import { generateOptions, scoreOptions } from "../arguments/calls.js";
import { ownMessages, ownPrompt } from "../arguments/values.js";
import { ASYNC_DISPOSE } from "../async-dispose.js";
import { Caller } from "../caller.js";
import { sessionDisposed } from "../ended.js";
import { leaving } from "../leaving.js";
import { type SessionSettings, sentOptions } from "../session-options.js";
import { cancelFlag, raise } from "./cancel-flag.js";
import type { EngineLine } from "./line.js";
import { expectReply, type Notice, type Reply, type WireWork } from "./wire.js";

/** Work ready to be sent. */
interface Outgoing<P> {
  readonly work: WireWork;
  readonly transfer: readonly ArrayBuffer[];
  readonly partOf: (reply: Reply) => P;
  readonly caller: Caller;
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** What the proxy of a session begins with. */
interface Opening {
  readonly info: ModelInfo;
  readonly context: string;
  readonly notes: readonly string[];
  readonly opened: Promise<unknown>;
  readonly usage: Usage;
  readonly messages: readonly ChatMessage[];
}

export class RemoteSession implements Session {
  readonly context: string;
  readonly #info: ModelInfo;
  readonly #line: EngineLine;
  readonly #id: number;
  /** Whether the other side has the session; rejects with why not. */
  readonly #opened: Promise<unknown>;
  readonly #stopMirror: () => void;
  #notes: readonly string[];
  #usage: Usage;
  #messages: readonly ChatMessage[];
  #disposed: Promise<void> | undefined;

  constructor(line: EngineLine, id: number, { info, context, notes, opened, usage, messages }: Opening) {
    this.context = context;
    this.#info = info;
    this.#notes = notes;
    this.#line = line;
    this.#id = id;
    this.#usage = usage;
    this.#messages = messages;
    this.#stopMirror = line.onView(id, ({ usage, messages, notes }) => {
      this.#usage = usage;
      if (messages) this.#messages = messages;
      if (notes) this.#notes = notes;
    });
    this.#opened = opened;
    // Told by the first call that needs the session.
    this.#opened.catch(() => {});
  }

  /** Asks the other side for a session with settings that the caller has checked, and what is to be said of them. */
  static open(
    line: EngineLine,
    id: number,
    {
      settings,
      notes,
      info,
    }: { readonly settings: SessionSettings; readonly notes: readonly string[]; readonly info: ModelInfo },
  ): RemoteSession {
    const { policy } = settings;
    const opened = line.request({ type: "open", session: id, options: sentOptions(settings) });
    const usage = { ...UNUSED, sinks: policy.sinks };
    return new RemoteSession(line, id, { info, context: policy.text, notes, opened, usage, messages: [] });
  }

  /** Lets the other side restore a session. @throws SnapshotError, MemoryError */
  static async restore(
    line: EngineLine,
    id: number,
    {
      bytes,
      info,
      caller,
    }: { readonly bytes: Uint8Array<ArrayBuffer>; readonly info: ModelInfo; readonly caller: Caller },
  ): Promise<RemoteSession> {
    const request = line.request({ type: "restore", session: id, saved: bytes }, { transfer: [bytes.buffer], caller });
    const reply = expectReply(await request, "restored");
    const { usage = UNUSED, messages = [] } = reply.view ?? {};
    return new RemoteSession(line, id, { ...reply, info, opened: Promise.resolve(), usage, messages });
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  get usage(): Usage {
    return this.#usage;
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): AsyncGenerator<Part, void, undefined> {
    const caller = new Caller(this.generate);
    const { vocabulary } = this.#info;
    const own = ownPrompt("generate", prompt, vocabulary);
    const { signal, onPrefill, ...plain } = generateOptions("generate", options, vocabulary);
    const work = { kind: "generate", prompt: own, options: plain } as const;
    return this.#pull({ work, transfer: buffersOf(own), partOf: partOfReply, caller, signal, onPrefill });
  }

  chat(
    messages: string | readonly ChatMessageInput[],
    options?: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined> {
    const caller = new Caller(this.chat);
    const own = ownMessages("chat", messages);
    const { signal, onPrefill, ...plain } = generateOptions("chat", options, this.#info.vocabulary);
    const work = { kind: "chat", messages: own, options: plain } as const;
    return this.#pull({ work, transfer: [], partOf: partOfReply, caller, signal, onPrefill });
  }

  score(text: string | ArrayLike<number>, options?: ScoreOptions): AsyncGenerator<ScorePart, void, undefined> {
    const caller = new Caller(this.score);
    const own = ownPrompt("score", text, this.#info.vocabulary);
    const { signal, ...plain } = scoreOptions(options);
    const work = { kind: "score", text: own, options: plain } as const;
    const partOf = (reply: Reply) => expectReply(reply, "scorePart").part;
    return this.#pull({ work, transfer: buffersOf(own), partOf, caller, signal });
  }

  async save(): Promise<Uint8Array> {
    const caller = new Caller(this.save);
    await this.#ready(caller);
    return expectReply(await this.#line.request({ type: "save", session: this.#id }, { caller }), "saved").saved;
  }

  async reset(): Promise<void> {
    const caller = new Caller(this.reset);
    await this.#ready(caller);
    await this.#line.request({ type: "reset", session: this.#id }, { caller });
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  async #dispose(): Promise<void> {
    try {
      await this.#opened;
      await this.#line.request({ type: "close", session: this.#id });
    } catch {
      // What never opened needs no closing, and a thread that has ended has given everything back.
    }
    this.#stopMirror();
  }

  async #ready(caller: Caller): Promise<void> {
    this.#line.check(caller);
    if (this.#disposed) throw caller.begin(sessionDisposed());
    try {
      await this.#opened;
    } catch (error) {
      throw caller.tell(error);
    }
  }

  /** The parts of work on the other side. Nothing is sent until the first `next`. */
  #pull<P>({ work, transfer, partOf, caller, signal, onPrefill }: Outgoing<P>): AsyncGenerator<P, void, undefined> {
    const line = this.#line;
    const flag = cancelFlag();
    let started: number | undefined;
    const cancel = () => {
      raise(flag);
      if (started !== undefined) line.cancel(started);
    };
    const start = async () => {
      await this.#ready(caller);
      signal?.addEventListener("abort", cancel);
      const cancelled = signal?.aborted ?? false;
      const { id, reply } = line.send(
        { type: "start", session: this.#id, work, cancelled, prefill: onPrefill !== undefined, ...(flag && { flag }) },
        { transfer, caller, onNotice: onPrefill && prefillListener(onPrefill) },
      );
      started = id;
      return reply;
    };
    async function* parts(): AsyncGenerator<P, void, undefined> {
      let hasEnded = false;
      try {
        let reply = await start();
        while (reply.type !== "done") {
          yield partOf(reply);
          if (started === undefined) return;
          reply = await line.request({ type: "next", work: started }, { caller });
        }
        hasEnded = true;
      } finally {
        signal?.removeEventListener("abort", cancel);
        // After an error the other side has cleaned up or is gone; then there is nothing more to learn.
        if (!hasEnded && started !== undefined) {
          raise(flag);
          await line.request({ type: "stop", work: started }).catch(() => {});
        }
      }
    }
    return leaving(parts(), cancel);
  }
}

function partOfReply(reply: Reply): Part {
  return expectReply(reply, "part").part;
}

function buffersOf(prompt: string | Int32Array<ArrayBuffer>): readonly ArrayBuffer[] {
  return typeof prompt === "string" ? [] : [prompt.buffer];
}

function prefillListener(onPrefill: (done: number, total: number) => void): (notice: Notice) => void {
  return (notice) => {
    if (notice.type === "prefill") onPrefill(notice.done, notice.total);
  };
}

/** What a new session shows. */
const UNUSED: Usage = {
  seen: 0,
  kept: 0,
  evicted: 0,
  horizon: null,
  sinks: 0,
  cacheBytes: 0,
  promptTokens: 0,
  generatedTokens: 0,
  prefillTokensPerSecond: null,
  decodeTokensPerSecond: null,
};
