/**
 * A session in the engine's thread. Parts are pulled: each `next` of the consumer asks for one. What the session shows
 * synchronously (usage, messages) is a mirror that every message brings up to date.
 */
import type { ContextPolicy } from "../../context/policy.js";
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { ArgumentError } from "../../util/errors.js";
import type { GenerateOptions, Part, ScoreOptions, ScorePart, Session, SessionOptions, Usage } from "../api.js";
import type { EngineLine } from "./line.js";
import { expectReply, type Notice, type Reply, type WireWork } from "./wire.js";
import { ownBytes, ownPrompt } from "./wire-values.js";

/** Work ready to be sent. */
interface Outgoing {
  readonly work: WireWork;
  readonly transfer?: readonly ArrayBuffer[];
}

interface PullOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** What the proxy of a session begins with. */
interface Opening {
  readonly context: string;
  readonly notes: readonly string[];
  readonly opened: Promise<unknown>;
  readonly usage: Usage;
  readonly messages: readonly ChatMessage[];
}

export class RemoteSession implements Session {
  readonly context: string;
  readonly #line: EngineLine;
  readonly #id: number;
  /** Whether the other side has the session; rejects with why not. */
  readonly #opened: Promise<unknown>;
  readonly #stopMirror: () => void;
  #notes: readonly string[];
  #usage: Usage;
  #messages: readonly ChatMessage[];
  #disposed: Promise<void> | undefined;

  constructor(line: EngineLine, id: number, { context, notes, opened, usage, messages }: Opening) {
    this.context = context;
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

  /**
   * Asks the other side for a session.
   * @param options checked by the caller: `policy` is what their context means, `notes` what is to be said of them
   */
  static open(
    line: EngineLine,
    id: number,
    options: SessionOptions,
    { policy, notes }: { readonly policy: ContextPolicy; readonly notes: readonly string[] },
  ): RemoteSession {
    const { source } = options;
    const crossing = source === undefined ? options : { ...options, source: ownPrompt(source).value };
    const opened = line.request({ type: "open", session: id, options: crossing });
    const usage = { ...UNUSED, sinks: policy.sinks };
    return new RemoteSession(line, id, { context: policy.text, notes, opened, usage, messages: [] });
  }

  /** Lets the other side restore a session. @throws SnapshotError, MemoryError */
  static async restore(line: EngineLine, id: number, saved: Uint8Array): Promise<RemoteSession> {
    const own = ownBytes(saved);
    const request = line.request({ type: "restore", session: id, saved: own }, { transfer: [own.buffer] });
    const reply = expectReply(await request, "restored");
    const { usage = UNUSED, messages = [] } = reply.view ?? {};
    return new RemoteSession(line, id, { ...reply, opened: Promise.resolve(), usage, messages });
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

  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<Part, void, undefined> {
    const { signal, onPrefill, ...plain } = options;
    return this.#pull(
      () => {
        const { value, transfer } = ownPrompt(prompt);
        return { work: { kind: "generate", prompt: value, options: plain }, transfer };
      },
      (reply) => expectReply(reply, "part").part,
      { signal, onPrefill },
    );
  }

  chat(
    messages: string | readonly ChatMessage[],
    options: GenerateOptions = {},
  ): AsyncGenerator<Part, void, undefined> {
    const { signal, onPrefill, ...plain } = options;
    return this.#pull(
      () => ({ work: { kind: "chat", messages, options: plain } }),
      (reply) => expectReply(reply, "part").part,
      { signal, onPrefill },
    );
  }

  score(text: string | ArrayLike<number>, options: ScoreOptions = {}): AsyncGenerator<ScorePart, void, undefined> {
    const { signal, ...plain } = options;
    return this.#pull(
      () => {
        const { value, transfer } = ownPrompt(text);
        return { work: { kind: "score", text: value, options: plain }, transfer };
      },
      (reply) => expectReply(reply, "scorePart").part,
      { signal },
    );
  }

  async save(): Promise<Uint8Array> {
    await this.#ready();
    return expectReply(await this.#line.request({ type: "save", session: this.#id }), "saved").saved;
  }

  async reset(): Promise<void> {
    await this.#ready();
    await this.#line.request({ type: "reset", session: this.#id });
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    // What never opened needs no closing.
    const isOpen = await this.#opened.then(
      () => true,
      () => false,
    );
    if (isOpen) await this.#line.request({ type: "close", session: this.#id });
    this.#stopMirror();
  }

  async #ready(): Promise<void> {
    if (this.#disposed) throw new ArgumentError("The session was disposed; open a new one.");
    await this.#opened;
  }

  /** The parts of work on the other side. Nothing is sent until the first `next`. */
  #pull<P>(
    begin: () => Outgoing,
    partOf: (reply: Reply) => P,
    { signal, onPrefill }: PullOptions,
  ): AsyncGenerator<P, void, undefined> {
    const line = this.#line;
    let started: number | undefined;
    const cancel = () => {
      if (started !== undefined) line.cancel(started);
    };
    const start = async () => {
      await this.#ready();
      const { work, transfer = [] } = begin();
      const { id, reply } = line.send(
        {
          type: "start",
          session: this.#id,
          work,
          cancelled: signal?.aborted ?? false,
          prefill: onPrefill !== undefined,
        },
        { transfer, onNotice: onPrefill && prefillListener(onPrefill) },
      );
      started = id;
      signal?.addEventListener("abort", cancel);
      return reply;
    };
    async function* parts(): AsyncGenerator<P, void, undefined> {
      let hasEnded = false;
      try {
        let reply = await start();
        while (reply.type !== "done") {
          yield partOf(reply);
          if (started === undefined) return;
          reply = await line.request({ type: "next", work: started });
        }
        hasEnded = true;
      } finally {
        signal?.removeEventListener("abort", cancel);
        // After an error the other side has cleaned up or is gone; then there is nothing more to learn.
        if (!hasEnded && started !== undefined) await line.request({ type: "stop", work: started }).catch(() => {});
      }
    }
    return cancellingReturn(parts(), cancel);
  }
}

/**
 * A generator whose `return` takes effect at once. An async generator queues it behind a pending `next`, which may be
 * a long prefill; so the work is cancelled first.
 */
function cancellingReturn<P>(
  generator: AsyncGenerator<P, void, undefined>,
  cancel: () => void,
): AsyncGenerator<P, void, undefined> {
  const plainReturn = generator.return.bind(generator);
  return Object.assign(generator, {
    return: (value: void | PromiseLike<void>) => {
      cancel();
      return plainReturn(value);
    },
  });
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
