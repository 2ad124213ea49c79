/** The bytes that each token of a vocabulary stands for, by the vocabulary's spelling. */
import { fromByteLevel } from "./byte-level.js";
import { byteOfToken } from "./score-merge-model.js";
import type { TokenBytes } from "./token-stream.js";
import { isControl, SPACE_MARK, TokenKind, type Vocabulary } from "./vocabulary.js";

/**
 * - `byte-level`: normal tokens in GPT-2's byte characters;
 * - `space-mark`: U+2581 is a space, `<0x..>` tokens are bytes (SentencePiece; GGUF's WordPiece too);
 * - `word-piece`: pieces with the continuing prefix join the word before, others begin with a space.
 */
export type Spelling = "byte-level" | "space-mark" | "word-piece";

export interface TokenBytesOptions {
  readonly vocabulary: Vocabulary;
  readonly spelling: Spelling;
  readonly stripsLeadingSpace: boolean;
  /** Of `space-mark`: the text of a token that is no byte; default: U+2581 becomes a space. */
  readonly spell?: (text: string) => string;
  /** Of `word-piece`; default "##". */
  readonly continuingPrefix?: string;
  /** No space before punctuation. */
  readonly cleansSpaces?: boolean;
}

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

export class SpelledTokenBytes implements TokenBytes {
  private readonly options: TokenBytesOptions;
  readonly stripsLeadingSpace: boolean;

  constructor(options: TokenBytesOptions) {
    this.options = options;
    this.stripsLeadingSpace = options.stripsLeadingSpace;
  }

  bytes(id: number, special: boolean): Uint8Array {
    const { texts, kinds } = this.options.vocabulary;
    const text = texts[id];
    if (text === undefined) return NOTHING;
    const kind = kinds[id];
    if (isControl(kind)) return special ? encoder.encode(text) : NOTHING;
    const { spell = withSpaces } = this.options;
    switch (this.options.spelling) {
      case "byte-level":
        return kind === TokenKind.userDefined || kind === TokenKind.marker ? encoder.encode(text) : fromByteLevel(text);
      case "space-mark": {
        const byte = kind === TokenKind.byte ? byteOfToken(text) : undefined;
        return byte === undefined ? this.text(spell(text)) : Uint8Array.of(byte);
      }
      case "word-piece":
        return this.wordPiece(text);
    }
  }

  private wordPiece(text: string): Uint8Array {
    const { continuingPrefix = "##" } = this.options;
    return this.text(text.startsWith(continuingPrefix) ? text.slice(continuingPrefix.length) : ` ${text}`);
  }

  private text(spelled: string): Uint8Array {
    return encoder.encode(this.options.cleansSpaces ? withoutSpace(spelled) : spelled);
  }
}

/** The usual clean-up of WordPiece texts, token by token: no space before these. */
function withoutSpace(piece: string): string {
  return /^ (?:[.?!,]|n't|'m|'s|'ve|'re)/.test(piece) ? piece.slice(1) : piece;
}

const withSpaces = (text: string): string => text.replaceAll(SPACE_MARK, " ");
