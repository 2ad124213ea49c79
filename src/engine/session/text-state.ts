/**
 * The text of a session and where it stands: what was read and into which memory, the sampled token that waits to be read, the
 * logits that predict the next one, the newest ids, and what was counted. Generation, scores, conversations and snapshots work
 * on it; nobody else changes it.
 */
import { policyForMessages } from "../../context/policy.js";
import { NO_MESSAGES, type TextMessages } from "../../context/text-messages.js";
import type { SluiceError } from "../../util/errors.js";
import type { Usage } from "../api.js";

import { RecentIds, SAMPLING_RANGES } from "../sampling/index.js";
import { Breath } from "../step/breath.js";
import { type ContextReader, contextReader, type ReadOptions, type UseLogits } from "../step/context-reader.js";
import type { Wanted } from "../step/want.js";
import { freeingPolicy, mayRaise } from "./default-context.js";
import type { SessionModel } from "./session-model.js";
import type { SessionSettings } from "./session-settings.js";
import { Speed, type SpeedSums } from "./speed.js";

/** Counts that go on through `save` and `restore`. */
export interface TokenCounts {
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** Not saved: what a restored session holds was not taken over from another. */
  readonly cachedTokens?: number;
}

/** A token of a generation, as the last thing that was drawn. Its prompt was read before, so what that took is none of it. */
export interface TextMark {
  readonly seen: number;
  readonly waiting: number | undefined;
  readonly pushed: number;
  readonly newestRead: number;
  readonly counts: Required<TokenCounts>;
  readonly decode: SpeedSums;
}

export class TextState {
  readonly prefillSpeed = new Speed();
  readonly decodeSpeed = new Speed();
  /** Lets events through between two steps. */
  readonly breath = new Breath();
  /** Undefined until something is read. */
  private opened: ContextReader | undefined;
  private waitingId: number | undefined;
  private logits: Float32Array | undefined;
  private logitsBuffer = new Float32Array(0);
  private readonly recent = new RecentIds(SAMPLING_RANGES.penaltyWindow.most);
  private counts = { promptTokens: 0, generatedTokens: 0, cachedTokens: 0 };
  /** All ids that were read, while all are known. */
  private ids: number[] | undefined = [];
  /** Tokens that the newest step's last row has read. */
  private newestRead = 0;
  private divided: TextMessages = NO_MESSAGES;
  /** Why it can no longer be read or written. */
  private ended: (() => SluiceError) | undefined;

  constructor(
    readonly model: SessionModel,
    readonly settings: SessionSettings,
  ) {}

  /** It is made on first use, so that a session costs nothing before. @throws MemoryError with figures */
  get reader(): ContextReader {
    this.requireLive();
    if (this.opened) return this.opened;
    const { model, settings } = this;
    const { policy, keyType, valueType, contextLength, chunk } = settings;
    const { trainedContext, positions } = model.info;
    const limit = contextLength ?? trainedContext;
    const advice = {
      policy: freeingPolicy(limit, model.info),
      longer: mayRaise(limit, model.info) ? trainedContext : undefined,
    };
    const options = { policy, keyType, valueType, limit, chunk, positions: positions ?? undefined, advice };
    model.ledger.admit(this, settings);
    try {
      this.opened = contextReader(model.scheduler, options);
    } catch (error) {
      model.ledger.release(this);
      throw error;
    }
    return this.opened;
  }

  /** What was read so far, if anything was. */
  get existing(): ContextReader | undefined {
    return this.opened;
  }

  get seen(): number {
    return this.opened?.seen ?? 0;
  }
  /** The newest sampled token, which the next step reads first. */
  get waiting(): number | undefined {
    return this.waitingId;
  }
  /** Neither read nor about to be. */
  get isEmpty(): boolean {
    return this.seen === 0 && this.waitingId === undefined;
  }
  /** Logits after the last token that was read, when no sampled token waits. */
  get nextLogits(): Float32Array | undefined {
    return this.logits;
  }
  /** The newest tokens of the text, for penalties. */
  get history(): ArrayLike<number> {
    return this.recent.values;
  }

  get usage(): Usage {
    const { opened, seen } = this;
    const kept = opened?.kept ?? 0;
    return {
      seen,
      kept,
      evicted: seen - kept,
      read: this.newestRead,
      horizon: opened?.horizon ?? null,
      sinks: opened?.sinks ?? this.settings.policy.sinks,
      cacheBytes: opened?.cacheBytes ?? 0,
      groups: opened?.groups ?? [],
      ...this.counts,
      prefillTokensPerSecond: this.prefillSpeed.tokensPerSecond,
      decodeTokensPerSecond: this.decodeSpeed.tokensPerSecond,
    };
  }

