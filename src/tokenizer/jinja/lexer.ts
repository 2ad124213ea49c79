/**
 * A template's source cut into text and tokens, with `trim_blocks` and `lstrip_blocks` as Transformers sets them: line
 * ends become \n, the last one goes, a line feed after a block goes, white space before a block on its own line goes.
 */
import { broken } from "./fault.js";
import { readString } from "./string-literal.js";
import { isBlank, isSpace, strip } from "./text.js";

export type TokenKind =
  | "text"
  | "blockBegin"
  | "blockEnd"
  | "printBegin"
  | "printEnd"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "end";

export interface Token {
  readonly kind: TokenKind;
  /** The text as written; of strings, what they mean. */
  readonly text: string;
  readonly line: number;
}

/** A known template has 20,000 characters. */
const LONGEST_SOURCE = 2_000_000;

export function tokenize(source: string): Token[] {
  if (source.length > LONGEST_SOURCE) {
    throw broken(`It has ${source.length} characters; at most ${LONGEST_SOURCE} are read.`);
  }
  return new Lexer(source.replace(/\r\n?/g, "\n").replace(/\n$/, "")).run();
}

const OPENINGS = /\{[{%#]/g;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{N}\p{M}\p{Pc}]*/uy;
const NUMBER = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y;
const RAW = /\s*raw\s*-?%\}/y;
const END_RAW = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;
const CLOSING: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

class Lexer {
  private readonly source: string;
  private readonly tokens: Token[] = [];
  private at = 0;
  private line = 1;
  /** Whether what comes begins a line, so that white space before a block goes. */
  private startsLine = true;

  constructor(source: string) {
    this.source = source;
  }

  run(): Token[] {
    const source = this.source;
    while (this.at < source.length) {
      OPENINGS.lastIndex = this.at;
      const opening = OPENINGS.exec(source);
      if (!opening) {
        this.text(source.slice(this.at));
        this.moveTo(source.length);
        break;
      }
      this.open(opening.index);
    }
    this.push("end", "");
    return this.tokens;
  }

  /** Text up to an opening, then what it opens. */
  private open(at: number): void {
    const kind = this.source[at + 1];
    const sign = /[-+]/.exec(this.source.charAt(at + 2))?.[0] ?? "";
    this.text(this.before(this.source.slice(this.at, at), sign, kind !== "{"));
    const begin = at + 2 + sign.length;
    if (kind === "#") this.comment(at, begin);
    else if (kind === "%" && this.raw(begin)) return;
    else this.expression(at, begin, kind === "%");
  }

  /** Text before a tag, without the white space that the tag takes. */
  private before(text: string, sign: string, isBlock: boolean): string {
    if (sign === "-") return strip(text, "right");
    if (sign === "+" || !isBlock) return text;
    const lineStart = text.lastIndexOf("\n") + 1;
    return (lineStart > 0 || this.startsLine) && isBlank(text, lineStart) ? text.slice(0, lineStart) : text;
  }

  private comment(at: number, begin: number): void {
    const end = this.source.indexOf("#}", begin);
    if (end < 0) {
      this.moveTo(begin === this.source.length ? begin : at);
      if (this.at === begin) return;
      throw broken("a comment has no end (#}).", this.line);
    }
    const sign = end > begin ? this.source.charAt(end - 1) : "";
    this.moveTo(end + 2);
    this.after(sign);
  }

  private raw(begin: number): boolean {
    RAW.lastIndex = begin;
    const tag = RAW.exec(this.source);
    if (!tag) return false;
    this.moveTo(begin + tag[0].length);
    if (tag[0].endsWith("-%}")) this.skipSpace();
    END_RAW.lastIndex = this.at;
    const end = END_RAW.exec(this.source);
    // At the very end of a template Jinja2 does not miss it.
    if (!end && this.at === this.source.length) return true;
    if (!end) throw broken("a raw block has no end ({% endraw %}).", this.line);
    this.startsLine = this.source[this.at - 1] === "\n";
    const sign = end[0].charAt(2);
    this.text(this.before(this.source.slice(this.at, end.index), sign, true));
    this.moveTo(end.index + end[0].length);
    this.after(end[0].charAt(end[0].length - 3));
    return true;
  }

  /** What a closing tag takes of the text after it: its sign decides. */
  private after(sign: string): void {
    if (sign === "-") this.skipSpace();
    else if (sign !== "+" && this.source[this.at] === "\n") this.moveTo(this.at + 1);
    this.startsLine = this.source[this.at - 1] === "\n";
  }

  private expression(at: number, begin: number, isBlock: boolean): void {
    this.moveTo(at);
    this.push(isBlock ? "blockBegin" : "printBegin", this.source.slice(at, begin));
    this.moveTo(begin);
    const open: string[] = [];
    for (;;) {
      this.skipSpace();
      if (this.at >= this.source.length)
        throw broken(`unexpected end of the template inside ${isBlock ? "{%" : "{{"}.`, this.line);
      if (open.length === 0 && this.close(isBlock)) return;
      this.token(open);
    }
  }

  private close(isBlock: boolean): boolean {
    const end = isBlock ? "%}" : "}}";
    const sign = this.source.charAt(this.at);
    const signed = (sign === "-" || (sign === "+" && isBlock)) && this.source.startsWith(end, this.at + 1);
    if (!signed && !this.source.startsWith(end, this.at)) return false;
    this.push(isBlock ? "blockEnd" : "printEnd", end);
    this.moveTo(this.at + end.length + (signed ? 1 : 0));
    if (signed && sign === "-") this.skipSpace();
    else if (isBlock) this.after(signed ? sign : "");
    this.startsLine = this.source[this.at - 1] === "\n";
    return true;
  }

  private token(open: string[]): void {
    const source = this.source;
    const at = this.at;
    const quote = source[at];
    if (quote === "'" || quote === '"') {
      const { text, end } = readString(source, at, this.line);
      this.push("string", text);
      this.moveTo(end);
      return;
    }
    const number = source[at - 1] === "." ? undefined : match(NUMBER, source, at);
    if (number !== undefined) this.take("float", number);
    else this.word(open);
  }

  private word(open: string[]): void {
    const integer = match(INTEGER, this.source, this.at);
    const name = integer === undefined ? match(NAME, this.source, this.at) : undefined;
    if (integer !== undefined) this.take("integer", integer);
    else if (name !== undefined) this.take("name", name);
    else this.operator(open);
  }

  private operator(open: string[]): void {
    const operator = match(OPERATOR, this.source, this.at);
    if (operator === undefined)
      throw broken(`unexpected character ${JSON.stringify(this.source[this.at])}.`, this.line);
    if ("([{".includes(operator)) open.push(operator);
    else if (operator in CLOSING && open.pop() !== CLOSING[operator]) {
      throw broken(`unexpected ${JSON.stringify(operator)}.`, this.line);
    }
    this.take("operator", operator);
  }

  private take(kind: TokenKind, text: string): void {
    this.push(kind, text);
    this.moveTo(this.at + text.length);
  }

  private text(text: string): void {
    if (text !== "") this.push("text", text);
  }

  private push(kind: TokenKind, text: string): void {
    this.tokens.push({ kind, text, line: this.line });
  }

  private skipSpace(): void {
    let at = this.at;
    while (at < this.source.length && isSpace(this.source.charCodeAt(at))) at++;
    this.moveTo(at);
  }

  private moveTo(to: number): void {
    for (let i = this.at; i < to; i++) if (this.source.charCodeAt(i) === 10) this.line++;
    this.at = to;
  }
}

function match(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}
