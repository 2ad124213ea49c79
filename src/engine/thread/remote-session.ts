/**
 * A session in the engine's thread. What it shows synchronously (usage, messages) is a mirror that every message brings up to
 * date, and that of a part when the part is taken: at any time it is what a session in place would show.
 */
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { InternalError } from "../../util/errors.js";
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
import { ASYNC_DISPOSE } from "../calls/async-dispose.js";
import { generateOptions, scoreOptions } from "../calls/call-options.js";
import { Caller } from "../calls/caller.js";
import { sessionDisposed } from "../calls/ended.js";
import { leaving } from "../calls/leaving.js";
import { ownMessages, ownPrompt } from "../calls/values.js";
import { sentOptions } from "../session/session-options.js";
import type { SessionSettings } from "../session/session-settings.js";
import { cancelFlag, raise } from "./cancel-flag.js";
import type { EngineLine } from "./line.js";
import { PART_CREDIT, PartStream } from "./part-stream.js";
import { expectReply, type Notice, type Reply, type SessionView, type WireWork } from "./wire.js";

/** Work ready to be sent. */
interface Outgoing<P> {
  readonly work: WireWork;
  readonly transfer: readonly ArrayBuffer[];
  readonly partOf: (part: Part | ScorePart) => P;
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
  readonly nextId: () => number;
  readonly usage: Usage;
  readonly messages: readonly ChatMessage[];
}

export class RemoteSession implements Session {
  readonly context: string;
  private readonly info: ModelInfo;
  private readonly line: EngineLine;
  private readonly id: number;
  /** A number for a further session. */
  private readonly nextId: () => number;
  /** Whether the other side has the session; rejects with why not. */
  private readonly opened: Promise<unknown>;
  private readonly stopMirror: () => void;
  private lastNotes: readonly string[];
  private lastUsage: Usage;
  private lastMessages: readonly ChatMessage[];
  private disposed: Promise<void> | undefined;

  constructor(line: EngineLine, id: number, { info, context, notes, opened, nextId, usage, messages }: Opening) {
    this.context = context;
    this.info = info;
    this.lastNotes = notes;
    this.line = line;
    this.id = id;
    this.nextId = nextId;
    this.lastUsage = usage;
    this.lastMessages = messages;
    this.stopMirror = line.onView(id, (view) => this.show(view));
    this.opened = opened;
    // Told by the first call that needs the session.
    this.opened.catch(() => {});
  }

  /** Asks the other side for a session with settings that the caller has checked, and what is to be said of them. */
  static open(
    line: EngineLine,
    nextId: () => number,
    {
      settings,
      notes,
      info,
    }: { readonly settings: SessionSettings; readonly notes: readonly string[]; readonly info: ModelInfo },
  ): RemoteSession {
    const { policy } = settings;
    const id = nextId();
    const opened = line.request({ type: "open", session: id, options: sentOptions(settings) });
    const usage = { ...UNUSED, sinks: policy.sinks };
    return new RemoteSession(line, id, { info, context: policy.text, notes, opened, nextId, usage, messages: [] });
  }

  /** Lets the other side restore a session. @throws SnapshotError, MemoryError */
  static restore(
    line: EngineLine,
    nextId: () => number,
    {
      bytes,
      info,
      caller,
    }: { readonly bytes: Uint8Array<ArrayBuffer>; readonly info: ModelInfo; readonly caller: Caller },
  ): Promise<RemoteSession> {
    const id = nextId();
    const request = line.request({ type: "restore", session: id, saved: bytes }, { transfer: [bytes.buffer], caller });
    return RemoteSession.begun(line, id, request, { info, nextId });
  }

  /** The session that the other side has made of what it holds. */
  private static async begun(
    line: EngineLine,
    id: number,
    request: Promise<Reply>,
    own: Pick<Opening, "info" | "nextId">,
  ): Promise<RemoteSession> {
    const { context, notes, view } = expectReply(await request, "restored");
    const { usage = UNUSED, messages = [] } = view ?? {};
    return new RemoteSession(line, id, { ...own, context, notes, opened: Promise.resolve(), usage, messages });
  }

  private show({ usage, messages, notes }: SessionView): void {
    this.lastUsage = usage;
    if (messages) this.lastMessages = messages;
    if (notes) this.lastNotes = notes;
  }

  get notes(): readonly string[] {
    return this.lastNotes;
  }

  get usage(): Usage {
    return this.lastUsage;
  }

  get messages(): readonly ChatMessage[] {
    return this.lastMessages;
  }

  generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): AsyncGenerator<Part, void, undefined> {
    const caller = new Caller(this.generate);
    const { vocabulary } = this.info;
    const own = ownPrompt("generate", prompt, vocabulary);
    const { signal, onPrefill, ...plain } = generateOptions("generate", options, vocabulary);
    const work = { kind: "generate", prompt: own, options: plain } as const;
    return this.pull({ work, transfer: buffersOf(own), partOf: textPart, caller, signal, onPrefill });
  }

  chat(
    messages: string | readonly ChatMessageInput[],
    options?: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined> {
    const caller = new Caller(this.chat);
    const own = ownMessages("chat", messages);
    const { signal, onPrefill, ...plain } = generateOptions("chat", options, this.info.vocabulary);
    const work = { kind: "chat", messages: own, options: plain } as const;
    return this.pull({ work, transfer: [], partOf: textPart, caller, signal, onPrefill });
  }

  score(text: string | ArrayLike<number>, options?: ScoreOptions): AsyncGenerator<ScorePart, void, undefined> {
    const caller = new Caller(this.score);
    const own = ownPrompt("score", text, this.info.vocabulary);
    const { signal, ...plain } = scoreOptions(options);
    const work = { kind: "score", text: own, options: plain } as const;
    return this.pull({ work, transfer: buffersOf(own), partOf: scorePart, caller, signal });
  }

  async save(): Promise<Uint8Array> {
    const caller = new Caller(this.save);
    await this.ready(caller);
    return expectReply(await this.line.request({ type: "save", session: this.id }, { caller }), "saved").saved;
  }

  async fork(): Promise<RemoteSession> {
    const caller = new Caller(this.fork);
    await this.ready(caller);
    const { line, info, nextId } = this;
    const id = nextId();
    const request = line.request({ type: "fork", session: id, from: this.id }, { caller });
    return RemoteSession.begun(line, id, request, { info, nextId });
  }

  async reset(): Promise<void> {
    const caller = new Caller(this.reset);
    await this.ready(caller);
    await this.line.request({ type: "reset", session: this.id }, { caller });
  }

  dispose(): Promise<void> {
    this.disposed ??= this.giveBack();
    return this.disposed;
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  private async giveBack(): Promise<void> {
    try {
      await this.opened;
      await this.line.request({ type: "close", session: this.id });
    } catch {
      // What never opened needs no closing, and a thread that has ended has given everything back.
    }
    this.stopMirror();
  }

  private async ready(caller: Caller): Promise<void> {
    this.line.check(caller);
    if (this.disposed) throw caller.begin(sessionDisposed());
    try {
      await this.opened;
    } catch (error) {
      throw caller.tell(error);
    }
  }

  /** The parts of work on the other side. Nothing is sent until the first `next`. */
  private pull<P>({
    work,
    transfer,
    partOf,
    caller,
    signal,
    onPrefill,
  }: Outgoing<P>): AsyncGenerator<P, void, undefined> {
    const line = this.line;
    const flag = cancelFlag();
    let started: number | undefined;
    let hasLeft = false;
    const cancel = () => {
      hasLeft = true;
      raise(flag);
      if (started !== undefined) line.cancel(started);
    };
    const stream = new PartStream({
      line,
      caller,
      isCancelled: () => hasLeft || signal?.aborted === true,
      gone: () => (this.disposed ? sessionDisposed() : undefined),
      show: (view) => this.show(view),
    });
    const start = async () => {
      await this.ready(caller);
      signal?.addEventListener("abort", cancel);
      const cancelled = signal?.aborted ?? false;
      const head = { type: "start", session: this.id, work, cancelled, prefill: onPrefill !== undefined } as const;
      // A part of a score is as many tokens as its reader wants at once.
      const credit = work.kind === "score" ? 1 : PART_CREDIT;
      const onNotice = onPrefill && prefillListener(onPrefill);
      const { id, reply } = line.send(
        { ...head, credit, ...(flag && { flag }) },
        { transfer, caller, onNotice, onParts: (parts) => stream.push(parts) },
      );
      started = id;
      stream.begin(id, reply);
    };
    async function* parts(): AsyncGenerator<P, void, undefined> {
      try {
        await start();
        for (let part = await stream.next(); part; part = await stream.next()) yield partOf(part);
      } finally {
        signal?.removeEventListener("abort", cancel);
        if (started !== undefined && !stream.isOver) {
          raise(flag);
          await stream.stop();
        }
      }
    }
    return leaving(parts(), cancel);
  }
}

/** @throws InternalError for what is no part of a text */
function textPart(part: Part | ScorePart): Part {
  if ("text" in part) return part;
  throw new InternalError("The engine's thread sent a score where a text was asked for.");
}

/** @throws InternalError for what is no part of a score */
function scorePart(part: Part | ScorePart): ScorePart {
  if ("logprobs" in part) return part;
  throw new InternalError("The engine's thread sent a text where a score was asked for.");
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
  read: 0,
  horizon: null,
  sinks: 0,
  cacheBytes: 0,
  groups: [],
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  prefillTokensPerSecond: null,
  decodeTokensPerSecond: null,
};
