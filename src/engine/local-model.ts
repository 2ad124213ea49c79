/** A loaded model in the engine's own thread: weights in a backend, tokenizer, sessions. */
import type { Decoder } from "../nn/decoder.js";
import type { ModelSpec } from "../nn/spec.js";
import type { ChatMessage, EncodeOptions, Tokenizer } from "../tokenizer/tokenizer.js";
import { ArgumentError } from "../util/errors.js";
import type { MemoryPlan, Model, ModelInfo, SessionOptions } from "./api.js";
import { withContext } from "./default-context.js";
import { LocalSession } from "./local-session.js";
import { memoryPlan, requireMemory, requirePlaces } from "./memory-plan.js";
import { type SessionSettings, sessionSettings } from "./session-options.js";
import { restoreSession } from "./session-snapshot.js";
import type { StepRunner } from "./step-runner.js";

export interface LocalModelParts {
  readonly decoder: Decoder;
  readonly runner: StepRunner;
  readonly tokenizer: Tokenizer;
  readonly endIds: ReadonlySet<number>;
  readonly info: ModelInfo;
  /** Most bytes for weights and caches. */
  readonly memoryLimitBytes: number;
}

export class LocalModel implements Model {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** Ids that end an answer. */
  readonly endIds: ReadonlySet<number>;
  readonly runner: StepRunner;
  private disposed = false;
  private readonly sessions = new Set<LocalSession>();

  constructor(private readonly parts: LocalModelParts) {
    this.info = parts.info;
    this.tokenizer = parts.tokenizer;
    this.endIds = parts.endIds;
    this.runner = parts.runner;
  }

  get spec(): ModelSpec {
    return this.parts.decoder.spec;
  }

  session(options?: SessionOptions): LocalSession {
    this.requireLive();
    const session = new LocalSession(this, this.settings(options));
    this.sessions.add(session);
    return session;
  }

  async restore(bytes: Uint8Array): Promise<LocalSession> {
    this.requireLive();
    return this.runner.inTurn(() => {
      this.requireLive();
      return restoreSession(this, bytes);
    });
  }

  /** What a session's options mean with this model. @throws PolicyError, ArgumentError */
  private settings(options?: SessionOptions): SessionSettings {
    return withContext(sessionSettings(options), this.info);
  }

  forgetSession(session: LocalSession): void {
    this.sessions.delete(session);
  }

  private requireLive(): void {
    if (this.disposed) throw new ArgumentError("The model was disposed of; load it again.");
  }

  async encode(text: string, options?: EncodeOptions): Promise<Int32Array> {
    return this.tokenizer.encode(text, options);
  }

  async decode(ids: ArrayLike<number>, options?: { readonly special?: boolean }): Promise<string> {
    return this.tokenizer.decode(ids, options);
  }

  async tokenTexts(ids: ArrayLike<number>): Promise<string[]> {
    return Array.from(ids, (id) => this.tokenizer.tokenText(id));
  }

  async renderChat(messages: readonly ChatMessage[]): Promise<string> {
    return this.tokenizer.renderChat(messages);
  }

  async plan(options?: SessionOptions): Promise<MemoryPlan> {
    return this.planFor(this.settings(options));
  }

  private planFor(settings: SessionSettings): MemoryPlan {
    const { decoder, memoryLimitBytes } = this.parts;
    const { spec, shapes } = decoder;
    return memoryPlan(this.runner.backend, spec, shapes, this.info.weightBytes, settings, memoryLimitBytes);
  }

  /** @throws MemoryError when the cache of such a session cannot fit beside what is taken already */
  requireCache(settings: SessionSettings): void {
    const plan = this.planFor(settings);
    const { backend, decoder } = this.runner;
    const left = this.parts.memoryLimitBytes - backend.memoryBytes;
    const needed = plan.cacheBytes + plan.activationBytes;
    const advice =
      "Choose a smaller contextLength, a policy with a budget such as sinks:4,recent:2044, or the cache type q8.";
    requireMemory(`A cache of ${plan.cacheTokens} tokens needs`, needed, left, advice);
    requirePlaces(backend, decoder.spec, decoder.shapes, settings, plan, advice);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    for (const session of [...this.sessions]) await session.dispose();
    await this.runner.idle();
    await this.runner.backend.dispose();
  }
}
