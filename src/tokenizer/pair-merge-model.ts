/**
 * Byte-pair encoding with a ranked list of merges (`tokenizer.ggml.merges`, tokenizer.json's BPE): byte-level as in
 * GPT-2, or over characters with byte fallback as in converted SentencePiece vocabularies. It works on ids in typed
 * arrays, where the library's model keys a map with pairs of strings: the same ids, on a novel 4 times (byte-level) to 50
 * times (one long word) faster.
 */
import { FormatError } from "../util/errors.js";
import { charOfByte, toByteLevel } from "./byte-level.js";
import type { IdList } from "./id-list.js";
import { noTokenFor } from "./no-token.js";
import { PairTable } from "./pair-table.js";
import { byteOfToken } from "./score-merge-model.js";
import { crossesWords, spaceMarkWords } from "./space-mark-words.js";
import { type MergeRule, SymbolMerger } from "./symbol-merger.js";
import { isSteering, TokenKind, type Vocabulary } from "./vocabulary.js";
import { WordCache } from "./word-cache.js";

export interface PairMergeOptions {
  readonly vocabulary: Vocabulary;
  /** Pairs of token texts, the first to be merged first. */
  readonly merges: readonly (readonly [string, string])[];
  /** Tokens are spelled in GPT-2's byte characters. */
  readonly byteLevel: boolean;
  /** Characters without a token become `<0x..>` tokens. */
  readonly byteFallback: boolean;
  /** A word that is a token stays whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Without one unknown characters are left out, as elsewhere; "missing" is one that the vocabulary should have. */
  readonly unknownId: number | "missing" | undefined;
  /** Neighbouring unknown characters become one unknown token. */
  readonly fuseUnknown: boolean;
  /** Merges may make symbols that are no tokens, as in llama.cpp; else they are an error, as in Hugging Face's library. */
  readonly mergesThroughOthers: boolean;
}

/** Ranks must stay exact in the merger's heap. */
const MOST_MERGES = 1 << 20;

const encoder = new TextEncoder();

export class PairMergeModel implements MergeRule {
  private readonly options: PairMergeOptions;
  private readonly pairs: PairTable;
  /** The token that the merge of each rank makes. */
  private readonly merged: Int32Array;
  /** Byte-level: the id of each byte's character; else of each `<0x..>` token. -1 = none. */
  private readonly bytes: Int32Array;
  /** Symbols of merges that are no tokens, with ids beyond the tokens'. */
  private readonly furtherTexts: string[] = [];
  private readonly furtherIds = new Map<string, number>();
  private readonly cutsAtSpaces: boolean;
  private readonly merger = new SymbolMerger();
  private readonly cache = new WordCache();
  private symbols = new Int32Array(64);
  private count = 0;

  /** @throws FormatError for merges of tokens that the vocabulary doesn't have */
  constructor(options: PairMergeOptions) {
    this.options = options;
    const { vocabulary, merges, byteLevel } = options;
    if (merges.length > MOST_MERGES) {
      throw new FormatError(`The tokenizer has ${merges.length} merges; at most ${MOST_MERGES} are supported.`);
    }
    this.pairs = new PairTable(merges.length);
    this.merged = new Int32Array(merges.length);
    let crossing = false;
    merges.forEach(([left, right], rank) => {
      const leftId = this.idOf(left, rank);
      const rightId = this.idOf(right, rank);
      const merged = this.idOf(left + right, rank);
      crossing ||= crossesWords(left + right);
      this.merged[rank] = merged;
      // No plain text may merge into a token that steers the model.
      if (!isSteering(vocabulary.kinds[merged])) this.pairs.add(leftId, rightId, rank);
    });
    this.cutsAtSpaces = !byteLevel && !crossing;
    this.bytes = byteLevel ? byteCharacters(vocabulary) : byteTokens(vocabulary, options.byteFallback);
  }

  /**
   * Encodes one word of the pre-tokenizer (the whole text where there is none).
   * @throws FormatError for an unknown character where the unknown token is missing
   */
  encodeWord(word: string, out: IdList, check?: () => void): void {
    if (!this.cutsAtSpaces || this.options.ignoreMerges) {
      this.encodeCached(word, out, check);
      return;
    }
    let parts = 0;
    for (const part of spaceMarkWords(word)) {
      if (parts++ % 1024 === 0) check?.();
      this.encodeCached(part, out, check);
    }
  }

  rank(left: number, right: number): number {
    return this.pairs.get(this.symbols[left], this.symbols[right]);
  }