  /**
   * Reads ids, with which a token that waited is read; of a prompt's chunk maybe the first of them only. `use` sees the logits
   * of the last or of all that were read, during the call only.
   */
  read<R>(ids: Int32Array, wanted: Wanted, use: UseLogits<R>, options?: ReadOptions): Promise<R> {
    const { reader } = this;
    const used: UseLogits<R> = (logits, count) => {
      this.waitingId = undefined;
      this.newestRead = reader.newestRead;
      if (this.ids) for (let i = 0; i < count; i++) this.ids.push(ids[i]);
      return use(logits, count);
    };
    return reader.read(ids, wanted, used, options);
  }

  /** That steps with the logits of so many rows fit. @throws MemoryError with figures */
  admitLogits(rows: number): void {
    const { reader, model, settings } = this;
    // A text that is read again for every token has them one by one.
    if (!settings.policy.recompute) model.ledger.admitLogits(this, reader.limit(rows));
  }

  /**
   * Where the messages of the text lie that was read or is about to be; known where the policy goes by them, and elsewhere of a
   * system message with what was read beside it.
   */
  get messages(): TextMessages {
    return this.divided;
  }

  /**
   * Says so, before the messages are read; only a policy that goes by messages looks.
   * @throws MemoryError where a long system message does not fit; then the text is forgotten
   */
  divide(messages: TextMessages): void {
    const { model, settings } = this;
    const { cache } = this.reader.memory;
    const policy = policyForMessages(settings.policy, messages);
    const { system } = messages;
    if (system && system.end !== this.messages.system?.end) {
      try {
        model.ledger.admit(this, { ...settings, policy });
      } catch (error) {
        this.forget();
        throw error;
      }
    }
    this.divided = messages;
    cache.messages = messages;
  }

  /** What was said of messages that were not read after all is not so: these are left. */
  divideAgain(messages: TextMessages): void {
    this.divided = messages;
    if (this.opened) this.opened.memory.cache.messages = messages;
  }

  /** These ids of a prompt became part of the text. */
  prompted(ids: Int32Array): void {
    for (const id of ids) this.recent.push(id);
  }

  /** A token was drawn; it waits to be read. */
  sampled(id: number): void {
    this.recent.push(id);
    this.waitingId = id;
    this.logits = undefined;
    this.counts.generatedTokens++;
  }

  /** The token that waits is not to be read: what follows brings it along. */
  dropWaiting(): void {
    this.waitingId = undefined;
  }

  /** The token that waited before waits again: nothing was read since. */
  waitAgain(id: number | undefined): void {
    this.waitingId = id;
  }

  /** Remembers the logits after the last token read, so that the text can go on from any token. */
  keepLogits(logits: Float32Array): Float32Array {
    if (this.logitsBuffer.length !== logits.length) this.logitsBuffer = new Float32Array(logits.length);
    this.logitsBuffer.set(logits);
    this.logits = this.logitsBuffer;
    return this.logitsBuffer;
  }

  countPrompt(tokens: number): void {
    this.counts.promptTokens += tokens;
  }

  /** Goes on where a saved text stood, whose memory the reader has. */
  resume(saved: {
    readonly waiting: number | undefined;
    readonly history: Int32Array;
    /** Empty: none. */
    readonly logits: Float32Array;
    readonly counts: TokenCounts;
    readonly read: number;
  }): void {
    this.prompted(saved.history);
    if (saved.logits.length > 0) this.keepLogits(saved.logits);
    this.waitingId = saved.waiting;
    this.newestRead = saved.read;
    const { promptTokens, generatedTokens } = saved.counts;
    this.counts = { promptTokens, generatedTokens, cachedTokens: 0 };
    this.ids = undefined;
  }

  /** Goes on where another text stands, between two steps; nothing was read here. @throws MemoryError */
  follow(other: TextState): void {
    const { model, settings, messages: own } = other;
    if (other.opened) {
      model.ledger.admit(
        this,
        own.system ? { ...settings, policy: policyForMessages(settings.policy, own) } : settings,
      );
      try {
        this.opened = other.opened.fork();
      } catch (error) {
        model.ledger.release(this);
        throw error;
      }
    }
    this.prompted(Int32Array.from(other.history));
    if (other.logits) this.keepLogits(other.logits);
    this.waitingId = other.waitingId;
    this.newestRead = other.newestRead;
    this.counts = { ...other.counts };
    this.ids = other.ids?.slice();
  }

