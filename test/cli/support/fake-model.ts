/**
 * A Model without weights: tokens are characters, an answer is a fixed text (or the session's own script), scores are
 * fixed. It keeps what it was asked, so that tests can look at options.
 */
import { parsePolicy } from "../../../src/context/policy-text.js";
import type {
  GenerateOptions,
  MemoryPlan,
  Model,
  ModelInfo,
  Part,
  ScoreOptions,
  ScorePart,
  Session,
  SessionOptions,
  Usage,
} from "../../../src/engine/api.js";
import { fitNotes } from "../../../src/engine/session/policy-fit.js";
import { scoreNotes } from "../../../src/engine/session/score.js";
import { sessionSettings } from "../../../src/engine/session/session-options.js";
import type { ChatMessage, EncodeOptions } from "../../../src/tokenizer/tokenizer.js";
import { viewBytes } from "../../../src/util/bytes.js";

export interface FakeScript {
  readonly info?: Partial<ModelInfo>;
  /** Pieces of every answer. */
  readonly answer?: readonly string[];
  /** Called before each piece and each scored part; may throw or interrupt. */
  readonly beforePart?: (index: number, session: FakeSession) => void | Promise<void>;
  /** Milliseconds that a scored token takes at a position under a policy. */
  readonly msPerToken?: (context: string, position: number) => number;
  /** Whether the vocabulary has a start token (id 1), and an end token (id 2) behind a text; default: a start token. */
  readonly special?: { readonly start: boolean; readonly end: boolean };
  /** Log-probability of the token at a position of the text under a policy. */
  readonly logprob?: (context: string, position: number) => number;
}

const START = 1;
const END = 2;

const INFO: ModelInfo = {
  location: "fake.gguf",
  format: "gguf",
  architecture: "llama",
  name: "Fake",
  parameters: 1000,
  weightBytes: 4000,
  layers: 2,
  attentionLayers: 2,
  lastAttentionLayer: 1,
  encoderDecoder: false,
  positions: null,
  fixedPositions: false,
  longRopeContext: null,
  dynamicRope: false,
  heads: 4,
  kvHeads: 2,
  headWidth: 8,
  width: 32,
  vocabulary: 256,
  trainedContext: 512,
  dtypes: { f32: 10 },
  backend: "wasm",
  threads: 1,
  hasChatTemplate: true,
  fingerprint: "0123456789abcdef",
  notes: [],
};

export class FakeModel implements Model {
  readonly info: ModelInfo;
  readonly sessions: FakeSession[] = [];
  disposed = false;

  constructor(readonly script: FakeScript = {}) {
    this.info = { ...INFO, ...script.info };
  }

