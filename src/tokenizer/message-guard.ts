/**
 * Keeps messages from forging special tokens. A rendered chat is one text, in which a user's `<|im_end|>` looks like the
 * template's. So special tokens in messages are broken up by a mark before rendering; the mark lives through whatever
 * the template does to the text, and is taken out when the template's own special tokens have been found.
 */
import type { AddedTokens } from "./added-tokens.js";
import type { ChatMessage } from "./tokenizer.js";

/** A noncharacter of Unicode: never part of a text that is interchanged. */
const MARK = "\uFDD0";

export function guardMessages(messages: readonly ChatMessage[], addedTokens: AddedTokens): readonly ChatMessage[] {
  return messages.map((message) => ({ ...message, content: breakUp(message.content, addedTokens) }));
}

/** Plain text of a guarded rendering as it was written. */
export function withoutGuard(text: string): string {
  return text.replaceAll(MARK, "");
}

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
