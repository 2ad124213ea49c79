/**
 * One run of `generate`: read the prompt in chunks, then sample, check, give out, read, until something ends it. State
 * that outlives the run (cache, the newest token) is the text's.
 */
import type { TokenStream } from "../../tokenizer/tokenizer.js";
import { ArgumentError, CancelledError, ContextFullError } from "../../util/errors.js";
import type { FinishReason, GenerateOptions, Part, TokenLogprob } from "../api.js";
import { CANCELLED, type Cancel } from "../calls/leaving.js";

import { type IdLogprob, logprobsOf, Sampler } from "../sampling/index.js";
import { requireRoom } from "./default-context.js";
import { prepend } from "./prompt.js";
import { type StopPush, StopStrings } from "./stop-strings.js";
import type { TextState } from "./text-state.js";

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
  /** The newest tokens, which may be bytes of a character that is not whole yet. */
  private readonly undecoded: number[] = [];
  private readonly alone = new Map<number, string>();
  private readonly maxTokens: number;

  constructor(
    private readonly state: TextState,
    private readonly options: GenerateOptions,
    private readonly cancel: Cancel,
    private readonly prompt: Int32Array,
  ) {
    const { tokenizer, info } = state.model;
    this.sampler = new Sampler(options, info.vocabulary);
    this.stops = new StopStrings(options.stop);
    // A first word keeps its leading space where there is text before it, and that is more than a start token.
    const continues = !state.isEmpty || prompt.some((id) => id !== tokenizer.bosId);
    this.decoded = tokenizer.stream({ continues });
    this.maxTokens = options.maxTokens ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Other work of the session begins when this has ended. One generator does it all: each that passes on what another
   * yields costs turns of the event loop's queue for every token, which on the smallest models shows.
   */
  async *run(): AsyncGenerator<Part, void, undefined> {
    this.state.heldBack = () => this.heldBack();
    try {
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
        try {
          drawn = await this.next(drawn.id);
        } catch (error) {
          // Text that was held back is given out before the error, such as that the context is full.
          const text = this.state.isLive ? this.rest() : "";
          if (text !== "") yield { text, id: undefined };
          throw error;
        }
      }
      yield { text: this.rest(), id: undefined, finish: "length" };
    } finally {
      this.state.heldBack = undefined;
    }
  }

  /** Reads the prompt; undefined when nothing is to be generated. */
  private async readPrompt(): Promise<Drawn | undefined> {
    const { state, prompt } = this;
    const { waiting } = state;
    const ids = waiting === undefined ? prompt : prepend(waiting, prompt);
    if (prompt.length === 0 && this.mustEnd(ids.length)) return undefined;
    requireRoom(state.settings, state.model.info, {
      seen: state.seen,
      waiting: ids.length - prompt.length,
      prompt: prompt.length,
    });
    state.reader.admit(ids.length, prompt.length);
    if (ids.length === 0 && !state.nextLogits) {
      throw new ArgumentError(
        "There is nothing to start from: the prompt is empty and the vocabulary has no start token.",
      );
    }
    this.cancel.check();
    const draws = this.maxTokens > 0;
    if (ids.length === 0) return draws && state.nextLogits ? this.draw(state.nextLogits) : undefined;
    const before = ids.length - prompt.length;
    // A token that waited and is read alone goes on as it would have before.
    const origin = prompt.length === 0 ? "written" : "given";
    let drawn: Drawn | undefined;
    let done = await state.takeBeginning(ids);
    if (done > 0) this.options.onPrefill?.(done, ids.length);
    const keeps = state.keptAfter(ids.length, done);
    // What was taken over lies in the chunk as if it had been read.
    let into = done % state.settings.chunk;
    while (done < ids.length) {
      const chunk = state.reader.limit(Math.min(state.settings.chunk - into, ids.length - done)) + into;
      for (const end = done - into + chunk; done < end; ) {
        this.cancel.check();
        const started = performance.now();
        const use = (logits: Float32Array, count: number) => {
          state.prompted(ids.subarray(Math.max(done, before), done + count));
          if (done + count === ids.length && draws) drawn = this.draw(logits);
          else state.keepLogits(logits);
          return count;
        };
        const prompt = origin === "given" ? { chunk, left: ids.length - done } : undefined;
        const next = done < keeps ? Math.min(end, keeps) : end;
        const count = await state.read(ids.subarray(done, next), "last", use, { origin, prompt, cancel: this.cancel });
        state.prefillSpeed.add(count, performance.now() - started);
        state.countPrompt(count - (done === 0 ? before : 0));
        done += count;
        if (done === keeps) await state.keepBeginning();
        this.options.onPrefill?.(done, ids.length);
        await state.breath.take();
      }
      into = 0;
    }
    return drawn;
  }

  /** The default context ends writing like a length where no token of this model may be freed. */
  private mustEnd(count: number): boolean {
    const { reader, settings } = this.state;
    if (!settings.policy.wholePrompts) return false;
    try {
      reader.admit(count);
    } catch (error) {
      if (error instanceof ContextFullError) return true;
      throw error;
    }
    return false;
  }

  /** Reads the newest token and draws the next. @throws ContextFullError */
  private async next(id: number): Promise<Drawn> {
    const { state } = this;
    const started = performance.now();
    state.reader.admit(1, 0);
    const drawn = await state.read(Int32Array.of(id), "last", (logits) => this.draw(logits), {
      origin: "written",
    });
    state.decodeSpeed.add(1, performance.now() - started);
    await state.breath.take();
    return drawn;
  }

  /** Samples; the token then waits to be read. */
  private draw(logits: Float32Array): Drawn {
    const { state, options } = this;
    const { id } = this.sampler.sample(logits, state.history);
    state.sampled(id);
    if (options.logprobs === undefined) return { id };
    const { logprob, top } = logprobsOf(logits, id, options.logprobs);
    return { id, logprob, top: top.map((other) => this.told(other)) };
  }

  private told({ id, logprob }: IdLogprob): TokenLogprob {
    const { tokenizer } = this.state.model;
    const text = tokenizer.decode([id], { special: true, continues: true });
    return { id, text, piece: tokenizer.tokenText(id), logprob };
  }

  /** What is given out for a token: the text that became certain, and whether this is the end. */
  private part(drawn: Drawn, made: number): Part {
    const { endIds } = this.state.model;
    const ended = !this.options.ignoreEnd && endIds.has(drawn.id);
    const { text, stopped } = this.taken(drawn.id, ended);
    const finish = this.finish(ended || stopped, made);
    if (!finish) return { ...drawn, text };
    return { ...drawn, text: stopped ? text : text + this.rest(), finish };
  }

  /** What a token adds to the text. A special one adds nothing, but its text may be a stop string, or the end of one. */
  private taken(id: number, ended: boolean): StopPush {
    const { tokenizer } = this.state.model;
    const text = ended ? "" : this.decoded.push(id);
    if (!ended) this.remember(id, text);
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

  /** Of a token that ends within a character bytes are left, which what follows may complete. */
  private remember(id: number, text: string): void {
    const shown = this.shownAlone(id);
    if (shown === "") return;
    if (text !== "") this.undecoded.length = 0;
    if (shown.includes("\uFFFD")) this.undecoded.push(id);
  }

  /** A token as a text of its own. */
  private shownAlone(id: number): string {
    const known = this.alone.get(id);
    if (known !== undefined) return known;
    const shown = this.state.model.tokenizer.decode([id], { continues: true });
    this.alone.set(id, shown);
    return shown;
  }

  /** What `rest` would give, without ending anything. */
  private heldBack(): string {
    if (this.undecoded.length === 0) return this.stops.rest("");
    const again = this.state.model.tokenizer.stream({ continues: true });
    for (const id of this.undecoded) again.push(id);
    return this.stops.rest(again.end());
  }

  /** Text that was held back for a character or a stop string that never came. */
  private rest(): string {
    const { text, stopped } = this.stops.push(this.decoded.end());
    return stopped ? text : text + this.stops.end();
  }
}
