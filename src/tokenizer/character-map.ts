/**
 * SentencePiece's precompiled normalisation: the longest prefix of the text that a trie knows is replaced, again and again.
 * The map is the trie's size in bytes (u32), its units (u32 each, a double array as darts-clone lays it out), then the
 * replacements, each ended by a zero byte. Source: sentencepiece's normalizer.cc and darts.h.
 */
import { FormatError } from "../util/errors.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Offset of a unit's children. */
const childrenOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

export class CharacterMap {
  private readonly units: Uint32Array;
  private readonly replacements: Uint8Array;

  /** @throws FormatError for a map that is shorter than it says */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length >= 4 ? view.getUint32(0, true) : Number.NaN;
    if (!(size >= 4 && size % 4 === 0 && size + 4 <= bytes.length)) {
      throw new FormatError(
        `The tokenizer's character map of ${bytes.length} bytes is damaged: its trie does not fit.`,
      );
    }
    this.units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.replacements = bytes.subarray(4 + size);
  }

  normalise(text: string): string {
    const bytes = encoder.encode(text);
    const out: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const found = this.longestPrefix(bytes, at);
      const end = found?.end ?? at + characterBytes(bytes[at]);
      out.push(found ? this.replacement(found.value) : bytes.subarray(at, end));
      at = end;
    }
    return out.map((part) => decoder.decode(part)).join("");
  }

  private longestPrefix(
    bytes: Uint8Array,
    start: number,
  ): { readonly end: number; readonly value: number } | undefined {
    const units = this.units;
    let longest: { readonly end: number; readonly value: number } | undefined;
    let node = childrenOf(units[0]);
    for (let at = start; at < bytes.length; at++) {
      node ^= bytes[at];
      // The label of a unit outside the array is undefined, which is no byte.
      const unit = units.at(node) ?? 0x8000_0000;
      if ((unit & 0x8000_00ff) !== bytes[at]) break;
      const leaf = (unit & 0x100) !== 0;
      node ^= childrenOf(unit);
      if (leaf) longest = { end: at + 1, value: (units.at(node) ?? 0) & 0x7fff_ffff };
    }
    return longest;
  }

  private replacement(start: number): Uint8Array {
    const end = this.replacements.indexOf(0, start);
    return this.replacements.subarray(start, end < 0 ? this.replacements.length : end);
  }
}

/** Bytes of the UTF-8 character that begins with this byte. */
function characterBytes(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
