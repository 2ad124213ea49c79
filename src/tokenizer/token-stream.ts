/**
 * Ids back to text. A token is bytes, and a character may lie over several tokens (byte-level pieces, byte fallback), so
 * bytes go through an incremental UTF-8 decoder: nothing is given out before it is a whole character, and U+FFFD only
 * once no further byte could mend it. One token costs the same at the start of a text and after a million.
 */
import type { DecodeOptions, TokenStream } from "./tokenizer.js";

export interface TokenBytes {
  /** The bytes of a token; empty for ids that show nothing (special ones unless `special`, ids without a token). */
  bytes(id: number, special: boolean): Uint8Array;
  /** The vocabulary puts a space before the text, which decoding takes away again. */
  readonly stripsLeadingSpace: boolean;
}

const SPACE = 0x20;

export class Utf8TokenStream implements TokenStream {
  private readonly tokens: TokenBytes;
  private readonly special: boolean;
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private stripsNext: boolean;

  constructor(tokens: TokenBytes, options: DecodeOptions = {}) {
    this.tokens = tokens;
    this.special = options.special ?? false;
    this.stripsNext = tokens.stripsLeadingSpace && !options.continues;
  }

  push(id: number): string {
    let bytes = this.tokens.bytes(id, this.special);
    if (bytes.length === 0) return "";
    if (this.stripsNext && bytes[0] === SPACE) bytes = bytes.subarray(1);
    this.stripsNext = false;
    return this.decoder.decode(bytes, { stream: true });
  }

  end(): string {
    return this.decoder.decode();
  }
}

/** The text of a whole list of ids; equal to what a stream gives out for it. */
export function decodeIds(tokens: TokenBytes, ids: ArrayLike<number>, options: DecodeOptions = {}): string {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (let i = 0; i < ids.length; i++) {
    const bytes = tokens.bytes(ids[i], options.special ?? false);
    parts.push(bytes);
    length += bytes.length;
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  const strips = tokens.stripsLeadingSpace && !options.continues && all[0] === SPACE;
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(strips ? all.subarray(1) : all);
}
