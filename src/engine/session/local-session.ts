/**
 * A session in the engine's own thread: one text without end, read and written under a policy. This is its face: it checks
 * arguments, lets one thing at a time work on the text, and ends it.
 */
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { ArgumentError, SluiceError } from "../../util/errors.js";
import type { ChatMessageInput, GenerateOptions, Part, ScoreOptions, ScorePart, Session, Usage } from "../api.js";
import { ASYNC_DISPOSE } from "../calls/async-dispose.js";
import { generateOptions, scoreOptions } from "../calls/call-options.js";
import { Caller } from "../calls/caller.js";
import { modelDisposed, sessionDisposed } from "../calls/ended.js";
import { CANCELLED, Cancel, leaving } from "../calls/leaving.js";
import { ownMessages, ownPrompt } from "../calls/values.js";
import { Conversation } from "./conversation.js";
import { contextNotes } from "./default-context.js";
import { Generation } from "./generation.js";
import { messageNotes } from "./message-notes.js";
import { fitNotes } from "./policy-fit.js";
import { openingLength, promptIds } from "./prompt.js";
import { RunAhead } from "./run-ahead.js";
import { scoreNotes, scoreText } from "./score.js";
import type { SessionModel } from "./session-model.js";
import type { SessionSettings } from "./session-settings.js";
import { restoreInto, type SavedSession, saveSession } from "./session-snapshot.js";
import { TextState } from "./text-state.js";

export class LocalSession implements Session {
  /** Lets a generation run ahead of who reads it. */
  readonly ahead: RunAhead;
  readonly context: string;
  readonly text: TextState;
  private readonly conversation: Conversation;
  /** What is known of these options from the beginning. */
  private readonly fitNotes: readonly string[];
  /** The greatest `batch` that anything of the text was scored with. */
  private scoredBatch = 0;
  private busy = false;
  private disposing: Promise<void> | undefined;

  constructor(
    private readonly model: SessionModel,
    private readonly settings: SessionSettings,
  ) {
    this.context = settings.policy.text;
    this.fitNotes = fitNotes(settings, model.info);
    this.text = new TextState(model, settings);
    this.conversation = new Conversation(this.text);
    this.ahead = new RunAhead(this.text, this.conversation);
  }

  get notes(): readonly string[] {
    const { settings, usage, text } = this;
    const { info } = this.model;
    return [
      ...this.fitNotes,
      ...contextNotes(settings, info, usage),
      ...messageNotes(settings, info, usage, text.messages),
      ...scoreNotes(settings, this.scoredBatch, usage.seen),
    ];
  }

  get usage(): Usage {
    return this.text.usage;
  }

  get messages(): readonly ChatMessage[] {
    return this.conversation.messages;
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
    return this.exclusively(caller, settings.signal, (cancel) => this.conversation.answer(own, settings, cancel));
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
    const ids = await cancel.unless(() => promptIds(this.text, prompt, cancel));
    if (ids) yield* new Generation(this.text, options, cancel, ids).run();
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
    const ids = await cancel.unless(() => promptIds(this.text, text, cancel));
    const opening = typeof text === "string" && empty && ids ? openingLength(this.model, ids) : 0;
    if (ids && ids.length > 0) this.scoredBatch = Math.max(this.scoredBatch, options.batch ?? 1);
    yield* scoreText(this.text, ids, opening, options, cancel);
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
      throw caller.tell(this.disposing && error instanceof SluiceError ? this.gone() : error);
    } finally {
      if (began) {
        this.busy = false;
        this.text.rests();
      }
    }
  }

  /** One thing at a time. @throws ArgumentError when it was disposed of or is at work */
  private begin(): void {
    this.text.requireLive();
    if (this.busy) throw new ArgumentError("The session is busy: finish or cancel the running generation first.");
    this.busy = true;
  }

  private gone(): ArgumentError {
    return this.model.isDisposed ? modelDisposed() : sessionDisposed();
  }

  save(): Promise<Uint8Array<ArrayBuffer>> {
    return this.alone(new Caller(this.save), () => saveSession(this.text, this.conversation));
  }

  fork(): Promise<LocalSession> {
    return this.alone(new Caller(this.fork), async () => {
      const { model, settings, conversation } = this;
      const made = new LocalSession(model, settings);
      made.text.follow(this.text);
      made.conversation.resume(conversation.messages, conversation.held);
      model.keepSession(made);
      return made;
    });
  }

  /** Takes over what was saved. The session is empty, and no step may be running. @throws SnapshotError, MemoryError */
  fill(saved: SavedSession): void {
    restoreInto(this.text, this.conversation, saved);
  }

  reset(): Promise<void> {
    return this.alone(new Caller(this.reset), async () => {
      this.text.reset();
      this.scoredBatch = 0;
      this.conversation.clear();
    });
  }

  /** Work of its own between two steps. */
  private async alone<R>(caller: Caller, work: () => Promise<R>): Promise<R> {
    let began = false;
    try {
      this.begin();
      began = true;
      return await this.model.runner.inTurn(() => {
        this.text.requireLive();
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
    this.text.end(() => this.gone());
    this.disposing ??= this.leave();
    return this.disposing;
  }

  private async leave(): Promise<void> {
    const memory = this.text.existing?.memory;
    if (memory) this.model.scheduler.leave(memory, this.gone());
    await this.model.runner.idle();
    this.abandon();
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  /** Gives everything back at once. No step may be running. */
  abandon(): void {
    this.text.end(() => this.gone());
    this.text.forget();
    this.model.forgetSession(this);
  }
}
