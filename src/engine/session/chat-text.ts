/**
 * What a turn of a conversation adds to the text that the model has already read: the chat template renders all messages
 * at once, and only what is new is handed on, so that an endless chat never reads its past again.
 */
import { guardedRest, withoutGuard } from "../../tokenizer/message-guard.js";
import type { ChatMessage, Tokenizer } from "../../tokenizer/tokenizer.js";

export interface Turn {
  /** The text to read, rendered with `guard`: special tokens are meant as such, but for those within messages. */
  readonly text: string;
  /** The template changed what was read before (it drops or rewrites parts): the session must start over. */
  readonly startOver: boolean;
  /** The rendering of all messages, without the marks of the guard; `text` is its end. */
  readonly whole: string;
}

export class ChatText {
  /**
   * Rendered text that the session holds, with the answers as they were written and without the marks of the guard;
   * undefined when that is not known.
   */
  held: string | undefined = "";

  constructor(private readonly tokenizer: Tokenizer) {}

  /** The text that `next` messages add after `past`, up to the opening of the assistant's turn. */
  turn(past: readonly ChatMessage[], next: readonly ChatMessage[], check?: () => void): Turn {
    const whole = this.tokenizer.renderChat([...past, ...next], { guard: true, check });
    // Many templates trim what the assistant wrote; the model has read it as it was.
    const { held } = this;
    const rest = held === undefined ? undefined : (guardedRest(whole, held) ?? guardedRest(whole, held.trimEnd()));
    this.held = withoutGuard(whole);
    return { text: rest ?? whole, startOver: rest === undefined, whole: this.held };
  }

  /** The assistant wrote this after the last turn. */
  answered(text: string): void {
    this.held += text;
  }

  /** Nothing of the last turn was read: the session still holds what it held before. */
  unread(held: string | undefined): void {
    this.held = held;
  }

  /** The last turn was not read to its end: the next one starts over. */
  lost(): void {
    this.held = undefined;
  }

  clear(): void {
    this.held = "";
  }
}
