/** What the items and options of a policy's text take after their sign, and how it is read. */
import { ArgumentError, InternalError } from "../util/errors.js";

export interface ValueForm<V> {
  /** How help and errors write it: `N` in "recent:N". */
  readonly sign: string;
  /** What is expected, where this text was found: "a whole number of at least 1". */
  needs(found: string): string;
  /** Undefined where the text is none. */
  read(text: string): V | undefined;
}

export function wholeNumber(least: number): ValueForm<number> {
  return {
    sign: "N",
    needs: (found) =>
      `a whole number of at least ${least}${/^\d{16,}$/.test(found) ? " and at most 999999999999999" : ""}`,
    read(text) {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= least ? value : undefined;
    },
  };
}

/** A whole number of pages, blocks or the like, counted in what they are made of. */
export function multipleOf(unit: number): ValueForm<number> {
  const { sign, read } = wholeNumber(unit);
  return {
    sign,
    needs: () => `a multiple of ${unit}, at least ${unit}`,
    read(text) {
      const value = read(text);
      return value !== undefined && value % unit === 0 ? value : undefined;
    },
  };
}

/** One of these words. */
export function oneOf<const W extends string>(...words: readonly W[]): ValueForm<W> {
  return {
    sign: words.join("|"),
    needs: () => words.map((word) => `"${word}"`).join(" or "),
    read: (text) => words.find((word) => word === text),
  };
}

/** Any word, such as a name: what does not hold a comma, a colon, an equals sign or white space. */
export function anyWord(what: string): ValueForm<string> {
  return {
    sign: what.toUpperCase(),
    needs: () => `a ${what}`,
    read: (text) => (/^[^,:=\s]+$/.test(text) ? text : undefined),
  };
}

/** The values of a policy's items by their names. */
export class ItemValues {
  constructor(private readonly values: ReadonlyMap<string, number | string>) {}

  number(item: string): number {
    const value = this.values.get(item);
    if (typeof value === "number") return value;
    throw new InternalError(`The policy's item "${item}" has no number.`);
  }

  word(item: string): string {
    const value = this.values.get(item);
    if (typeof value === "string") return value;
    throw new InternalError(`The policy's item "${item}" has no word.`);
  }
}

/** What is wrong with the value of an item or option; the text's reader points at it. */
export function wrongValue(item: string, message: string): ArgumentError {
  return new ArgumentError(message, { item });
}
