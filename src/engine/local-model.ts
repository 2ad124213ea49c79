/** A loaded model in the engine's own thread: weights in a backend, tokenizer, sessions. */
import type { GatesByName } from "../context/gates/index.js";
import type { Decoder } from "../nn/decoder.js";
import type { ModelSpec } from "../nn/spec.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { viewBytes } from "../util/bytes.js";
import type {
  ChatMessageInput,
  DecodeTextOptions,
  EncodeTextOptions,
  MemoryPlan,
  Model,
  ModelInfo,
  ModelMetrics,
  RenderChatOptions,
  Session,
  SessionOptions,
} from "./api.js";
import {
  ASYNC_DISPOSE,
  Caller,
  Cancel,
  decodeOptions,
  encodeOptions,
  modelDisposed,
  ownIds,
  ownMessages,
  ownText,
  renderOptions,
} from "./calls/index.js";
import {
  freeingPolicy,
  LocalSession,
  openAgain,
  openSaved,
  Prefixes,
  type SessionModel,
  settingsFor,
} from "./session/index.js";
import { MemoryLedger, memoryPlan, type PlannedModel, Scheduler, type StepRunner } from "./step/index.js";

/** Of a policy that a message names, where the model was trained for as many. */
const ADVISED_TOKENS = 2048;

/** Of the memory beside the weights, what is kept for texts that begin like one that was read; and at most so many bytes. */
const PREFIX_SHARE = 1 / 8;
const MOST_PREFIX_BYTES = 2 ** 30;

export interface LocalModelParts {
  readonly decoder: Decoder;
  readonly runner: StepRunner;
  readonly tokenizer: Tokenizer;
  readonly endIds: ReadonlySet<number>;
  readonly info: ModelInfo;
  /** Gates that its policies may name. */
  readonly gates: GatesByName;
  /** Most bytes for weights and caches. */
  readonly memoryLimitBytes: number;
  /** Most bytes of texts that are kept for others; undefined: as much as seems well. */
  readonly prefixBytes?: number | undefined;
  /** See PlannedModel. */
  readonly machineBytes: number;
}

export class LocalModel implements Model, SessionModel {
  readonly info: ModelInfo;
  readonly gates: GatesByName;
  readonly tokenizer: Tokenizer;
  /** Ids that end an answer. */
  readonly endIds: ReadonlySet<number>;
  readonly runner: StepRunner;
  readonly scheduler: Scheduler;
  readonly prefixes: Prefixes;
  /** What its sessions were promised of the memory. */
  readonly ledger: MemoryLedger;
  private disposing: Promise<void> | undefined;
  private readonly sessions = new Set<Session>();

  constructor(private readonly parts: LocalModelParts) {
    this.info = parts.info;
    this.gates = parts.gates;
    this.tokenizer = parts.tokenizer;
    this.endIds = parts.endIds;
    this.runner = parts.runner;
    this.scheduler = new Scheduler(parts.runner);
    const policy = freeingPolicy(ADVISED_TOKENS, this.info);
    const advice = `Choose a smaller contextLength, a policy with a budget such as ${policy}, or the cache type q8.`;
    const spareBytes = Math.max(0, parts.memoryLimitBytes - this.info.weightBytes) * PREFIX_SHARE;
    const mostBytes = parts.prefixBytes ?? Math.min(spareBytes, MOST_PREFIX_BYTES);
    this.prefixes = new Prefixes({ mostBytes, pieceRows: this.runner.pieceRows });
    this.ledger = new MemoryLedger(this.planned, { limitBytes: parts.memoryLimitBytes, advice, spare: this.prefixes });
  }

  get spec(): ModelSpec {
    return this.parts.decoder.spec;
  }

  session(options?: SessionOptions): LocalSession {
    this.requireLive();
    const session = new LocalSession(this, settingsFor(this, options));
    this.keepSession(session);
    return session;
  }

  restore(saved: ArrayBufferView | ArrayBufferLike): Promise<LocalSession> {
    const caller = new Caller(this.restore);
    return this.call(caller, () => {
      const bytes = viewBytes(saved, "A saved session");
      return this.runner.inTurn(() => {
        this.requireLive();
        return this.restored(bytes);
      });
    });
  }

  private async restored(bytes: Uint8Array): Promise<LocalSession> {
    const saved = openSaved(bytes, this);
    const session = openAgain(saved, (options) => this.session(options));
    try {
      session.fill(saved);
      return session;
    } catch (error) {
      session.abandon();
      throw error;
    }
  }

  keepSession(session: Session): void {
    this.sessions.add(session);
  }

  forgetSession(session: Session): void {
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
    return this.call(new Caller(this.plan), () => {
      const settings = settingsFor(this, options, "plan");
      const { weightBytes } = this.info;
      return memoryPlan(this.planned, { settings, weightBytes, availableBytes: this.parts.memoryLimitBytes });
    });
  }

  metrics(): Promise<ModelMetrics> {
    return this.call(new Caller(this.metrics), () => {
      const { steps, stepMs, lastStepMs, texts, waiting, givenTokens, writtenTokens } = this.scheduler.counts;
      const { bytes: prefixBytes, hits: prefixHits, hitTokens: prefixTokens } = this.prefixes;
      const sessions = [...this.sessions];
      return {
        sessions: sessions.length,
        running: texts,
        waiting,
        steps,
        meanStepMs: steps > 0 ? stepMs / steps : null,
        lastStepMs,
        promptTokens: givenTokens,
        generatedTokens: writtenTokens,
        cacheBytes: sessions.reduce((sum, { usage }) => sum + usage.cacheBytes, 0),
        prefixBytes,
        prefixHits,
        prefixTokens,
      };
    });
  }

  private get planned(): PlannedModel {
    const { spec, shapes } = this.parts.decoder;
    return { backend: this.runner.backend, spec, shapes, machineBytes: this.parts.machineBytes };
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
    this.prefixes.clear();
    await this.runner.backend.dispose();
  }
}