  session(options: SessionOptions = {}): FakeSession {
    const session = new FakeSession(this, options);
    this.sessions.push(session);
    return session;
  }
  async restore(saved: ArrayBufferView | ArrayBufferLike): Promise<FakeSession> {
    return this.session({ context: new TextDecoder().decode(viewBytes(saved, "A saved session")) });
  }
  async encode(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    const ids = Array.from(text, (character) => character.codePointAt(0) ?? 0);
    if (options.addSpecial === false) return Int32Array.from(ids);
    const { start, end } = this.script.special ?? { start: true, end: false };
    return Int32Array.from([...(start ? [START] : []), ...ids, ...(end ? [END] : [])]);
  }
  async decode(ids: ArrayLike<number>): Promise<string> {
    return String.fromCodePoint(...Array.from(ids));
  }
  async tokenTexts(ids: ArrayLike<number>): Promise<string[]> {
    return Array.from(ids, (id) => `<${id}>`);
  }
  async renderChat(messages: readonly ChatMessage[]): Promise<string> {
    return messages.map(({ role, content }) => `${role}: ${content}\n`).join("");
  }
  async plan(): Promise<MemoryPlan> {
    return {
      weightBytes: 4000,
      cacheBytes: 100,
      groups: [],
      cacheTokens: 512,
      activationBytes: 10,
      availableBytes: null,
    };
  }
  async metrics(): Promise<never> {
    throw new Error("No command asks for metrics.");
  }
  async dispose(): Promise<void> {
    this.disposed = true;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

export class FakeSession implements Session {
  private readonly fitNotes: readonly string[];
  private given: readonly string[] | undefined;
  readonly context: string;
  readonly prompts: (string | readonly ChatMessage[] | readonly number[])[] = [];
  readonly messages: ChatMessage[] = [];
  readonly seeds: (number | undefined)[] = [];
  lastGenerate: GenerateOptions = {};
  lastScore: ScoreOptions = {};
  scored: readonly number[] = [];
  disposed = false;
  resets = 0;
  private seen = 0;
  private generated = 0;

  constructor(
    readonly model: FakeModel,
    readonly options: SessionOptions,
  ) {
    this.context = parsePolicy(options.context ?? "full").text;
    this.fitNotes = fitNotes(sessionSettings(options), model.info);
  }

  get notes(): readonly string[] {
    const settings = sessionSettings(this.options);
    const scored = this.scored.length > 0 ? (this.lastScore.batch ?? 1) : 0;
    return this.given ?? [...this.fitNotes, ...scoreNotes(settings, scored, this.seen)];
  }
  /** From now on these. */
  set notes(notes: readonly string[]) {
    this.given = notes;
  }

  get usage(): Usage {
    const policy = parsePolicy(this.context);
    const kept = Math.min(this.seen, policy.budget ?? Number.POSITIVE_INFINITY);
    return {
      seen: this.seen,
      kept,
      evicted: this.seen - kept,
      read: Math.min(kept, policy.reading?.tokens ?? kept),
      horizon: kept < this.seen ? kept - policy.sinks : null,
      sinks: policy.sinks,
      cacheBytes: kept * 10,
      groups: [],
      promptTokens: this.seen - this.generated,
      cachedTokens: 0,
      generatedTokens: this.generated,
      prefillTokensPerSecond: 1000,
      decodeTokensPerSecond: 50,
    };
  }

  async fork(): Promise<FakeSession> {
    const made = new FakeSession(this.model, this.options);
    made.seen = this.seen;
    return made;
  }

  async *generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<Part, void> {
    this.prompts.push(typeof prompt === "string" ? prompt : Array.from(prompt));
    yield* this.answer(typeof prompt === "string" ? prompt.length + 1 : prompt.length, options);
  }

  async *chat(messages: string | readonly ChatMessage[], options: GenerateOptions = {}): AsyncGenerator<Part, void> {
    this.prompts.push(messages);
    yield* this.answer(10, options);
  }

  private async *answer(promptTokens: number, options: GenerateOptions): AsyncGenerator<Part, void> {
    this.lastGenerate = options;
    this.seeds.push(options.seed);
    options.onPrefill?.(promptTokens, promptTokens);
    this.seen += promptTokens;
    if (options.maxTokens === 0) {
      yield { text: "", id: undefined, finish: "length" };
      return;
    }
    const pieces = this.model.script.answer ?? ["Hello", ", ", "world"];
    for (const [index, text] of pieces.entries()) {
      await this.model.script.beforePart?.(index, this);
      if (options.signal?.aborted) {
        yield { text: "", id: undefined, finish: "cancelled" };
        return;
      }
      this.seen += 1;
      this.generated += 1;
      const top = [{ id: index, text, piece: `<${index}>`, logprob: -0.5 }];
      const last = index === pieces.length - 1;
      yield {
        text,
        id: index,
        ...(options.logprobs !== undefined && { logprob: -0.5, top }),
        ...(last && { finish: "stop" as const }),
      };
    }
  }

  /**
   * As the engine scores ids: nothing predicts the first, unless something was read before; the last is read alone where
   * the parts end before it.
   */
  async *score(text: string | ArrayLike<number>, options: ScoreOptions = {}): AsyncGenerator<ScorePart, void> {
    if (typeof text === "string") throw new TypeError("This session scores ids alone.");
    this.lastScore = options;
    this.scored = Array.from(text);
    const { msPerToken = () => 1, logprob = () => -1, beforePart } = this.model.script;
    const every = options.every ?? 64;
    const opening = text[0] === START ? 1 : 0;
    const first = this.seen > 0 ? 0 : 1;
    const end = text.length + first;
    for (let start = first, index = 0; start < end; start += every, index++) {
      await beforePart?.(index, this);
      if (options.signal?.aborted) {
        yield { start, count: 0, logprobs: new Float32Array(0), elapsedMs: 0, usage: this.usage, finish: "cancelled" };
        return;
      }
      const count = Math.min(every, text.length - start);
      this.seen += Math.min(every, end - start);
      const position = start - opening;
      const logprobs = Float32Array.from({ length: count }, (_, at) => logprob(this.context, position + at));
      const elapsedMs = Math.max(1, count) * msPerToken(this.context, position);
      const last = start + every >= end && { finish: "end" as const };
      yield { start, count, logprobs, elapsedMs, usage: this.usage, ...last };
    }
  }

  async save(): Promise<Uint8Array> {
    return new TextEncoder().encode(this.context);
  }
  async reset(): Promise<void> {
    this.resets += 1;
    this.seen = 0;
    this.generated = 0;
  }
  async dispose(): Promise<void> {
    this.disposed = true;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
