/**
 * A model in place that computes nothing: it counts what was asked of it, and yields to the event loop as the real one
 * does, so that the line to the engine's thread can be tested alone.
 */
import { setImmediate as turn } from "node:timers/promises";
import type {
  GenerateOptions,
  LoadOptions,
  ModelInfo,
  ModelMetrics,
  Part,
  ScoreOptions,
  ScorePart,
  Session,
  SessionOptions,
  Usage,
} from "../../src/engine/api.js";
import { sessionSettings } from "../../src/engine/session/session-options.js";
import type { ServedModel } from "../../src/engine/thread/host.js";
import type { ChatMessage } from "../../src/tokenizer/tokenizer.js";
import { viewBytes } from "../../src/util/bytes.js";
import { CancelledError, ContextFullError, MemoryError, NotFoundError, SnapshotError } from "../../src/util/errors.js";

/** What happened on the engine's side. */
export class FakeLog {
  parts = 0;
  chunks = 0;
  /** How generators ended: "end", "cancelled", "returned", "threw". */
  readonly endings: string[] = [];
  readonly options: unknown[] = [];
  modelDisposed = 0;
  sessionsDisposed = 0;
}

export const INFO: ModelInfo = {
  location: "fake.gguf",
  format: "gguf",
  architecture: "fake",
  name: null,
  parameters: 1,
  weightBytes: 4,
  layers: 1,
  attentionLayers: 2,
  lastAttentionLayer: 1,
  encoderDecoder: false,
  positions: null,
  fixedPositions: false,
  longRopeContext: null,
  dynamicRope: false,
  heads: 1,
  kvHeads: 1,
  headWidth: 1,
  width: 1,
  vocabulary: 100,
  trainedContext: 64,
  dtypes: { f32: 1 },
  backend: "reference",
  threads: 1,
  hasChatTemplate: true,
  fingerprint: "0123456789abcdef",
  notes: [],
};

const METRICS: ModelMetrics = {
  sessions: 2,
  running: 1,
  waiting: 0,
  steps: 3,
  meanStepMs: 4,
  lastStepMs: 5,
  promptTokens: 6,
  generatedTokens: 7,
  cacheBytes: 8,
  prefixBytes: 9,
  prefixHits: 10,
  prefixTokens: 11,
};