  /** Text that a generation holds back for a whole character or a stop string; undefined while none runs. */
  heldBack: (() => string) | undefined;

  /** Whether a generation's next token can be taken back as if it had never been. */
  canTakeBack(): boolean {
    return this.heldBack !== undefined && this.opened?.canTakeBack() === true;
  }

  /**
   * Takes over what another text that begins like this prompt has read, where nothing was read here yet; returns how many tokens
   * need not be read.
   */
  async takeBeginning(prompt: Int32Array): Promise<number> {
    const { model, reader } = this;
    if (!this.isEmpty || this.settings.source !== undefined || prompt.length === 0) return 0;
    return model.runner.inTurn(async () => {
      // It may have gone meanwhile.
      this.requireLive();
      const taken = model.prefixes.take(this.kind, prompt, this.settings.chunk);
      if (!taken) return 0;
      if (!reader.adopt(taken.memory)) {
        taken.memory.dispose();
        return 0;
      }
      const ids = prompt.subarray(0, taken.tokens);
      this.prompted(ids);
      this.ids = Array.from(ids);
      this.counts.promptTokens += taken.tokens;
      this.counts.cachedTokens += taken.tokens;
      return taken.tokens;
    });
  }

  /** Of a prompt of so many tokens, of which some were taken over, after how many the text is kept for others. */
  keptAfter(tokens: number, taken: number): number {
    const { model, reader, settings } = this;
    return reader.memory.isWhole(reader.seen + tokens - taken)
      ? model.prefixes.cut(tokens - 2, settings.chunk)
      : tokens;
  }

  /** What was read is kept for texts that begin alike. */
  async keepBeginning(): Promise<void> {
    const { model, ids, opened } = this;
    if (!ids || !opened || opened.seen !== ids.length) return;
    await model.runner.inTurn(async () => {
      if (this.opened === opened) model.prefixes.keep(this.kind, Int32Array.from(ids), opened.memory);
    });
  }

  /** Texts of one kind can go on from each other. */
  private get kind(): string {
    const { policy, keyType, valueType, contextLength, chunk } = this.settings;
    return JSON.stringify([policy.text, keyType, valueType, contextLength, chunk]);
  }

  /** Nothing is read for now: steps of other texts need not wait for this one. */
  rests(): void {
    if (this.opened) this.model.scheduler.rests(this.opened.memory);
  }

  /** Where it stands, to be taken back to there. */
  mark(): TextMark {
    return {
      seen: this.seen,
      waiting: this.waitingId,
      pushed: this.recent.pushed,
      newestRead: this.newestRead,
      counts: { ...this.counts },
      decode: this.decodeSpeed.sums,
    };
  }

  /** Takes back what a generation read and drew since then; `canTakeBack` was asked before each token. */
  takeBack({ seen, waiting, pushed, newestRead, counts, decode }: TextMark): void {
    if (seen < this.seen) this.opened?.takeBack(seen);
    this.waitingId = waiting;
    this.logits = undefined;
    this.recent.takeBack(pushed);
    this.newestRead = newestRead;
    this.counts = { ...counts };
    if (this.ids && this.ids.length > seen) this.ids.length = seen;
    this.decodeSpeed.back(decode);
  }

  /** Forgets the text and gives its memory back; what was counted stays. */
  forget(): void {
    this.recent.clear();
    this.opened?.dispose();
    this.opened = undefined;
    this.model.ledger.release(this);
    this.divided = NO_MESSAGES;
    this.newestRead = 0;
    this.logits = undefined;
    this.waitingId = undefined;
    this.ids = [];
  }

  /** Begins anew. */
  reset(): void {
    this.forget();
    this.counts = { promptTokens: 0, generatedTokens: 0, cachedTokens: 0 };
    this.prefillSpeed.clear();
    this.decodeSpeed.clear();
  }

  /** From here on it can be neither read nor written; what is under way fails with the reason at its next step. */
  end(reason: () => SluiceError): void {
    this.ended ??= reason;
  }

  get isLive(): boolean {
    return this.ended === undefined;
  }

  /** @throws the reason why it has ended */
  requireLive(): void {
    if (this.ended) throw this.ended();
  }
}
