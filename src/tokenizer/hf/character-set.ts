/**
 * Sets of characters as Oniguruma has them: \s, \w, \h, POSIX brackets and Unicode properties under its names, which JavaScript
 * spells otherwise or means otherwise.
 */
import type { CharacterClassElementNode, CharacterClassNode, CharacterSetNode } from "oniguruma-parser/parser";
import { UnsupportedError } from "../../util/errors.js";

export type Contains = (codePoint: number) => boolean;

const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** POSIX brackets in Unicode, as the inside of a class. */
const POSIX: Readonly<Record<string, string>> = {
  alnum: "\\p{Alphabetic}\\p{Nd}",
  alpha: "\\p{Alphabetic}",
  ascii: "\\0-\\x7f",
  blank: "\\p{Zs}\\t",
  cntrl: "\\p{Cc}",
  digit: "\\p{Nd}",
  graph: "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}",
  lower: "\\p{Lowercase}",
  print: "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}\\p{Zs}",
  punct: "\\p{P}\\p{S}",
  space: "\\p{White_Space}",
  upper: "\\p{Uppercase}",
  xdigit: "0-9A-Fa-f",
  word: WORD,
};

/** Answers for the first 65,536 characters are kept. */
export class CharacterSet {
  private readonly known = new Uint8Array(0x10000);

  constructor(readonly contains: Contains) {}

  has(codePoint: number): boolean {
    if (codePoint > 0xffff) return this.contains(codePoint);
    const known = this.known[codePoint];
    if (known !== 0) return known === 2;
    const found = this.contains(codePoint);
    this.known[codePoint] = found ? 2 : 1;
    return found;
  }
}

const tests =
  (pattern: RegExp): Contains =>
  (codePoint) =>
    pattern.test(String.fromCodePoint(codePoint));
const inside = (source: string): Contains => tests(new RegExp(`^[${source}]$`, "u"));

export const isWord = new CharacterSet(inside(WORD));

/** @throws UnsupportedError for sets that have no end or no name here */
export function setOf(node: CharacterSetNode): Contains {
  const contains = positive(node);
  return node.negate ? (codePoint) => !contains(codePoint) : contains;
}

function positive(node: CharacterSetNode): Contains {
  switch (node.kind) {
    case "any":
      return () => true;
    case "dot":
      return (codePoint) => codePoint !== 10;
    case "digit":
      return inside(POSIX.digit);
    case "hex":
      return inside(POSIX.xdigit);
    case "space":
      return inside(POSIX.space);
    case "word":
      return inside(WORD);
    case "posix":
      if (Object.hasOwn(POSIX, node.value)) return inside(POSIX[node.value]);
      break;
    case "property":
      return property(node.value);
    case "newline":
      // \N; \R is a group of characters.
      if (node.negate) return (codePoint) => codePoint === 10;
  }
  throw new UnsupportedError(`tokenizer.json: expressions with the set "${node.value ?? node.kind}" aren't supported.`);
}

function property(name: string): Contains {
  const posix = name.toLowerCase();
  if (Object.hasOwn(POSIX, posix) && posix !== "lower" && posix !== "upper") return inside(POSIX[posix]);
  for (const spelled of [name, `Script=${name}`, `General_Category=${name}`]) {
    try {
      return tests(new RegExp(`^\\p{${spelled}}$`, "u"));
    } catch {
      // not its name in JavaScript
    }
  }
  throw new UnsupportedError(`tokenizer.json: the property \\p{${name}} of an expression isn't known.`);
}

/** A class with its ranges, nested classes and intersections; `fold` ignores case. */
export function classOf(node: CharacterClassNode, fold: boolean): Contains {
  const parts = node.body.map((part) => element(part, fold));
  const all = node.kind === "intersection";
  return (codePoint) => {
    const found = all ? parts.every((part) => part(codePoint)) : parts.some((part) => part(codePoint));
    return found !== node.negate;
  };
}

function element(node: CharacterClassElementNode, fold: boolean): Contains {
  switch (node.type) {
    case "Character":
      return characterOf(node.value, fold);
    case "CharacterClassRange": {
      const [first, last] = [node.min.value, node.max.value];
      const contains: Contains = (codePoint) => codePoint >= first && codePoint <= last;
      return fold ? (codePoint) => variants(codePoint).some(contains) : contains;
    }
    case "CharacterClass":
      return classOf(node, fold);
    case "CharacterSet":
      return setOf(node);
  }
}

export function characterOf(value: number, fold: boolean): Contains {
  if (!fold) return (codePoint) => codePoint === value;
  const escaped = `\\u{${value.toString(16)}}`;
  return tests(new RegExp(`^${escaped}$`, "iu"));
}

function variants(codePoint: number): number[] {
  const character = String.fromCodePoint(codePoint);
  const all = [character, character.toLowerCase(), character.toUpperCase()];
  return all.filter((text) => [...text].length === 1).map((text) => text.codePointAt(0) ?? 0);
}
