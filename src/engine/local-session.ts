/**
 * A session in the engine's own thread: one text without end, read and written under a policy.
 */
import type { ChatMessage } from "../tokenizer/tokenizer.js";
import { ArgumentError, ContextFullError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import type { GenerateOptions, Part, ScoreOptions, ScorePart, Session, Usage } from "./api.js";
import { ChatText } from "./chat-text.js";
import { type ContextReader, contextReader } from "./context-reader.js";
import { contextNotes } from "./default-context.js";
import { Generation, prepend } from "./generation.js";
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
      const options = { policy, keyType, valueType, limit, chunk, positions: positions ?? undefined };
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

  async *generate(
    prompt: string | ArrayLike<number>,
    options: GenerateOptions = {},
  ): AsyncGenerator<Part, void, undefined> {
    yield* this.exclusively(() => this.writeOn(prompt, options));
  }

  private async *writeOn(
    prompt: string | ArrayLike<number>,
    options: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined> {
    if (options.signal?.aborted && this.awaitsSource) {
      yield { text: "", id: undefined, finish: "cancelled" };
      return;
    }
    const ids = await this.promptIds(prompt);
    yield* new Generation(this, options, ids).run();
  }

  async *chat(
    next: string | readonly ChatMessage[],
    options: GenerateOptions = {},
  ): AsyncGenerator<Part, void, undefined> {
    const added: readonly ChatMessage[] = typeof next === "string" ? [{ role: "user", content: next }] : next;
    yield* this.exclusively(() => this.answer(added, options));
  }

  async *score(
    text: string | ArrayLike<number>,
    options: ScoreOptions = {},
  ): AsyncGenerator<ScorePart, void, undefined> {
    yield* this.exclusively(() => this.scored(text, options));
  }

  private async *scored(
    text: string | ArrayLike<number>,
    options: ScoreOptions,
  ): AsyncGenerator<ScorePart, void, undefined> {
    if (this.model.info.encoderDecoder && this.settings.source === undefined) {
      throw new ArgumentError("An encoder-decoder model scores what follows a source: give the session's source.", {
        option: "source",
      });
    }
    if (options.signal?.aborted && this.awaitsSource) return;
    const empty = this.text.seen === 0;
    const ids = await this.promptIds(text);
    const opening = typeof text === "string" && empty && ids[0] === this.openingId ? 1 : 0;
    yield* scoreText(this, ids, opening, options);
  }

  private async *answer(
    added: readonly ChatMessage[],
    options: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined> {
    const { held } = this.chatText;
    const { waiting } = this;
    const seen = this.reader?.seen ?? 0;
    const { text, startOver } = this.chatText.turn(this.messages, added);
    let answer: string | undefined;
    try {
      if (startOver) this.forget();
      const ids = this.opened(this.model.tokenizer.encode(text, { addSpecial: false, guarded: true }));
      // The template closes the answer before with its own end token.
      if (this.waiting !== undefined && this.model.endIds.has(this.waiting)) this.waiting = undefined;
      for await (const part of new Generation(this, options, ids).run()) {
        if (part.id !== undefined || answer !== undefined) answer = (answer ?? "") + part.text;
        yield part;
      }
    } finally {
      if (answer !== undefined) {
        this.chatText.answered(answer);
        this.messages.push(...added, { role: "assistant", content: answer });
      } else if (!startOver && (this.reader?.seen ?? 0) === seen) {
        this.chatText.unread(held);
        this.waiting = waiting;
      } else {
        // Without a first token the turn was not read to its end: it counts as never said.
        this.chatText.lost();
      }
    }
  }

  private encode(text: string): Int32Array {
    return this.model.tokenizer.encode(text, { addSpecial: false });
  }

  /** An encoder is to read the source before anything else. */
  private get awaitsSource(): boolean {
    return this.model.info.encoderDecoder && this.text.seen === 0 && this.waiting === undefined;
  }

  /** What the prompt adds to the text. An encoder first reads the source, which may be the first prompt. */
  private async promptIds(prompt: string | ArrayLike<number>): Promise<Int32Array> {
    const { source } = this.settings;
    if (!this.model.info.encoderDecoder) return this.decoderIds(prompt);
    if (!this.awaitsSource) {
      if (source !== undefined || prompt.length === 0) return this.decoderIds(prompt);
      throw new ArgumentError(
        "The encoder has read its source. Go on with an empty prompt, reset the session for another source, or give " +
          "the source as a session option and prompts to the decoder.",
      );
    }
    await this.text.encode(this.sourceIds(source ?? prompt));
    return this.decoderIds(source === undefined ? "" : prompt);
  }

  private decoderIds(prompt: string | ArrayLike<number>): Int32Array {
    return typeof prompt === "string" ? this.opened(this.encode(prompt)) : this.checked(prompt);
  }

  /** @throws ContextFullError when the source is longer than the model reads at once */
  private sourceIds(source: string | ArrayLike<number>): Int32Array {
    const ids = typeof source === "string" ? this.model.tokenizer.encode(source) : this.checked(source);
    const most = this.model.info.trainedContext;
    if (ids.length === 0) throw new ArgumentError("The source is empty: there is nothing for the encoder to read.");
    if (ids.length <= most) return ids;
    throw new ContextFullError(
      `The source has ${ids.length} tokens, but the encoder reads at most ${most} at once. Nothing was cut: shorten it ` +
        `by ${ids.length - most} tokens.`,
      { needed: ids.length, limit: most, option: "source" },
    );
  }

  /** What a text begins with; undefined: nothing. */
  private get openingId(): number | undefined {
    return this.model.spec.encoder?.startToken ?? this.model.tokenizer.bosId;
  }

  /** Puts the start token before the first text of a session; ids are taken as they are. */
  private opened(ids: Int32Array): Int32Array {
    const { openingId } = this;
    if (this.text.seen > 0 || this.waiting !== undefined || openingId === undefined) return ids;
    const always = this.model.info.encoderDecoder || this.model.tokenizer.addsBos;
    if (ids[0] === openingId || !(always || ids.length === 0)) return ids;
    return prepend(openingId, ids);
  }

  /** One text cannot be written by two at once. */
  private async *exclusively<T>(work: () => AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
    this.requireIdle();
    this.busy = true;
    try {
      yield* work();
    } finally {
      this.busy = false;
    }
  }

  private requireLive(): void {
    if (this.disposed) throw new ArgumentError("The session was disposed of; make a new one.");
  }

  private requireIdle(): void {
    if (this.busy) throw new ArgumentError("The session is busy: finish or cancel the running generation first.");
  }

  private checked(ids: ArrayLike<number>): Int32Array {
    const { vocabulary } = this.model.info;
    for (let i = 0; i < ids.length; i++) {
      if (Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < vocabulary) continue;
      throw new ArgumentError(
        `Token id ${ids[i]} at index ${i} is not in the vocabulary: expected 0 to ${vocabulary - 1}.`,
      );
    }
    return Int32Array.from(ids);
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

  async save(): Promise<Uint8Array<ArrayBuffer>> {
    this.requireLive();
    this.requireIdle();
    this.busy = true;
    try {
      return await this.model.runner.inTurn(() => saveSession(this));
    } finally {
      this.busy = false;
    }
  }

  async reset(): Promise<void> {
    this.requireIdle();
    this.busy = true;
    await this.model.runner.idle();
    this.busy = false;
    this.forget();
    this.chatText.clear();
    this.messages.length = 0;
    this.promptTokens = 0;
    this.generatedTokens = 0;
    this.prefillSpeed.clear();
    this.decodeSpeed.clear();
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    // From here on a generation that is under way ends with a typed error at its next step.
    this.disposed = true;
    await this.model.runner.idle();
    this.abandon();
  }

  /** Gives everything back at once. No step may be running. */
  abandon(): void {
    this.disposed = true;
    this.forget();
    this.model.forgetSession(this);
  }
}
