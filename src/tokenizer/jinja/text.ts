/** Texts as Python sees them: sequences of code points, with Python's idea of white space, lines and order. */

const SURROGATE = /[\uD800-\uDFFF]/;

/** Length in code points. */
export function lengthOf(text: string): number {
  if (!SURROGATE.test(text)) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** What may be sliced by code points: the text itself, where each is one unit, or their list. */
export function codePoints(text: string): string | string[] {
  return SURROGATE.test(text) ? [...text] : text;
}

export function joinPoints(points: string | readonly string[]): string {
  return typeof points === "string" ? points : points.join("");
}

/** The part from code point `start` to `end`, which are within the text. */
export function slicePoints(text: string, start: number, end: number): string {
  return joinPoints(codePoints(text).slice(start, Math.max(start, end)));
}

/** Order by code points; JavaScript's own is by UTF-16 units. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1;
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i].codePointAt(0) ?? 0) - (right[i].codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** `str.isspace` of one UTF-16 unit. */
export function isSpace(unit: number): boolean {
  if (unit < 128) return (unit >= 9 && unit <= 13) || (unit >= 28 && unit <= 32);
  if (unit === 0x85 || unit === 0xa0 || unit === 0x1680) return true;
  return (unit >= 0x2000 && unit <= 0x200a) || SPACES_BEYOND.has(unit);
}
const SPACES_BEYOND: ReadonlySet<number> = new Set([0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);

export function isBlank(text: string, from = 0): boolean {
  for (let i = from; i < text.length; i++) if (!isSpace(text.charCodeAt(i))) return false;
  return true;
}

/** `str.strip` and its halves; `characters` as code points to take away, or white space. */
export function strip(text: string, side: "left" | "right" | "both", characters?: string): string {
  const set = characters === undefined ? undefined : new Set(characters);
  const gone = (point: string) => (set ? set.has(point) : isSpace(point.charCodeAt(0)));
  let [start, end] = [0, text.length];
  if (side !== "right") {
    while (start < end) {
      const point = String.fromCodePoint(text.codePointAt(start) ?? 0);
      if (!gone(point)) break;
      start += point.length;
    }
  }
  if (side !== "left") {
    while (end > start) {
      const point = pointBefore(text, end);
      if (!gone(point)) break;
      end -= point.length;
    }
  }
  return text.slice(start, end);
}

function pointBefore(text: string, end: number): string {
  const pair = text.slice(Math.max(0, end - 2), end);
  return pair.length === 2 && (pair.codePointAt(0) ?? 0) > 0xffff ? pair : text.charAt(end - 1);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they end lines
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

/** `str.splitlines`. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    lines.push(text.slice(start, keepEnds ? index + end.length : index));
    start = index + end.length;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

/** Words between white space, at most `most` cuts from the left; the rest keeps its white space inside. */
export function splitWords(text: string, most = Number.POSITIVE_INFINITY): string[] {
  const words: string[] = [];
  let at = skipSpace(text, 0);
  while (at < text.length) {
    if (words.length >= most) {
      words.push(strip(text.slice(at), "right"));
      break;
    }
    let end = at;
    while (end < text.length && !isSpace(text.charCodeAt(end))) end++;
    words.push(text.slice(at, end));
    at = skipSpace(text, end);
  }
  return words;
}

/** As `splitWords`, with cuts from the right. */
export function splitWordsRight(text: string, most: number): string[] {
  const words: string[] = [];
  let end = strip(text, "right").length;
  while (end > 0) {
    if (words.length >= most) {
      words.push(strip(text.slice(0, end), "left"));
      break;
    }
    let start = end;
    while (start > 0 && !isSpace(text.charCodeAt(start - 1))) start--;
    words.push(text.slice(start, end));
    end = strip(text.slice(0, start), "right").length;
  }
  return words.reverse();
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}
