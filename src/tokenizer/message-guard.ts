/**
 * Keeps messages from forging special tokens. A rendered chat is one text, in which a user's `<|im_end|>` looks like the
 * template's. So texts of messages are marked before rendering, inside every special token and at both ends; the
 * template engine takes marked texts for what they are without the marks, and marks anew what it makes of them; and the
 * marks are taken out when the template's own special tokens have been found.
 */
import type { AddedTokens } from "./added-tokens.js";
import type { ChatMessage } from "./tokenizer.js";

/** A noncharacter of Unicode: never part of a text that is interchanged. */
export const MARK = "\uFDD0";

export function guardMessages(messages: readonly ChatMessage[], addedTokens: AddedTokens): readonly ChatMessage[] {
  return messages.map((message) => {
    const guarded: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(message)) guarded[key] = guard(value, addedTokens);
    // A template may make a special token of a role (`<|user|>`), but a role holds none.
    return { ...message, ...guarded, role: breakUp(message.role, addedTokens) } as ChatMessage;
  });
}

/**
 * A text of a user, so marked that it shows in whatever is made of it, and that no special token lies over its end: behind
 * its first and its last character, as white space belongs to the tokens beside it.
 */
export function markText(text: string, addedTokens: AddedTokens): string {
  const broken = breakUp(text, addedTokens);
  const first = /\S/u.exec(broken);
  if (!first) return broken;
  const inside = first.index + first[0].length;
  const end = broken.trimEnd().length;
  const head = broken.slice(0, inside) + (broken.startsWith(MARK, inside) ? "" : MARK);
  const middle = broken.slice(inside, end);
  return head + middle + (middle === "" || middle.endsWith(MARK) ? "" : MARK) + broken.slice(end);
}

/** Plain text of a guarded rendering as it was written. */
export function withoutGuard(text: string): string {
  return text.includes(MARK) ? text.replaceAll(MARK, "") : text;
}

/** Where a guarded rendering has the character that is at `place` without the marks; marks before it stand before. */
export function guardedPlace(rendered: string, place: number): number {
  let at = 0;
  for (let plain = 0; plain < place && at < rendered.length; at++) if (rendered[at] !== MARK) plain++;
  return at;
}

/** What of a guarded rendering follows a plain beginning, marks and all; undefined where it does not begin so. */
export function guardedRest(rendered: string, beginning: string): string | undefined {
  let at = 0;
  for (let done = 0; done < beginning.length; at++) {
    if (rendered[at] === MARK) continue;
    if (rendered[at] !== beginning[done]) return undefined;
    done++;
  }
  return rendered.slice(at);
}

/** Texts inside other fields too: parts of content, arguments of calls, reasoning. */
function guard(value: unknown, addedTokens: AddedTokens, depth = 0): unknown {
  if (typeof value === "string") return markText(value, addedTokens);
  // What nests deeper is refused by the engine, unread.
  if (typeof value !== "object" || value === null || depth > DEEPEST) return value;
  if (Array.isArray(value)) return value.map((item) => guard(item, addedTokens, depth + 1));
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return new Map(
    entries.map(([key, item]) => [
      typeof key === "string" ? markText(key, addedTokens) : key,
      guard(item, addedTokens, depth + 1),
    ]),
  );
}

const DEEPEST = 250;

function breakUp(text: string, addedTokens: AddedTokens): string {
  let broken = "";
  let start = 0;
  for (const { token, at } of addedTokens.find(text, true)) {
    if (!token.special) continue;
    const inside = at + String.fromCodePoint(text.codePointAt(at) ?? 0).length;
    broken += text.slice(start, inside) + MARK;
    start = inside;
  }
  return broken + text.slice(start);
}
