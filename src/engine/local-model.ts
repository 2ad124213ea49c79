/** A loaded model in the engine's own thread: weights in a backend, tokenizer, sessions. */
import type { Decoder } from "../nn/decoder.js";
import type { ModelSpec } from "../nn/spec.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { viewBytes } from "../util/bytes.js";
import { counted } from "../util/figures.js";
import type {
  ChatMessageInput,
  DecodeTextOptions,
  EncodeTextOptions,
  MemoryPlan,
  Model,
  ModelInfo,
  RenderChatOptions,
  SessionOptions,
} from "./api.js";
import { decodeOptions, encodeOptions, renderOptions } from "./arguments/calls.js";
import { ownIds, ownMessages, ownText } from "./arguments/values.js";
import { ASYNC_DISPOSE } from "./async-dispose.js";
import { Caller } from "./caller.js";
import { freeingPolicy } from "./default-context.js";
import { modelDisposed } from "./ended.js";
import { Cancel } from "./leaving.js";
import { LocalSession } from "./local-session.js";
import { memoryPlan, requireMemory, requirePlaces } from "./memory-plan.js";
import { type SessionSettings, settingsFor } from "./session-options.js";
import { restoreSession } from "./session-snapshot.js";
import type { StepRunner } from "./step-runner.js";

/** Of a policy that a message names, where the model was trained for as many. */
const ADVISED_TOKENS = 2048;

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
  private disposing: Promise<void> | undefined;
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
    const session = new LocalSession(this, settingsFor(this.info, options));
    this.sessions.add(session);
    return session;
  }

  restore(saved: ArrayBufferView | ArrayBufferLike): Promise<LocalSession> {
    const caller = new Caller(this.restore);
    return this.call(caller, () => {
      const bytes = viewBytes(saved, "A saved session");
      return this.runner.inTurn(() => {
        this.requireLive();
        return restoreSession(this, bytes);
      });
    });
  }

  forgetSession(session: LocalSession): void {
    this.sessions.delete(session);
  }

  get isDisposed(): boolean {
    return this.disposing !== undefined;
  }

  private requireLive(): void {
    if (this.isDisposed) throw modelDisposed();
  }

  /** A call of a model that is there; what goes wrong says where it was made. */
  private async call<R>(caller: Caller, work: () => R | Promise<R>): Promise<R> {
    try {
      this.requireLive();
      return await work();
    } catch (error) {
      throw caller.tell(error);
    }
  }

  encode(text: string, options?: EncodeTextOptions): Promise<Int32Array> {
    return this.call(new Caller(this.encode), () => {
      const { signal, ...others } = encodeOptions(options);
      const { check } = new Cancel(signal);
      check();
      return this.tokenizer.encode(ownText("encode", text), { ...others, check });
    });
  }

  decode(ids: ArrayLike<number>, options?: DecodeTextOptions): Promise<string> {
    return this.call(new Caller(this.decode), () =>
      this.tokenizer.decode(ownIds("decode", ids), decodeOptions(options)),
    );
  }

  tokenTexts(ids: ArrayLike<number>): Promise<string[]> {
    return this.call(new Caller(this.tokenTexts), () =>
      Array.from(ownIds("tokenTexts", ids), (id) => this.tokenizer.tokenText(id)),
    );
  }

  renderChat(messages: readonly ChatMessageInput[], options?: RenderChatOptions): Promise<string> {
    return this.call(new Caller(this.renderChat), () => {
      const { check } = new Cancel(renderOptions(options).signal);
      check();
      return this.tokenizer.renderChat(ownMessages("renderChat", messages), { check });
    });
  }

  plan(options?: SessionOptions): Promise<MemoryPlan> {
    return this.call(new Caller(this.plan), () => this.planFor(settingsFor(this.info, options, "plan")));
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
    const policy = freeingPolicy(ADVISED_TOKENS, this.info);
    const advice = `Choose a smaller contextLength, a policy with a budget such as ${policy}, or the cache type q8.`;
    requireMemory(`A cache of ${counted(plan.cacheTokens, "token")} needs`, needed, left, advice);
    requirePlaces(backend, decoder.spec, decoder.shapes, settings, plan, advice);
  }

  dispose(): Promise<void> {
    this.disposing ??= this.giveBack();
    return this.disposing;
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  private async giveBack(): Promise<void> {
    // Not before `disposing` is set, which says why what is under way ends.
    await undefined;
    await Promise.all([...this.sessions].map((session) => session.dispose()));
    await this.runner.idle();
    await this.runner.backend.dispose();
  }
}
