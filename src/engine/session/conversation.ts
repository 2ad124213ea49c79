/** The conversation of a session: its messages, and the text of them that the model has read. */
import { cutMessages, type TextMessages } from "../../context/text-messages.js";
import { withoutGuard } from "../../tokenizer/message-guard.js";
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import type { GenerateOptions, Part } from "../api.js";
import { CANCELLED, type Cancel } from "../calls/leaving.js";
import { ChatText, type Turn } from "./chat-text.js";
import { Generation } from "./generation.js";
import { MessageFinder, type MessagePlaces, movedMessages, tokenPlaces } from "./message-places.js";
import { encodePlain, opened } from "./prompt.js";
import type { TextState } from "./text-state.js";

/** A turn that is being written. */
interface OpenTurn {
  readonly added: readonly ChatMessage[];
  /** Where text and conversation stood before it. */
  readonly held: string | undefined;
  readonly waiting: number | undefined;
  readonly seen: number;
  readonly messages: TextMessages;
  /** Undefined until the first token. */
  readonly answer: string | undefined;
}

export interface ConversationMark {
  readonly said: readonly ChatMessage[];
  readonly held: string | undefined;
  readonly turn: OpenTurn | undefined;
}

export class Conversation {
  private said: readonly ChatMessage[] = [];
  private readonly chatText: ChatText;
  private turn: OpenTurn | undefined;

  constructor(private readonly state: TextState) {
    this.chatText = new ChatText(state.model.tokenizer);
  }

  get messages(): readonly ChatMessage[] {
    return this.said;
  }
  /** The text that the model has read; undefined when that is not known. */
  get held(): string | undefined {
    return this.chatText.held;
  }

  /** Reads the messages and writes the answer, which becomes one of them. */
  async *answer(
    added: readonly ChatMessage[],
    options: GenerateOptions,
    cancel: Cancel,
  ): AsyncGenerator<Part, void, undefined> {
    const { state } = this;
    const { waiting, seen, messages } = state;
    this.turn = { added, held: this.chatText.held, waiting, seen, messages, answer: undefined };
    try {
      const ids = await cancel.unless(() => this.turnIds(added, cancel.check));
      if (!ids) {
        yield CANCELLED;
        return;
      }
      for await (const part of new Generation(state, options, cancel, ids).run()) {
        this.heard(part);
        yield part;
      }
    } finally {
      this.close();
    }
  }

  /** What the turn adds to the text. */
  private turnIds(added: readonly ChatMessage[], check: () => void): Int32Array {
    const { state } = this;
    const turn = this.chatText.turn(this.said, added, check);
    const ids = encodePlain(state.model, turn.text, { guarded: true, check });
    const places = this.isDivided(turn, added) ? this.places(turn, added, ids, check) : undefined;
    if (turn.startOver) state.forget();
    // The template closes the answer before with its own end token.
    if (state.waiting !== undefined && state.model.endIds.has(state.waiting)) state.dropWaiting();
    const all = opened(state, ids);
    if (places) state.divide(movedMessages(state, places, all.length - ids.length));
    return all;
  }

  /** Whether it must be known where messages lie: for the policy, and where a text begins with a system message, which may be lost. */
  private isDivided({ startOver }: Turn, added: readonly ChatMessage[]): boolean {
    const { state, said } = this;
    if (state.settings.policy.byMessages) return true;
    return (said.length === 0 || startOver) && [...said, ...added][0]?.role === "system";
  }

  /** Where messages begin in the ids of the turn. */
  private places(
    { text, whole, startOver }: Turn,
    added: readonly ChatMessage[],
    ids: Int32Array,
    check: () => void,
  ): MessagePlaces {
    const { state, said } = this;
    const messages = [...said, ...added];
    const finder = new MessageFinder(state.model.tokenizer, check);
    const { systemEnd, starts } = finder.find({ messages, read: startOver ? 0 : said.length, whole });
    const before = whole.length - withoutGuard(text).length;
    const encode = (part: string) => encodePlain(state.model, part, { guarded: true, check });
    const [end, ...tokens] = tokenPlaces(text, ids, [systemEnd, ...starts.map(({ at }) => at - before)], encode);
    return { systemEnd: end, starts: starts.map((start, i) => ({ ...start, at: tokens[i] })) };
  }

  /** A part of the answer was given out. */
  heard({ id, text }: Pick<Part, "id" | "text">): void {
    const { turn } = this;
    if (turn && (id !== undefined || turn.answer !== undefined)) {
      this.turn = { ...turn, answer: (turn.answer ?? "") + text };
    }
  }

  /** The turn has ended, whatever ended it. */
  close(): void {
    const { turn, state } = this;
    this.turn = undefined;
    if (!turn) return;
    const { added, held, waiting, seen, messages, answer } = turn;
    if (answer !== undefined) {
      this.chatText.answered(answer);
      this.said = [...this.said, ...added, { role: "assistant", content: answer }];
    } else if (state.seen === seen) {
      this.chatText.unread(held);
      state.waitAgain(waiting);
      state.divideAgain(messages);
    } else {
      // Without a first token the turn was not read to its end: it counts as never said.
      this.chatText.lost();
      state.divideAgain(cutMessages(state.messages, 0, state.seen));
    }
  }

  /** Where it stands in the midst of a turn, to be taken back to there. */
  mark(): ConversationMark {
    return { said: this.said, held: this.chatText.held, turn: this.turn };
  }

  /** Takes back what was heard since then; the turn is open again. */
  takeBack({ said, held, turn }: ConversationMark): void {
    this.said = said;
    this.chatText.held = held;
    this.turn = turn;
  }

  /** Nothing of the answer was given out. */
  unheard(): void {
    if (this.turn) this.turn = { ...this.turn, answer: undefined };
  }

  /** Goes on with a conversation that was saved. */
  resume(messages: readonly ChatMessage[], held: string | undefined): void {
    this.said = messages;
    this.chatText.held = held;
  }

  clear(): void {
    this.said = [];
    this.chatText.clear();
  }
}
