/** Strings of a template, with Python's escapes. */
import { broken, unsupported } from "./fault.js";

/** The string that begins at `at` with its quote. */
export function readString(source: string, at: number, line: number): { readonly text: string; readonly end: number } {
  const quote = source[at];
  let end = at + 1;
  while (end < source.length && source[end] !== quote) end += source[end] === "\\" ? 2 : 1;
  if (end >= source.length) throw broken("a string has no end.", line);
  const body = source.slice(at + 1, end);
  return { text: body.includes("\\") ? unescaped(body, line) : body, end: end + 1 };
}

const SIMPLE: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const LENGTHS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** Jinja2 writes characters beyond ASCII as escapes first, so a backslash before one is read with its escape. */
function unescaped(body: string, line: number): string {
  const ascii = body.replace(/[\x80-\u{10ffff}]/gu, asEscape);
  return ascii.replace(/\\([0-7]{1,3}|[xuU]([\da-fA-F]*)|.)/gs, (whole, code: string, digits?: string) => {
    if (/^[0-7]/.test(code)) return String.fromCodePoint(Number.parseInt(code, 8));
    if (digits !== undefined) return fromDigits(code.charAt(0), digits, line);
    if (code === "N") throw unsupported("names of characters in strings (\\N{...}).");
    return SIMPLE[code] ?? whole;
  });
}

function fromDigits(kind: string, digits: string, line: number): string {
  const length = LENGTHS[kind];
  const value = Number.parseInt(digits.slice(0, length), 16);
  if (digits.length < length || value > 0x10ffff) throw broken(`a string has a broken \\${kind} escape.`, line);
  return String.fromCodePoint(value) + digits.slice(length);
}

function asEscape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const [kind, length] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${kind}${code.toString(16).padStart(Number(length), "0")}`;
}
