/**
 * A session in the engine's own thread: one text without end, read and written under a policy.
 */
import type { ChatMessage, EncodeOptions } from "../tokenizer/tokenizer.js";
import { withPrefix } from "../tokenizer/vocabulary-tokenizer.js";
import { ArgumentError, CancelledError, ContextFullError, SluiceError } from "../util/errors.js";
import { counted, formatCount } from "../util/figures.js";
import { platform } from "../util/platform.js";
import type { ChatMessageInput, GenerateOptions, Part, ScoreOptions, ScorePart, Session, Usage } from "./api.js";
import { generateOptions, scoreOptions } from "./arguments/calls.js";
import { ownMessages, ownPrompt } from "./arguments/values.js";
import { ASYNC_DISPOSE } from "./async-dispose.js";
import { Caller } from "./caller.js";
import { ChatText } from "./chat-text.js";
import { type ContextReader, contextReader } from "./context-reader.js";
import { contextNotes, freeingPolicy, mayRaise } from "./default-context.js";
import { modelDisposed, sessionDisposed } from "./ended.js";
import { Generation } from "./generation.js";
import { CANCELLED, Cancel, leaving } from "./leaving.js";
import type { LocalModel } from "./local-model.js";
import { fitNotes } from "./policy-fit.js";
import { RecentIds } from "./recent-ids.js";
import { SAMPLING_RANGES } from "./sampling.js";
import { scoreText } from "./score.js";
import type { SessionSettings } from "./session-options.js";
import { saveSession } from "./session-snapshot.js";
import { Speed } from "./speed.js";

/** Events wait at most about this long, plus one step. */
const BREATH_MS = 10;

export class LocalSession implements Session {
  readonly context: string;
  /** What is known of these options from the beginning. */
  private readonly fitNotes: readonly string[];
  readonly messages: ChatMessage[] = [];
  readonly prefillSpeed = new Speed();
  readonly decodeSpeed = new Speed();
  promptTokens = 0;
  generatedTokens = 0;
  /** Logits after the last token that was read, when no sampled token waits. */
  nextLogits: Float32Array | undefined;
  /** The newest sampled token, which the next step reads first. */
  waiting: number | undefined;
  /** The newest tokens of the text, for penalties. */
  readonly history = new RecentIds(SAMPLING_RANGES.penaltyWindow.most);
  private logitsBuffer = new Float32Array(0);
  /** Undefined until something is read. */
  reader: ContextReader | undefined;
  readonly chatText: ChatText;
  private busy = false;
  private disposed = false;
  private disposing: Promise<void> | undefined;
  private lastBreath = 0;

  constructor(
    readonly model: LocalModel,
    readonly settings: SessionSettings,
  ) {
    this.context = settings.policy.text;
    this.fitNotes = fitNotes(settings, model.info);
    this.chatText = new ChatText(model.tokenizer);
  }

  /** The reader is made on first use, so that a session costs nothing before. @throws MemoryError with figures */
  get text(): ContextReader {
    this.requireLive();
    if (!this.reader) {
      this.model.requireCache(this.settings);
      const { policy, keyType, valueType, contextLength, chunk } = this.settings;
      const { trainedContext, positions } = this.model.info;
      const limit = contextLength ?? trainedContext;
      const advice = {
        policy: freeingPolicy(limit, this.model.info),
        longer: mayRaise(limit, this.model.info) ? trainedContext : undefined,
      };
      const options = { policy, keyType, valueType, limit, chunk, positions: positions ?? undefined, advice };
      this.reader = contextReader(this.model.runner, options);
    }
    return this.reader;
  }

  get notes(): readonly string[] {
    return [...this.fitNotes, ...contextNotes(this.settings, this.model.info, this.usage)];
  }

  get usage(): Usage {
    const { reader } = this;
    const seen = reader?.seen ?? 0;
    const kept = reader?.kept ?? 0;
    return {
      seen,
      kept,
      evicted: seen - kept,
      horizon: reader?.horizon ?? null,
      sinks: reader?.sinks ?? this.settings.policy.sinks,
      cacheBytes: reader?.cacheBytes ?? 0,
      promptTokens: this.promptTokens,
      generatedTokens: this.generatedTokens,
      prefillTokensPerSecond: this.prefillSpeed.tokensPerSecond,
      decodeTokensPerSecond: this.decodeSpeed.tokensPerSecond,
    };
  }

  generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): AsyncGenerator<Part, void, undefined> {
    const caller = new Caller(this.generate);
    const { vocabulary } = this.model.info;
    const own = ownPrompt("generate", prompt, vocabulary);
    const settings = generateOptions("generate", options, vocabulary);
    return this.exclusively(caller, settings.signal, (cancel) => this.writeOn(own, settings, cancel));
  }

  chat(
    messages: string | readonly ChatMessageInput[],
    options?: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined> {
    const caller = new Caller(this.chat);
    const own = ownMessages("chat", messages);
    const settings = generateOptions("chat", options, this.model.info.vocabulary);
    return this.exclusively(caller, settings.signal, (cancel) => this.answer(own, settings, cancel));
  }

  score(text: string | ArrayLike<number>, options?: ScoreOptions): AsyncGenerator<ScorePart, void, undefined> {
    const caller = new Caller(this.score);
    const own = ownPrompt("score", text, this.model.info.vocabulary);
    const settings = scoreOptions(options);
    return this.exclusively(caller, settings.signal, (cancel) => this.scored(own, settings, cancel));
  }

  private async *writeOn(
    prompt: string | Int32Array,
    options: GenerateOptions,
    cancel: Cancel,
  ): AsyncGenerator<Part, void, undefined> {
    const ids = await this.unlessCancelled(cancel, () => this.promptIds(prompt, cancel));
    if (ids) yield* new Generation(this, options, cancel, ids).run();
    else yield CANCELLED;
  }

  private async *scored(
    text: string | Int32Array,
    options: ScoreOptions,
    cancel: Cancel,
  ): AsyncGenerator<ScorePart, void, undefined> {
    if (this.model.info.encoderDecoder && this.settings.source === undefined) {
      throw new ArgumentError("An encoder-decoder model scores what follows a source: give the session's source.", {
        option: "source",
      });
    }
    const empty = this.text.seen === 0;
    const ids = await this.unlessCancelled(cancel, () => this.promptIds(text, cancel));
    const opening = typeof text === "string" && empty && ids ? this.openingOf(ids) : 0;
    yield* scoreText(this, ids, opening, options, cancel);
  }

  private async *answer(
    added: readonly ChatMessage[],
    options: GenerateOptions,
    cancel: Cancel,
  ): AsyncGenerator<Part, void, undefined> {
    const { held } = this.chatText;
    const { waiting } = this;
    const seen = this.reader?.seen ?? 0;
    let startOver = false;
    let answer: string | undefined;
    try {
      const ids = await this.unlessCancelled(cancel, () => {
        const turn = this.chatText.turn(this.messages, added, cancel.check);
        startOver = turn.startOver;
        return this.encode(turn.text, { guarded: true, check: cancel.check });
      });
      if (!ids) {
        yield CANCELLED;
        return;
      }
      if (startOver) this.forget();
      // The template closes the answer before with its own end token.
      if (this.waiting !== undefined && this.model.endIds.has(this.waiting)) this.waiting = undefined;
      for await (const part of new Generation(this, options, cancel, this.opened(ids)).run()) {
        if (part.id !== undefined || answer !== undefined) answer = (answer ?? "") + part.text;
        yield part;
      }
    } finally {
      if (answer !== undefined) {
        this.chatText.answered(answer);
        this.messages.push(...added, { role: "assistant", content: answer });
      } else if ((this.reader?.seen ?? 0) === seen) {
        this.chatText.unread(held);
        this.waiting = waiting;
      } else {
        // Without a first token the turn was not read to its end: it counts as never said.
        this.chatText.lost();
      }
    }
  }

  /** What `work` gives; undefined when it was cancelled before or meanwhile. */
  private async unlessCancelled<R>(cancel: Cancel, work: () => R | Promise<R>): Promise<R | undefined> {
    if (cancel.aborted) return undefined;
    try {
      return await work();
    } catch (error) {
      if (error instanceof CancelledError) return undefined;
      throw error;
    }
  }

  /** A text without what the vocabulary puts around it. */
  private encode(text: string, options: EncodeOptions): Int32Array {
    return this.model.tokenizer.encode(text, { ...options, addSpecial: false });
  }

  /** An encoder is to read the source before anything else. */
  private get awaitsSource(): boolean {
    return this.model.info.encoderDecoder && this.text.seen === 0 && this.waiting === undefined;
  }

  /** What the prompt adds to the text. An encoder first reads the source, which may be the first prompt. */
  private async promptIds(prompt: string | Int32Array, { check }: Cancel): Promise<Int32Array> {
    const { source } = this.settings;
    if (!this.model.info.encoderDecoder) return this.decoderIds(prompt, check);
    if (!this.awaitsSource) {
      if (source !== undefined || prompt.length === 0) return this.decoderIds(prompt, check);
      throw new ArgumentError(
        "The encoder has read its source. Go on with an empty prompt, reset the session for another source, or give " +
          "the source as a session option and prompts to the decoder.",
      );
    }
    await this.text.encode(this.sourceIds(source ?? prompt, check));
    return this.decoderIds(source === undefined ? "" : prompt, check);
  }

  private decoderIds(prompt: string | Int32Array, check: () => void): Int32Array {
    return typeof prompt === "string" ? this.opened(this.encode(prompt, { check })) : prompt;
  }

  /** @throws ContextFullError when the source is longer than the model reads at once */
  private sourceIds(source: string | ArrayLike<number>, check: () => void): Int32Array {
    const ids = typeof source === "string" ? this.model.tokenizer.encode(source, { check }) : Int32Array.from(source);
    const most = this.model.info.trainedContext;
    if (ids.length === 0) throw new ArgumentError("The source is empty: there is nothing for the encoder to read.");
    if (ids.length <= most) return ids;
    throw new ContextFullError(
      `The source has ${counted(ids.length, "token")}, but the encoder reads at most ${formatCount(most)} at once. Nothing was cut: shorten it ` +
        `by ${counted(ids.length - most, "token")}.`,
      { needed: ids.length, limit: most, option: "source" },
    );
  }

  /** What a text begins with; without any text something has to be read, if need be a start token that isn't usual. */
  private opening(ids: Int32Array): readonly number[] {
    const { spec, tokenizer } = this.model;
    const start = spec.encoder?.startToken;
    if (start !== undefined) return [start];
    const { prefix, bosId } = tokenizer;
    return ids.length > 0 || prefix.length > 0 || bosId === undefined ? prefix : [bosId];
  }

  /** How many ids at the beginning are no text. */
  private openingOf(ids: Int32Array): number {
    const opening = this.opening(ids);
    if (opening.length > 0) return opening.every((id, i) => ids[i] === id) ? opening.length : 0;
    return ids[0] === this.model.tokenizer.bosId ? 1 : 0;
  }

  /** Puts the start token before the first text of a session; ids are taken as they are. */
  private opened(ids: Int32Array): Int32Array {
    if (this.text.seen > 0 || this.waiting !== undefined) return ids;
    return withPrefix(ids, this.opening(ids));
  }

  /**
   * Work that gives parts, once the first is asked for: one text cannot be written by two at once. Whatever ends it, the
   * session is free afterwards.
   */
  private exclusively<T>(
    caller: Caller,
    signal: AbortSignal | undefined,
    work: (cancel: Cancel) => AsyncGenerator<T, void, undefined>,
  ): AsyncGenerator<T, void, undefined> {
    const cancel = new Cancel(signal);
    return leaving(
      this.parts(caller, () => work(cancel)),
      () => cancel.leave(),
    );
  }

  private async *parts<T>(
    caller: Caller,
    work: () => AsyncGenerator<T, void, undefined>,
  ): AsyncGenerator<T, void, undefined> {
    let began = false;
    try {
      this.begin();
      began = true;
      yield* work();
    } catch (error) {
      throw caller.tell(this.disposed && error instanceof SluiceError ? this.gone() : error);
    } finally {
      if (began) this.busy = false;
    }
  }

  /** One thing at a time. @throws ArgumentError when it was disposed of or is at work */
  private begin(): void {
    this.requireLive();
    if (this.busy) throw new ArgumentError("The session is busy: finish or cancel the running generation first.");
    this.busy = true;
  }

  private requireLive(): void {
    if (this.disposed) throw this.gone();
  }

  private gone(): ArgumentError {
    return this.model.isDisposed ? modelDisposed() : sessionDisposed();
  }

  /** Lets cancel messages, signals and timers through, if they have waited for a while. */
  async breathe(): Promise<void> {
    const now = performance.now();
    if (now - this.lastBreath < BREATH_MS) return;
    await platform().yieldToEvents();
    this.lastBreath = performance.now();
  }

  /** Remembers the logits after the last token read, so that the text can go on from any place. */
  keepLogits(logits: Float32Array): Float32Array {
    if (this.logitsBuffer.length !== logits.length) this.logitsBuffer = new Float32Array(logits.length);
    this.logitsBuffer.set(logits);
    this.nextLogits = this.logitsBuffer;
    return this.logitsBuffer;
  }

  private forget(): void {
    this.history.clear();
    this.reader?.dispose();
    this.reader = undefined;
    this.nextLogits = undefined;
    this.waiting = undefined;
  }

  save(): Promise<Uint8Array<ArrayBuffer>> {
    return this.alone(new Caller(this.save), () => saveSession(this));
  }

  reset(): Promise<void> {
    return this.alone(new Caller(this.reset), async () => {
      this.forget();
      this.chatText.clear();
      this.messages.length = 0;
      this.promptTokens = 0;
      this.generatedTokens = 0;
      this.prefillSpeed.clear();
      this.decodeSpeed.clear();
    });
  }

  /** Work of its own between two steps. */
  private async alone<R>(caller: Caller, work: () => Promise<R>): Promise<R> {
    let began = false;
    try {
      this.begin();
      began = true;
      return await this.model.runner.inTurn(() => {
        this.requireLive();
        return work();
      });
    } catch (error) {
      throw caller.tell(error);
    } finally {
      if (began) this.busy = false;
    }
  }

  dispose(): Promise<void> {
    // From here on a generation that is under way ends with a typed error at its next step.
    this.disposed = true;
    this.disposing ??= this.model.runner.idle().then(() => this.abandon());
    return this.disposing;
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  /** Gives everything back at once. No step may be running. */
  abandon(): void {
    this.disposed = true;
    this.forget();
    this.model.forgetSession(this);
  }
}
