/**
 * One run of `generate`: read the prompt in chunks, then sample, check, give out, read, until something ends it. State
 * that outlives the run (cache, the newest token) belongs to the session.
 */
import type { TokenStream } from "../tokenizer/tokenizer.js";
import { ArgumentError, CancelledError, ContextFullError } from "../util/errors.js";
import type { FinishReason, GenerateOptions, Part, TokenLogprob } from "./api.js";
import { requireRoom } from "./default-context.js";
import { CANCELLED, type Cancel } from "./leaving.js";
import type { LocalSession } from "./local-session.js";
import { logprobsOf, Sampler } from "./sampling.js";
import type { IdLogprob } from "./sampling-logprobs.js";
import { type StopPush, StopStrings } from "./stop-strings.js";

/** What one look at the logits yields. */
interface Drawn {
  readonly id: number;
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
}

export class Generation {
  private readonly sampler: Sampler;
  private readonly stops: StopStrings;
  private readonly decoded: TokenStream;
  private readonly maxTokens: number;

  constructor(
    private readonly session: LocalSession,
    private readonly options: GenerateOptions,
    private readonly cancel: Cancel,
    private readonly prompt: Int32Array,
  ) {
    const { tokenizer, info } = session.model;
    this.sampler = new Sampler(options, info.vocabulary);
    this.stops = new StopStrings(options.stop);
    // A first word keeps its leading space where there is text before it, and that is more than a start token.
    const continues =
      session.text.seen > 0 || session.waiting !== undefined || prompt.some((id) => id !== tokenizer.bosId);
    this.decoded = tokenizer.stream({ continues });
    this.maxTokens = options.maxTokens ?? Number.POSITIVE_INFINITY;
  }

  async *run(): AsyncGenerator<Part, void, undefined> {
    let drawn: Drawn | undefined;
    try {
      drawn = await this.readPrompt();
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      yield CANCELLED;
      return;
    }
    for (let made = 1; drawn; made++) {
      const part = this.part(drawn, made);
      yield part;
      if (part.finish) return;
      if (this.mustEnd(1)) break;
      drawn = yield* this.orFlush(drawn.id);
    }
    yield { text: this.rest(), id: undefined, finish: "length" };
  }

  /** Reads the prompt; undefined when nothing is to be generated. */
  private async readPrompt(): Promise<Drawn | undefined> {
    const { session, prompt } = this;
    const { waiting } = session;
    const ids = waiting === undefined ? prompt : prepend(waiting, prompt);
    if (prompt.length === 0 && this.mustEnd(ids.length)) return undefined;
    requireRoom(session.settings, session.model.info, {
      seen: session.text.seen,
      waiting: ids.length - prompt.length,
      prompt: prompt.length,
    });
    session.text.admit(ids.length, prompt.length);
    if (ids.length === 0 && !session.nextLogits) {
      throw new ArgumentError(
        "There is nothing to start from: the prompt is empty and the vocabulary has no start token.",
      );
    }
    this.cancel.check();
    const draws = this.maxTokens > 0;
    if (ids.length === 0) return draws && session.nextLogits ? this.draw(session.nextLogits) : undefined;
    const before = ids.length - prompt.length;
    let drawn: Drawn | undefined;
    for (let done = 0; done < ids.length; ) {
      this.cancel.check();
      const count = session.text.limit(Math.min(session.settings.chunk, ids.length - done));
      const last = done + count === ids.length;
      const started = performance.now();
      await session.text.read(ids.subarray(done, done + count), "last", (logits) => {
        session.waiting = undefined;
        for (let i = Math.max(done, before); i < done + count; i++) session.history.push(ids[i]);
        if (last && draws) drawn = this.draw(logits);
        else session.keepLogits(logits);
      });
      session.prefillSpeed.add(count, performance.now() - started);
      session.promptTokens += count - (done === 0 ? before : 0);
      done += count;
      this.options.onPrefill?.(done, ids.length);
      await session.breathe();
    }
    return drawn;
  }

  /** The next token; when the context is full, text that was held back is given out before the error. */
  private async *orFlush(id: number): AsyncGenerator<Part, Drawn, undefined> {
    try {
      return await this.next(id);
    } catch (error) {
      const text = this.rest();
      if (text !== "") yield { text, id: undefined };
      throw error;
    }
  }

  /** The default context ends writing like a length where no token of this model may be freed. */
  private mustEnd(count: number): boolean {
    const { text, settings } = this.session;
    if (!settings.policy.wholePrompts) return false;
    try {
      text.admit(count);
    } catch (error) {
      if (error instanceof ContextFullError) return true;
      throw error;
    }
    return false;
  }

  /** Reads the newest token and draws the next. @throws ContextFullError */
  private async next(id: number): Promise<Drawn> {
    const { session } = this;
    const started = performance.now();
    session.text.admit(1, 0);
    const drawn = await session.text.read(Int32Array.of(id), "last", (logits) => {
      session.waiting = undefined;
      return this.draw(logits);
    });
    session.decodeSpeed.add(1, performance.now() - started);
    await session.breathe();
    return drawn;
  }

  /** Samples; the token then waits to be read. */
  private draw(logits: Float32Array): Drawn {
    const { session, options } = this;
    const { id } = this.sampler.sample(logits, session.history.values);
    session.history.push(id);
    session.waiting = id;
    session.nextLogits = undefined;
    session.generatedTokens++;
    if (options.logprobs === undefined) return { id };
    const { logprob, top } = logprobsOf(logits, id, options.logprobs);
    return { id, logprob, top: top.map((other) => this.told(other)) };
  }

  private told({ id, logprob }: IdLogprob): TokenLogprob {
    const { tokenizer } = this.session.model;
    const text = tokenizer.decode([id], { special: true, continues: true });
    return { id, text, piece: tokenizer.tokenText(id), logprob };
  }

  /** What is given out for a token: the text that became certain, and whether this is the end. */
  private part(drawn: Drawn, made: number): Part {
    const { endIds } = this.session.model;
    const ended = !this.options.ignoreEnd && endIds.has(drawn.id);
    const { text, stopped } = this.taken(drawn.id, ended);
    const finish = this.finish(ended || stopped, made);
    if (!finish) return { ...drawn, text };
    return { ...drawn, text: stopped ? text : text + this.rest(), finish };
  }

  /** What a token adds to the text. A special one adds nothing, but its text may be a stop string, or the end of one. */
  private taken(id: number, ended: boolean): StopPush {
    const { tokenizer } = this.session.model;
    const text = ended ? "" : this.decoded.push(id);
    const isHidden = ended || (text === "" && this.stops.active && tokenizer.decode([id]) === "");
    if (!isHidden || !this.stops.active) return this.stops.push(text);
    const hidden = tokenizer.decode([id], { special: true, continues: true });
    return this.stops.push(hidden, "hidden");
  }

  private finish(stopped: boolean, made: number): FinishReason | undefined {
    if (stopped) return "stop";
    if (this.cancel.aborted) return "cancelled";
    return made >= this.maxTokens ? "length" : undefined;
  }

  /** Text that was held back for a character or a stop string that never came. */
  private rest(): string {
    const { text, stopped } = this.stops.push(this.decoded.end());
    return stopped ? text : text + this.stops.end();
  }
}

/** Not by spreading: a prompt may have millions of ids. */
export function prepend(id: number, ids: Int32Array): Int32Array {
  const all = new Int32Array(ids.length + 1);
  all[0] = id;
  all.set(ids, 1);
  return all;
}
