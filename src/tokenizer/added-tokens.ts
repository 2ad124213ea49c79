/**
 * Finds the tokens that are read as such before the text is cut into words: special tokens (`<|im_end|>`) and ones added
 * by the user. Leftmost first, of several at one place the longest: a trie over UTF-16 units.
 */
import { FormatError } from "../util/errors.js";

export interface AddedToken {
  readonly id: number;
  readonly text: string;
  /** Read only where the caller lets special tokens be parsed. */
  readonly special: boolean;
  /** Takes the white space before (after) it. */
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  /** Not found inside a word. */
  readonly singleWord?: boolean;
}

interface Node {
  readonly children: Map<number, Node>;
  token: AddedToken | undefined;
}

export type Section = { readonly text: string; readonly start: number } | { readonly token: AddedToken };

/** Searching costs a text's length times this at worst; the longest special tokens in use have some 100 characters. */
const LONGEST_TOKEN = 1024;

/** \w of Rust's expressions. */
const WORD_CHARACTER = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const TRAILING_SPACE = /(?<!\p{White_Space})\p{White_Space}+$/u;
const SPACE = /^\p{White_Space}$/u;

export class AddedTokens {
  private readonly root: Node = { children: new Map(), token: undefined };
  private readonly hasPlain: boolean;
  private readonly hasSpecial: boolean;

  /** @throws FormatError for a token of absurd length */
  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) if (token.text !== "") this.insert(token);
    this.hasPlain = tokens.some((token) => !token.special);
    this.hasSpecial = tokens.some((token) => token.special);
  }

  /** Cuts a text into added tokens and the text between them. White space that a token took may be a token all the same. */
  *sections(text: string, parseSpecial: boolean): Generator<Section, void, undefined> {
    let start = 0;
    for (const { token, at } of this.find(text, parseSpecial)) {
      const before = text.slice(start, at);
      const kept = token.lstrip ? before.replace(TRAILING_SPACE, "") : before;
      if (kept !== "") yield { text: kept, start };
      yield { token };
      start = at + token.text.length;
      if (token.rstrip) while (SPACE.test(text.charAt(start))) start++;
    }
    if (start < text.length) yield { text: text.slice(start), start };
  }

  /** All added tokens of a text, in order, without overlaps. One that stands within a word is passed over as a whole. */
  *find(text: string, parseSpecial: boolean): Generator<{ token: AddedToken; at: number }, void, undefined> {
    if (!this.hasPlain && !(parseSpecial && this.hasSpecial)) return;
    const first = this.root.children;
    for (let at = 0; at < text.length; ) {
      const token = first.has(text.charCodeAt(at)) ? this.longest(text, at, parseSpecial) : undefined;
      const end = at + (token ? token.text.length : 1);
      if (token && fits(token, text, at, end)) yield { token, at };
      at = end;
    }
  }

  private longest(text: string, at: number, parseSpecial: boolean): AddedToken | undefined {
    let best: AddedToken | undefined;
    let node = this.root.children.get(text.charCodeAt(at));
    for (let end = at + 1; node; end++) {
      const { token } = node;
      if (token && (parseSpecial || !token.special)) best = token;
      node = end < text.length ? node.children.get(text.charCodeAt(end)) : undefined;
    }
    return best;
  }

  private insert(token: AddedToken): void {
    if (token.text.length > LONGEST_TOKEN) {
      throw new FormatError(
        `The tokenizer's special token ${token.id} has ${token.text.length} characters; at most ${LONGEST_TOKEN} are supported.`,
      );
    }
    let node = this.root;
    for (let i = 0; i < token.text.length; i++) {
      const unit = token.text.charCodeAt(i);
      let child = node.children.get(unit);
      if (!child) {
        child = { children: new Map(), token: undefined };
        node.children.set(unit, child);
      }
      node = child;
    }
    node.token ??= token;
  }
}

function fits(token: AddedToken, text: string, start: number, end: number): boolean {
  if (!token.singleWord) return true;
  return !WORD_CHARACTER.test(characterBefore(text, start)) && !WORD_CHARACTER.test(characterAt(text, end));
}

function characterAt(text: string, at: number): string {
  return at < text.length ? String.fromCodePoint(text.codePointAt(at) ?? 0) : "";
}

function characterBefore(text: string, at: number): string {
  return at > 0 ? ([...text.slice(Math.max(0, at - 2), at)].at(-1) ?? "") : "";
}
