/**
 * Where the messages of a text lie, for policies that keep and free them whole. A conversation says it before the messages are
 * read; a text that nobody divides has none.
 */
import type { Range } from "../util/ranges.js";

/** A message begins at this position. */
export interface MessageStart {
  readonly at: number;
  /** The model's answer to what stands before it: while it is the newest message, the two are one. */
  readonly answer: boolean;
  /** The user's: a turn begins, to which belongs what follows up to the next such message (answers, results of tools). */
  readonly turn: boolean;
}

export interface TextMessages {
  /** The system message, with what the template puts around it; null: there is none. */
  readonly system: Range | null;
  /** Of the others, ascending and apart. Those of messages that were freed may be left out. */
  readonly starts: readonly MessageStart[];
}

export const NO_MESSAGES: TextMessages = { system: null, starts: [] };

/** What is known of the messages of one text. Retentions that go by messages read it whenever they are asked. */
export interface MessagesOfText {
  readonly messages: TextMessages;
}

/** How many of the messages can be kept whole for the query at position t: an answer that is the newest is part of its question. */
export function wholeMessages({ starts }: TextMessages, t: number): number {
  let count = starts.length;
  while (count > 0 && starts[count - 1].at > t) count--;
  return count > 1 && starts[count - 1].answer ? count - 1 : count;
}

/**
 * Where what is kept may begin for the query at position t, ascending: at a turn, and within the newest at any of its messages. An
 * answer that is the newest message is part of what it answers.
 */
export function wholePlaces(messages: TextMessages, t: number): number[] {
  const starts = messages.starts.slice(0, wholeMessages(messages, t));
  const newestTurn = starts.findLastIndex(({ turn }) => turn);
  // What begins no turn, first of all: the model speaks first, or the turn's beginning is gone.
  return starts.filter(({ turn }, i) => turn || i === 0 || i > newestTurn).map(({ at }) => at);
}

/** Without messages that begin at or after `end`, and those that lie wholly before `first`. */
export function cutMessages({ system, starts }: TextMessages, first: number, end: number): TextMessages {
  const oldest = starts.findLastIndex(({ at }) => at <= first);
  return {
    system: system && system.end <= end ? system : null,
    starts: starts.slice(Math.max(0, oldest)).filter(({ at }) => at < end),
  };
}
