/**
 * How many pages a row chooses of those that it sees, which ones can be chosen, and which are read in any case: the one that is
 * being filled, the first of the text, the three before the newest. These take at most half, so that a small budget still
 * goes by what the query asks for.
 */
import { PAGE_TOKENS } from "../tensor/kv.js";
import { type Range, totalLength } from "../util/ranges.js";
import { LEAST_CHOICE, type PageReading, pagesRead } from "./page-reading.js";

/** Of the newest range's pages; its first is none of them where the range has only a part of it. */
export interface PageChoice {
  /** The text page that is the first candidate. */
  readonly first: number;
  /** Candidates that are chosen. */
  readonly pages: number;
  /** How many of the first and of the last candidates are chosen whatever they promise. */
  readonly oldest: number;
  readonly newest: number;
}

/** Newest pages that are always read, the one that is being filled among them. */
const NEWEST = 4;

/** @param visible what a row sees; undefined: it reads all of that, since it is no more than the budget */
export function choosePages(visible: readonly Range[], reading: PageReading): PageChoice | undefined {
  // Pages round the budget down, which must not leave out what is no more than it.
  if (totalLength(visible) <= reading.tokens) return undefined;
  const newest = visible[visible.length - 1];
  const left = pagesLeft(visible.slice(0, -1), reading);
  if (pagesTouched(newest) <= left || left < LEAST_CHOICE) return undefined;
  const first = Math.ceil(newest.start / PAGE_TOKENS);
  const pages = Math.min(left, Math.ceil(newest.end / PAGE_TOKENS) - first);
  const given = Math.ceil(pages / 2);
  const oldest = newest.start === 0 && given > 1 ? 1 : 0;
  return { first, pages, oldest, newest: Math.min(NEWEST, given - oldest) };
}

/** Pages that are left to be read of the newest range, since all of the earlier ones are. */
export function pagesLeft(earlier: readonly Range[], reading: PageReading): number {
  return pagesRead(reading) - earlier.reduce((sum, range) => sum + pagesTouched(range), 0);
}

function pagesTouched({ start, end }: Range): number {
  return Math.ceil(end / PAGE_TOKENS) - Math.floor(start / PAGE_TOKENS);
}
