/**
 * Where the messages of a conversation begin in its rendered text, and in the tokens of that. A template is a program, so its
 * renderings are compared: a message begins where the rendering of those before it ends, and a question behind an answer that is
 * written anew where its header does. A boundary that a template does not have is left out, and the messages beside it count as
 * one.
 */
import { policyForMessages } from "../../context/policy.js";
import { cutMessages, type MessageStart, type TextMessages } from "../../context/text-messages.js";
import { guardedPlace, withoutGuard } from "../../tokenizer/message-guard.js";
import type { ChatMessage, Tokenizer } from "../../tokenizer/tokenizer.js";
import { SluiceError } from "../../util/errors.js";
import type { TextState } from "./text-state.js";

export interface MessagePlaces {
  /** Where the system message ends, with all that the template puts around it; 0: there is none. Only of a whole text. */
  readonly systemEnd: number;
  /** At a place in a text, or a number of tokens. */
  readonly starts: readonly MessageStart[];
}

export interface RenderedChat {
  readonly messages: readonly ChatMessage[];
  /** How many of them were read before: they are not looked for. */
  readonly read: number;
  /** The rendering without marks, with the opening of the assistant's turn. */
  readonly whole: string;
}

/** Places in `whole`. */
export class MessageFinder {
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly check: () => void,
  ) {}

  find({ messages, read, whole }: RenderedChat): MessagePlaces {
    const system = messages.findIndex(({ role }) => role !== "system");
    const first = system < 0 ? messages.length : system;
    const systemEnd = read > 0 ? 0 : this.systemEnd(messages, first, whole);
    const starts: MessageStart[] = [];
    const begin = (at: number | undefined, index: number) => {
      // After the last message the answer begins.
      const role = index === messages.length ? "assistant" : messages[index].role;
      if (at !== undefined) starts.push({ at, answer: role === "assistant", turn: role === "user" });
    };
    if (read === 0) begin(systemEnd, first);
    for (let index = Math.max(read, first + 1); index <= messages.length; index++) {
      const question = () => this.questionPlace(messages.slice(0, index + 1), messages.slice(0, first), whole);
      const end = this.endOf(messages.slice(0, index), whole);
      begin(end ?? (messages[index]?.role === "user" ? question() : undefined), index);
    }
    return { systemEnd, starts: apart(starts) };
  }

  /** Where the first message begins that is not the system's, or the answer, if there is none. */
  private systemEnd(messages: readonly ChatMessage[], first: number, whole: string): number {
    if (first === messages.length) return this.endOf(messages, whole) ?? 0;
    return this.firstPlace(messages.slice(0, first + 1), whole);
  }

  /** Where these messages end in a text that goes on after them; undefined where a template rewrites them then, or refuses them. */
  private endOf(messages: readonly ChatMessage[], whole: string): number | undefined {
    const closed = this.render(messages, false);
    const opened = this.render(messages, true);
    if (closed === undefined || opened === undefined) return undefined;
    // Some templates put an end token behind the last message, where nobody is asked for an answer.
    const end = commonLength(closed, opened);
    return whole.startsWith(closed.slice(0, end)) ? end : undefined;
  }

  /** Where the last of the messages begins, before which there are system messages at most. */
  private firstPlace(messages: readonly ChatMessage[], whole: string): number {
    const { content, before } = this.contentPlace(messages) ?? { content: 0, before: "" };
    if (!whole.startsWith(before)) return 0;
    const header = this.header(messages[messages.length - 1].role, messages.slice(0, -1));
    return header !== undefined && before.endsWith(header) ? content - header.length : content;
  }

  /**
   * Where the last of the messages begins, a question behind an answer, by what stands before its text: a template that writes an earlier
   * answer anew (without its thoughts) does so once a question follows.
   */
  private questionPlace(
    messages: readonly ChatMessage[],
    system: readonly ChatMessage[],
    whole: string,
  ): number | undefined {
    const { content, before } = this.contentPlace(messages) ?? { content: 0, before: "" };
    const header = this.header("user", system);
    if (header === undefined || !before.endsWith(header) || !whole.startsWith(before)) return undefined;
    return content - header.length;
  }

  /** What the template puts before the text of a message of this role that follows others. */
  private header(role: ChatMessage["role"], system: readonly ChatMessage[]): string | undefined {
    const past: ChatMessage[] = [...system, { role: "user", content: "a" }];
    if (role !== "assistant") past.push({ role: "assistant", content: "b" });
    const found = this.contentPlace([...past, { role, content: "" }]);
    const end = found && this.endOf(past, found.before);
    return end === undefined ? undefined : found?.before.slice(end);
  }

  /** Where the text of the last message stands, and what is before it. */
  private contentPlace(messages: readonly ChatMessage[]): { content: number; before: string } | undefined {
    const last = messages[messages.length - 1];
    const [some, other] = ["0", "1"].map((content) =>
      this.render([...messages.slice(0, -1), { ...last, content }], true),
    );
    if (some === undefined || other === undefined || some === other) return undefined;
    const content = commonLength(some, other);
    return { content, before: some.slice(0, content) };
  }

  /** Undefined where the template refuses the messages: parts of a conversation need not be one. */
  private render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string | undefined {
    this.check();
    try {
      return withoutGuard(this.tokenizer.renderChat(messages, { guard: true, addGenerationPrompt, check: this.check }));
    } catch (error) {
      this.check();
      if (error instanceof SluiceError) return undefined;
      throw error;
    }
  }
}

/** How many characters two texts begin with alike. */
function commonLength(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

/**
 * Ascending places of a text as numbers of the tokens before them; a token that lies across a place is behind it.
 * @param text guarded; @param ids its tokens; @param places in the text without marks
 */
export function tokenPlaces(
  text: string,
  ids: Int32Array,
  places: readonly number[],
  encode: (text: string) => Int32Array,
): number[] {
  let known = { place: 0, tokens: 0 };
  const tokensBefore = (place: number) => encode(text.slice(0, guardedPlace(text, place)));
  return places.map((place) => {
    if (place <= 0) return 0;
    // Mostly a special token stands at each place, so the text between two has tokens of its own.
    const piece = encode(text.slice(guardedPlace(text, known.place), guardedPlace(text, place)));
    const tokens = known.tokens + piece.length;
    if (piece.every((id, i) => id === ids[known.tokens + i])) {
      known = { place, tokens };
      return tokens;
    }
    return commonLength(tokensBefore(place), ids);
  });
}

/** The messages of a text once those are added whose ids come next, `prefix` tokens after what the text begins with. */
export function movedMessages(state: TextState, { systemEnd, starts }: MessagePlaces, prefix: number): TextMessages {
  const { seen, waiting, messages, settings } = state;
  const next = seen + (waiting === undefined ? 0 : 1);
  const { budget = seen } = policyForMessages(settings.policy, messages);
  const known = cutMessages(messages, seen - budget, next);
  const system = systemEnd > 0 ? { start: next, end: next + prefix + systemEnd } : known.system;
  return {
    system,
    starts: [...known.starts, ...apart(starts.map((start) => ({ ...start, at: next + prefix + start.at })))],
  };
}

/** Without those that begin where one before does: messages without a text, or whose text lies within one token. */
function apart(starts: readonly MessageStart[]): MessageStart[] {
  const found: MessageStart[] = [];
  for (const start of starts) {
    const last = found.at(-1);
    if (!last || start.at > last.at) found.push(start);
    else if (start.at === last.at && start.turn) found[found.length - 1] = { ...last, turn: true };
  }
  return found;
}
