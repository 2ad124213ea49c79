/**
 * Ends a text before the first stop string, however the text is cut into pieces: text that could be the beginning of a
 * stop string is held back until it is decided. One Knuth-Morris-Pratt automaton per string, so the cost per character
 * does not depend on the strings' length.
 */
import type { Range } from "../../util/ranges.js";
import { isStop } from "../calls/kinds.js";

export interface StopPush {
  /** Text that became certain. */
  readonly text: string;
  /** A stop string is complete; nothing more comes out. */
  readonly stopped: boolean;
}

/** One stop string: how much of its beginning the text ends with. */
interface Matcher {
  readonly stop: string;
  /** By length of a match: the length of the longest shorter match that is its ending too. */
  readonly fallback: Int32Array;
  matched: number;
}

export class StopStrings {
  private matchers: readonly Matcher[];
  private held = "";
  /** Parts of the held text that never come out. */
  private hidden: Range[] = [];
  private stopped = false;

  /** @throws ArgumentError for an empty string: it would end every text at once */
  constructor(stops: string | readonly string[] = []) {
    isStop(stops, "stop");
    const list = typeof stops === "string" ? [stops] : stops;
    this.matchers = list.map((stop) => {
      return { stop, fallback: fallbacks(stop), matched: 0 };
    });
  }

  /** Whether there is anything to look for. */
  get active(): boolean {
    return this.matchers.length > 0;
  }

  /**
   * Takes the next piece of text. The string that is complete first ends the text; of several that are complete at the
   * same character, the longest. Text of kind "hidden", that of a special token, is looked at but never comes out.
   */
  push(text: string, kind: "shown" | "hidden" = "shown"): StopPush {
    if (this.stopped) return { text: "", stopped: true };
    if (!this.active) return { text: kind === "shown" ? text : "", stopped: false };
    const before = this.held.length;
    const all = this.held + text;
    if (kind === "hidden" && text !== "") this.hidden.push({ start: before, end: all.length });
    for (let at = before; at < all.length; at++) {
      const found = this.step(all.charAt(at));
      if (found > 0) {
        const given = this.shownUpTo(all, at + 1 - found);
        this.hold("", 0);
        this.stopped = true;
        return { text: given, stopped: true };
      }
    }
    let held = 0;
    for (const { matched } of this.matchers) held = Math.max(held, matched);
    const certain = all.length - held;
    const given = this.shownUpTo(all, certain);
    this.hold(all, certain);
    return { text: given, stopped: false };
  }

  /** The text ended: what was held back, as no stop string was completed. */
  end(): string {
    const rest = this.shownUpTo(this.held, this.held.length);
    this.hold("", 0);
    for (const matcher of this.matchers) matcher.matched = 0;
    return rest;
  }

  /** What `push` of a last piece and `end` would give out, without taking it. */
  rest(last: string): string {
    if (!this.active) return last;
    const copy = new StopStrings();
    copy.matchers = this.matchers.map((matcher) => ({ ...matcher }));
    copy.held = this.held;
    copy.hidden = this.hidden;
    copy.stopped = this.stopped;
    const { text, stopped } = copy.push(last);
    return stopped ? text : text + copy.end();
  }

  /** The beginning of the text, without what is hidden. */
  private shownUpTo(all: string, end: number): string {
    let given = "";
    let at = 0;
    for (const hidden of this.hidden) {
      if (hidden.start >= end) break;
      given += all.slice(at, hidden.start);
      at = Math.min(end, hidden.end);
    }
    return given + all.slice(at, end);
  }

  /** Holds back what follows `certain` characters. */
  private hold(all: string, certain: number): void {
    this.held = all.slice(certain);
    if (this.hidden.length === 0) return;
    this.hidden = this.hidden
      .filter(({ end }) => end > certain && certain < all.length)
      .map(({ start, end }) => ({ start: Math.max(0, start - certain), end: end - certain }));
  }

  /** Takes one character; returns the length of the longest stop string that it completes, or 0. */
  private step(character: string): number {
    let found = 0;
    for (const matcher of this.matchers) {
      const { stop, fallback } = matcher;
      let matched = matcher.matched;
      while (matched > 0 && stop.charAt(matched) !== character) matched = fallback[matched];
      if (stop.charAt(matched) === character) matched++;
      matcher.matched = matched;
      if (matched === stop.length && matched > found) found = matched;
    }
    return found;
  }
}

function fallbacks(stop: string): Int32Array {
  const table = new Int32Array(stop.length + 1);
  for (let length = 2, matched = 0; length <= stop.length; length++) {
    const character = stop.charAt(length - 1);
    while (matched > 0 && stop.charAt(matched) !== character) matched = table[matched];
    if (stop.charAt(matched) === character) matched++;
    table[length] = matched;
  }
  return table;
}
