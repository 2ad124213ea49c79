/** Letters and their cases as Python's `str` has them. */

const CASED = /[\p{Lu}\p{Ll}\p{Lt}]/u;

export function capitalize(text: string): string {
  const [first = ""] = text;
  return titleOf(first) + text.slice(first.length).toLowerCase();
}

/** A letter at the beginning of a word; digraphs have a form of their own. */
function titleOf(character: string): string {
  const upper = character.toUpperCase();
  if (character >= "\u01c4" && character <= "\u01cc") return TITLES[upper] ?? upper;
  if (character === "\u0149") return upper; // its letter is the second
  // What becomes several letters, as ß, has only its first one large.
  return [...upper].length > 1 ? upper.charAt(0) + upper.slice(1).toLowerCase() : upper;
}
const TITLES: Readonly<Record<string, string>> = { "\u01c4": "\u01c5", "\u01c7": "\u01c8", "\u01ca": "\u01cb" };

/** `str.title`: each run of letters with case is a word. */
export function titleCase(text: string): string {
  let inside = false;
  let out = "";
  for (const character of text) {
    out += inside ? character.toLowerCase() : titleOf(character);
    inside = CASED.test(character);
  }
  return out;
}

export function swapCase(text: string): string {
  return Array.from(text, (character) => {
    const lower = character.toLowerCase();
    return lower === character ? character.toUpperCase() : lower;
  }).join("");
}

/** The filter `title`: words begin after white space, hyphens and opening brackets, whatever their letters. */
export function titleWords(text: string): string {
  return text
    .split(/([-\s({[<]+)/u)
    .map((word) => {
      const [first = ""] = word;
      return first.toUpperCase() + word.slice(first.length).toLowerCase();
    })
    .join("");
}

/** Decimal digits, digits with a special form, and other signs with a number. */
const DECIMAL = /^\p{Nd}+$/u;
const DIGIT = /^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒]+$/u;
const NUMERIC = /^[\p{N}〇一二三四五六七八九十百千万億兆]+$/u;
const ALPHABETIC = /^\p{L}+$/u;
const ALPHANUMERIC = /^[\p{L}\p{N}〇]+$/u;

function hasCase(text: string, wanted: RegExp, other: RegExp): boolean {
  return wanted.test(text) && !other.test(text);
}

/** `str.is...` without white space and printing. */
export const CLASSES: Readonly<Record<string, (text: string) => boolean>> = {
  isalpha: (text) => ALPHABETIC.test(text),
  isdecimal: (text) => DECIMAL.test(text),
  isdigit: (text) => DIGIT.test(text),
  isnumeric: (text) => NUMERIC.test(text),
  isalnum: (text) => ALPHANUMERIC.test(text),
  isascii: (text) => !/[^\0-\x7f]/.test(text),
  islower: (text) => hasCase(text, /[\p{Ll}ªº]/u, /[\p{Lu}\p{Lt}]/u),
  isupper: (text) => hasCase(text, /\p{Lu}/u, /[\p{Ll}\p{Lt}ªº]/u),
  istitle: (text) => /[\p{Lu}\p{Lt}]/u.test(text) && isTitle(text),
  isidentifier: (text) => /^[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Nd}\p{Mn}\p{Mc}\p{Pc}]*$/u.test(text),
};

function isTitle(text: string): boolean {
  let inside = false;
  for (const character of text) {
    const upper = /[\p{Lu}\p{Lt}]/u.test(character);
    const lower = /\p{Ll}/u.test(character);
    if ((upper && inside) || (lower && !inside)) return false;
    inside = upper || lower;
  }
  return true;
}
