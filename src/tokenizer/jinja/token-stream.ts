/** The parser's place in the tokens, and how deep it has gone. */
import { broken, type Fault } from "./fault.js";
import type { Token, TokenKind } from "./lexer.js";

/** More than Python's own parser takes. */
const DEEPEST = 200;

export class TokenStream {
  private readonly tokens: readonly Token[];
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get current(): Token {
    return this.tokens[this.at];
  }

  get following(): Token {
    return this.tokens[Math.min(this.at + 1, this.tokens.length - 1)];
  }

  next(): Token {
    const token = this.current;
    if (token.kind !== "end") this.at++;
    return token;
  }

  is(kind: TokenKind, text?: string): boolean {
    const { current } = this;
    return current.kind === kind && (text === undefined || current.text === text);
  }

  isOperator(text: string): boolean {
    return this.is("operator", text);
  }

  /** Takes the token if it is this one. */
  skip(kind: TokenKind, text?: string): boolean {
    if (!this.is(kind, text)) return false;
    this.next();
    return true;
  }

  expect(kind: TokenKind, text?: string): Token {
    if (!this.is(kind, text)) throw this.unexpected(text ?? NAMES[kind] ?? kind);
    return this.next();
  }

  unexpected(expected: string): Fault {
    const { current } = this;
    const found = current.kind === "text" ? "text" : current.text || NAMES[current.kind];
    return broken(`expected ${expected}, found ${JSON.stringify(found)}.`, current.line);
  }

  /** Runs a part of the parser that may contain itself. */
  nested<T>(parse: () => T): T {
    if (++this.depth > DEEPEST) throw broken(`it nests more than ${DEEPEST} deep.`, this.current.line);
    const parsed = parse();
    this.depth--;
    return parsed;
  }
}

const NAMES: Readonly<Partial<Record<TokenKind, string>>> = {
  end: "the end of the template",
  blockEnd: "%}",
  printEnd: "}}",
  name: "a name",
  integer: "a number",
};
