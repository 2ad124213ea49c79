/**
 * SentencePiece-like vocabularies encode a text as one long word. Where no token goes over the seam between a letter and
 * a following space mark, merges can't either, so the text may be cut there: the same ids, and words can be cached.
 */
import { SPACE_MARK } from "./vocabulary.js";

const CROSSING = new RegExp(`[^${SPACE_MARK}]${SPACE_MARK}`, "u");

/** Whether a token holds a space mark after something else, so that texts may not be cut there. */
export function crossesWords(tokenText: string): boolean {
  return CROSSING.test(tokenText);
}

/** Cuts before every space mark that follows another character. */
export function* spaceMarkWords(text: string): Generator<string, void, undefined> {
  let start = 0;
  let at = text.indexOf(SPACE_MARK);
  while (at >= 0) {
    if (at > start) {
      yield text.slice(start, at);
      start = at;
    }
    let end = at + 1;
    while (text[end] === SPACE_MARK) end++;
    at = text.indexOf(SPACE_MARK, end);
  }
  if (start < text.length) yield text.slice(start);
}
