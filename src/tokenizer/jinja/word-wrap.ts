/** Python's `textwrap.wrap` as the filter `wordwrap` calls it: tabs and white space inside lines stay. */
import type { Budget } from "./budget.js";
import { lengthOf, slicePoints, strip } from "./text.js";

export interface WrapOptions {
  readonly width: number;
  readonly breakLong: boolean;
  readonly breakHyphens: boolean;
}

export function wrapText(text: string, options: WrapOptions, budget: Budget): string[] {
  const chunks = chunksOf(text, options.breakHyphens).reverse();
  const lines: string[] = [];
  while (chunks.length > 0) {
    if (lines.length > 0 && strip(chunks[chunks.length - 1], "both") === "") chunks.pop();
    const line: string[] = [];
    let length = 0;
    for (let next = chunks.at(-1); next !== undefined; next = chunks.at(-1)) {
      const size = lengthOf(next);
      if (length + size > options.width) break;
      line.push(next);
      length += size;
      chunks.pop();
    }
    const next = chunks.at(-1);
    if (next !== undefined) budget.work(next.length);
    if (next !== undefined && lengthOf(next) > options.width) breakWord(chunks, line, options, options.width - length);
    if (line.length > 0 && strip(line[line.length - 1], "both") === "") line.pop();
    budget.items(1);
    budget.work(length);
    if (line.length > 0) lines.push(line.join(""));
  }
  return lines;
}

/** Puts as much of a long word into the line as fits, or the whole word on a line of its own. */
function breakWord(chunks: string[], line: string[], options: WrapOptions, space: number): void {
  const word = chunks[chunks.length - 1];
  if (!options.breakLong) {
    if (line.length === 0) line.push(chunks.pop() ?? "");
    return;
  }
  const fitting = slicePoints(word, 0, space);
  const hyphen = options.breakHyphens ? fitting.lastIndexOf("-") : -1;
  const part = hyphen > 0 && /[^-]/.test(fitting.slice(0, hyphen)) ? fitting.slice(0, hyphen + 1) : fitting;
  line.push(part);
  chunks[chunks.length - 1] = word.slice(part.length);
}

const BETWEEN_WORDS = new RegExp(
  [
    "(?<=[\\p{L}_]{2}-|[\\p{L}_]-[\\p{L}_]-)(?=[\\p{L}_]-?[\\p{L}_])", // behind a hyphen between letters
    "(?<=[\\p{L}\\p{N}_!\"'&.,?])(?=-{2,}[\\p{L}\\p{N}_])", // before a dash
    "(?=[\\p{L}\\p{N}_])(?<=[\\p{L}\\p{N}_!\"'&.,?]-{2,})", // behind a dash
  ].join("|"),
  "u",
);

/** White space and words; words with hyphens are cut behind those between letters. */
function chunksOf(text: string, breakHyphens: boolean): string[] {
  const parts = text.split(/([\t\n\v\f\r ]+)/).filter((part) => part !== "");
  return breakHyphens ? parts.flatMap((part) => part.split(BETWEEN_WORDS)) : parts;
}
