/**
 * Ends a text before the first stop string, however the text is cut into pieces: text that could be the beginning of a
 * stop string is held back until it is decided. One Knuth-Morris-Pratt automaton per string, so the cost per character
 * does not depend on the strings' length.
 */
import { ArgumentError } from "../util/errors.js";

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
  readonly #matchers: readonly Matcher[];
  #held = "";
  #stopped = false;

  /** @throws ArgumentError for an empty string: it would end every text at once */
  constructor(stops: readonly string[] = []) {
    this.#matchers = stops.map((stop) => {
      if (typeof stop !== "string" || stop === "") {
        throw new ArgumentError("A stop string must be a string with at least one character.", { option: "stop" });
      }
      return { stop, fallback: fallbacks(stop), matched: 0 };
    });
  }

  /**
   * Takes the next piece of text. The string that is complete first ends the text; of several that are complete at the
   * same character, the longest.
   */
  push(text: string): StopPush {
    if (this.#stopped) return { text: "", stopped: true };
    if (this.#matchers.length === 0) return { text, stopped: false };
    const all = this.#held + text;
    for (let at = this.#held.length; at < all.length; at++) {
      const found = this.#step(all.charAt(at));
      if (found > 0) {
        this.#held = "";
        this.#stopped = true;
        return { text: all.slice(0, at + 1 - found), stopped: true };
      }
    }
    const held = Math.max(...this.#matchers.map((matcher) => matcher.matched));
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), stopped: false };
  }

  /** The text ended: what was held back, as no stop string was completed. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    for (const matcher of this.#matchers) matcher.matched = 0;
    return rest;
  }

  /** Takes one character; returns the length of the longest stop string that it completes, or 0. */
  #step(character: string): number {
    let found = 0;
    for (const matcher of this.#matchers) {
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
