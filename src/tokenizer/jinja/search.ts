/**
 * Finding a text in another in time that grows with their lengths alone. JavaScript's own search takes their product at
 * worst, which short needles keep small; for longer ones there is Knuth, Morris and Pratt's.
 */
import type { Budget } from "./budget.js";

const SHORT = 32;

/** As `text.indexOf(needle, from)`. */
export function indexIn(text: string, needle: string, from: number, budget: Budget): number {
  if (needle.length <= SHORT || needle.length > text.length - from) return text.indexOf(needle, from);
  for (const at of matches(text, needle, from, budget)) return at;
  return -1;
}

/** As `text.lastIndexOf(needle)`. */
export function lastIndexIn(text: string, needle: string, budget: Budget): number {
  if (needle.length <= SHORT || needle.length > text.length) return text.lastIndexOf(needle);
  let last = -1;
  for (const at of matches(text, needle, 0, budget)) last = at;
  return last;
}

/** As `text.split(needle)` for a needle that is not empty. */
export function splitBy(text: string, needle: string, budget: Budget): string[] {
  if (needle.length <= SHORT) return text.split(needle);
  const parts: string[] = [];
  let start = 0;
  for (let at = indexIn(text, needle, 0, budget); at >= 0; at = indexIn(text, needle, start, budget)) {
    parts.push(text.slice(start, at));
    start = at + needle.length;
  }
  parts.push(text.slice(start));
  return parts;
}

/** Where the needle begins, also inside the match before. */
function* matches(text: string, needle: string, from: number, budget: Budget): Generator<number, void, undefined> {
  budget.work(4 * needle.length);
  const fallback = fallbacks(needle);
  let matched = 0;
  for (let at = from; at < text.length; at++) {
    if ((at & 0xffff) === 0) budget.work(0xffff);
    const unit = text.charCodeAt(at);
    while (matched > 0 && needle.charCodeAt(matched) !== unit) matched = fallback[matched];
    if (needle.charCodeAt(matched) === unit) matched++;
    if (matched < needle.length) continue;
    yield at + 1 - matched;
    matched = fallback[matched];
  }
}

/** By length of a match: the length of the longest shorter match that is its ending too. */
function fallbacks(needle: string): Int32Array {
  const table = new Int32Array(needle.length + 1);
  for (let length = 2, matched = 0; length <= needle.length; length++) {
    const unit = needle.charCodeAt(length - 1);
    while (matched > 0 && needle.charCodeAt(matched) !== unit) matched = table[matched];
    if (needle.charCodeAt(matched) === unit) matched++;
    table[length] = matched;
  }
  return table;
}