  join(left: number, _right: number, rank: number): void {
    this.symbols[left] = this.merged[rank];
  }

  private encodeCached(word: string, out: IdList, check?: () => void): void {
    const known = this.cache.get(word);
    if (known) {
      out.pushAll(known);
      return;
    }
    const start = out.size;
    this.encodeNew(word, out, check);
    this.cache.set(word, out.from(start));
  }

  private encodeNew(word: string, out: IdList, check?: () => void): void {
    const { vocabulary, byteLevel, ignoreMerges } = this.options;
    if (ignoreMerges) {
      const whole = vocabulary.ids.get(byteLevel ? toByteLevel(word) : word);
      if (whole !== undefined && vocabulary.kinds[whole] === TokenKind.normal) {
        out.push(whole);
        return;
      }
    }
    this.count = 0;
    if (byteLevel) this.addBytes(word);
    else this.addCharacters(word);
    if (this.count === 0) return;
    this.merger.merge(this.count, this, check);
    const { next } = this.merger;
    for (let i = 0; i >= 0; i = next[i]) this.emit(this.symbols[i], out);
    if (this.symbols.length > 1 << 16) this.symbols = new Int32Array(64);
  }

  /** A symbol that is no token is written in its characters. */
  private emit(symbol: number, out: IdList): void {
    const { ids, texts } = this.options.vocabulary;
    if (symbol < texts.length) {
      out.push(symbol);
      return;
    }
    for (const character of this.furtherTexts[symbol - texts.length]) {
      const id = ids.get(character);
      if (id !== undefined) out.push(id);
    }
  }

  /** The id of a part of a merge. What is no token gets one beyond them, if merges may go through such symbols. */
  private idOf(text: string, rank: number): number {
    const { vocabulary, mergesThroughOthers } = this.options;
    const id = vocabulary.ids.get(text) ?? this.furtherIds.get(text);
    if (id !== undefined) return id;
    if (!mergesThroughOthers) throw missingPart(text, rank);
    const further = vocabulary.texts.length + this.furtherTexts.push(text) - 1;
    this.furtherIds.set(text, further);
    return further;
  }

  private addBytes(text: string): void {
    for (const byte of encoder.encode(text)) {
      const id = this.bytes[byte];
      if (id >= 0) this.addSymbol(id);
      else this.addUnknown(text);
    }
  }

  private addCharacters(text: string): void {
    const { ids, kinds } = this.options.vocabulary;
    for (const char of text) {
      const id = ids.get(char);
      if (id !== undefined && !isSteering(kinds[id])) {
        this.addSymbol(id);
        continue;
      }
      const bytes = encoder.encode(char);
      if (bytes.every((byte) => this.bytes[byte] >= 0)) for (const byte of bytes) this.addSymbol(this.bytes[byte]);
      else this.addUnknown(char);
    }
  }

  private addUnknown(text: string): void {
    const { unknownId, fuseUnknown } = this.options;
    if (unknownId === "missing") throw noTokenFor(text);
    if (unknownId === undefined) return;
    if (fuseUnknown && this.count > 0 && this.symbols[this.count - 1] === unknownId) return;
    this.addSymbol(unknownId);
  }

  private addSymbol(id: number): void {
    if (this.count === this.symbols.length) {
      const larger = new Int32Array(this.count * 2);
      larger.set(this.symbols);
      this.symbols = larger;
    }
    this.symbols[this.count++] = id;
  }
}

function missingPart(text: string, rank: number): FormatError {
  return new FormatError(
    `Merge ${rank} of the tokenizer needs the token ${JSON.stringify(text)}, which its vocabulary doesn't have: ` +
      "take the tokenizer's files from one place.",
    { merge: rank },
  );
}

/** Added tokens may look like byte characters ("\u00f8"), but stand for the text itself. */
function byteCharacters({ ids, kinds }: Vocabulary): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const id = ids.get(charOfByte(byte));
    return id === undefined || kinds[id] === TokenKind.userDefined || isSteering(kinds[id]) ? -1 : id;
  });
}

function byteTokens(vocabulary: Vocabulary, wanted: boolean): Int32Array {
  const ids = new Int32Array(256).fill(-1);
  if (!wanted) return ids;
  vocabulary.texts.forEach((text, id) => {
    const byte = text === undefined ? undefined : byteOfToken(text);
    if (byte !== undefined) ids[byte] = id;
  });
  return ids;
}