const ZERO: Usage = {
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

/** "missing" is not found; "slow" loads until it is cancelled; everything else loads. */
export function fakeLoader(log: FakeLog): (reference: string, options: LoadOptions) => Promise<ServedModel> {
  return async (reference, options) => {
    log.options.push({ reference, ...options, signal: undefined, onProgress: undefined });
    if (reference === "missing") throw new NotFoundError("There is no 'missing'.", { path: "missing" });
    for (let done = 0; reference === "slow" || done <= 2; done++) {
      if (options.signal?.aborted) throw new CancelledError("Loading was cancelled.");
      options.onProgress?.({ phase: "weights", doneBytes: done, totalBytes: 2 });
      await turn();
    }
    return fakeModel(log);
  };
}

function fakeModel(log: FakeLog): ServedModel {
  return {
    info: INFO,
    gates: new Map(),
    session: (options) => new FakeSession(options ?? {}, log),
    restore: async (given) => {
      const saved = viewBytes(given, "A saved session");
      if (saved[0] !== 7) throw new SnapshotError("This is not a saved session.");
      const session = new FakeSession({ context: "recent:8" }, log);
      session.usage = { ...ZERO, seen: saved[1] };
      session.messages = [{ role: "user", content: "saved" }];
      return session;
    },
    // A view of a larger buffer: only its own numbers may cross.
    encode: async (text) => Int32Array.from([9, ...text].map((_, i) => i)).subarray(1),
    decode: async (ids, options) =>
      `${Array.from(ids).join(",")}${options?.special ? "!" : ""}${options?.continues ? "…" : ""}`,
    tokenTexts: async (ids) => Array.from(ids, String),
    renderChat: async (messages) => messages.map(({ role, content }) => `${role}:${content}`).join("|"),
    metrics: async () => METRICS,
    plan: async () => ({
      weightBytes: 1,
      cacheBytes: 2,
      groups: [],
      cacheTokens: 3,
      activationBytes: 4,
      availableBytes: null,
    }),
    dispose: async () => {
      log.modelDisposed++;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

class FakeSession implements Session {
  readonly notes: readonly string[] = [];
  usage: Usage = ZERO;
  readonly context: string;
  messages: ChatMessage[] = [];

  constructor(
    options: SessionOptions,
    private readonly log: FakeLog,
  ) {
    if (options.contextLength === 13) throw new MemoryError("The cache does not fit.", { neededBytes: 2 });
    this.context = sessionSettings(options).policy.text;
  }

  async fork(): Promise<FakeSession> {
    const made = new FakeSession({ context: this.context }, this.log);
    made.usage = this.usage;
    made.messages = [...this.messages];
    return made;
  }

  /** The prompt is a script: "prefill:N", "fail", "crash", or a text that is written back letter by letter. */
  async *generate(
    prompt: string | ArrayLike<number>,
    options: GenerateOptions = {},
  ): AsyncGenerator<Part, void, undefined> {
    const { signal, onPrefill, ...plain } = options;
    this.log.options.push(plain);
    let ending = "returned";
    try {
      const script = typeof prompt === "string" ? prompt : `ids ${Array.from(prompt).join(" ")}`;
      const chunks = Number(/^prefill:(\d+)/.exec(script)?.[1] ?? 0);
      for (let chunk = 0; chunk < chunks; chunk++) {
        if (signal?.aborted) break;
        this.log.chunks++;
        onPrefill?.(chunk + 1, chunks);
        await turn();
      }
      if (script === "fail") throw new ContextFullError("Full.", { limit: 4, needed: 9 });
      if (script === "crash") throw new TypeError("undefined is not a function");
      for (const letter of script) {
        if (signal?.aborted) {
          ending = "cancelled";
          yield { text: "", id: undefined, finish: "cancelled" };
          return;
        }
        this.log.parts++;
        this.usage = { ...this.usage, seen: this.usage.seen + 1, generatedTokens: this.usage.generatedTokens + 1 };
        yield { text: letter, id: letter.charCodeAt(0) };
        await turn();
      }
      ending = "end";
      yield { text: "", id: undefined, finish: "length" };
    } catch (error) {
      ending = "threw";
      this.usage = { ...this.usage, evicted: 77 };
      throw error;
    } finally {
      this.log.endings.push(ending);
    }
  }

  async *chat(
    messages: string | readonly ChatMessage[],
    options?: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined> {
    this.messages.push(...(typeof messages === "string" ? [{ role: "user" as const, content: messages }] : messages));
    this.messages.push({ role: "assistant", content: "" });
    let answer = "";
    for await (const part of this.generate("yes", options)) {
      answer += part.text;
      yield part;
    }
    this.messages[this.messages.length - 1] = { role: "assistant", content: answer };
  }

  async *score(
    text: string | ArrayLike<number>,
    options: ScoreOptions = {},
  ): AsyncGenerator<ScorePart, void, undefined> {
    const all = new Float32Array(new SharedArrayBuffer(4 * text.length)).fill(-1);
    const { usage } = this;
    let start = 0;
    for (; start < text.length && !options.signal?.aborted; start += 2) {
      this.log.parts++;
      yield { start, count: 2, logprobs: all.subarray(start, start + 2), elapsedMs: 1, usage };
    }
    const finish = start < text.length ? "cancelled" : "end";
    yield { start, count: 0, logprobs: new Float32Array(0), elapsedMs: 0, usage, finish };
  }

  /** A view of a larger buffer: only its own bytes may cross. */
  async save(): Promise<Uint8Array> {
    return Uint8Array.of(9, 7, this.usage.seen).subarray(1);
  }

  async reset(): Promise<void> {
    this.usage = ZERO;
    this.messages = [];
  }

  async dispose(): Promise<void> {
    this.log.sessionsDisposed++;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
