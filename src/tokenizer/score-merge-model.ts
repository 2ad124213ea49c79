/**
 * SentencePiece BPE as GGUF stores it (`tokenizer.ggml.model` = "llama"): pieces with scores, no list of merges. Any two
 * neighbours whose texts together are a piece may merge, the best score first. Ranked pairs (as tokenizer.json has them)
 * can't say this exactly: pieces of equal score, and splits of one piece, are told apart by position only. So this
 * model asks the pieces themselves. Characters that are in no piece become byte tokens.
 * (Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226)
 */
import type { IdList } from "./id-list.js";
import { crossesWords, spaceMarkWords } from "./space-mark-words.js";
import { type MergeRule, SymbolMerger } from "./symbol-merger.js";
import type { TextModel, TextPlace } from "./text-model.js";
import { isSteering, SPACE_MARK, TokenKind, type Vocabulary } from "./vocabulary.js";
import { WordCache } from "./word-cache.js";

export interface ScoreMergeOptions {
  readonly vocabulary: Vocabulary;
  /** Score by id; higher merges first. */
  readonly scores: ArrayLike<number>;
  /** A space goes before every stretch of plain text. */
  readonly addSpacePrefix: boolean;
  readonly unknownId: number | undefined;
}

const encoder = new TextEncoder();

export class ScoreMergeModel implements TextModel, MergeRule {
  private readonly pieces = new Map<string, number>();
  /** Dense rank of each id's score: 0 is the best, equal scores are equal. */
  private readonly ranks: Int32Array;
  /** Ids of the 256 byte tokens; -1 where there is none. */
  private readonly bytes = new Int32Array(256).fill(-1);
  private readonly cutsAtSpaces: boolean;
  private readonly addSpacePrefix: boolean;
  private readonly unknownId: number | undefined;
  private readonly merger = new SymbolMerger();
  private readonly cache = new WordCache();
  /** The word being merged: symbol i is text[#starts[i], #ends[i]). */
  private word = "";
  private starts: number[] = [];
  private ends: number[] = [];

  constructor(options: ScoreMergeOptions) {
    const { texts, kinds } = options.vocabulary;
    let crossing = false;
    texts.forEach((text, id) => {
      if (text === undefined) return;
      if (kinds[id] === TokenKind.byte) this.addByte(text, id);
      // Control tokens are no pieces: no plain text may merge into one.
      else if (!isSteering(kinds[id]) && !this.pieces.has(text)) {
        this.pieces.set(text, id);
        crossing ||= crossesWords(text);
      }
    });
    this.cutsAtSpaces = !crossing;
    this.ranks = denseRanks(options.scores, texts.length);
    this.addSpacePrefix = options.addSpacePrefix;
    this.unknownId = options.unknownId;
  }

  encode(text: string, { check }: TextPlace, out: IdList): void {
    if (text === "") return;
    const marked = (this.addSpacePrefix ? SPACE_MARK : "") + text.replaceAll(" ", SPACE_MARK);
    if (!this.cutsAtSpaces) {
      this.encodeWord(marked, out, check);
      return;
    }
    let words = 0;
    for (const word of spaceMarkWords(marked)) {
      if (words++ % 1024 === 0) check?.();
      const known = this.cache.get(word);
      if (known) out.pushAll(known);
      else {
        const start = out.size;
        this.encodeWord(word, out, check);
        this.cache.set(word, out.from(start));
      }
    }
  }

  rank(left: number, right: number): number {
    const id = this.pieces.get(this.word.slice(this.starts[left], this.ends[right]));
    return id === undefined ? -1 : this.ranks[id];
  }

  join(left: number, right: number): void {
    this.ends[left] = this.ends[right];
  }

  private encodeWord(word: string, out: IdList, check?: () => void): void {
    const whole = word.length === 1 ? this.pieces.get(word) : undefined;
    if (whole !== undefined) {
      out.push(whole);
      return;
    }
    this.word = word;
    this.starts = [];
    this.ends = [];
    let at = 0;
    for (const char of word) {
      this.starts.push(at);
      at += char.length;
      this.ends.push(at);
    }
    this.merger.merge(this.starts.length, this, check);
    const { next } = this.merger;
    for (let i = 0; i >= 0; i = next[i]) this.emit(word.slice(this.starts[i], this.ends[i]), out);
  }

  /** A symbol that is no piece is a single character: its UTF-8 bytes. */
  private emit(symbol: string, out: IdList): void {
    const id = this.pieces.get(symbol);
    if (id !== undefined) {
      out.push(id);
      return;
    }
    for (const byte of encoder.encode(symbol)) {
      const byteId = this.bytes[byte];
      if (byteId >= 0) out.push(byteId);
      else if (this.unknownId !== undefined) out.push(this.unknownId);
    }
  }

  private addByte(text: string, id: number): void {
    const byte = byteOfToken(text);
    if (byte !== undefined) this.bytes[byte] = id;
  }
}

/** The byte that a token like "<0x0A>" stands for. */
export function byteOfToken(text: string): number | undefined {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(text);
  return match ? Number.parseInt(match[1], 16) : undefined;
}

/** Ranks of scores, 0 for the highest; equal scores share a rank. */
function denseRanks(scores: ArrayLike<number>, count: number): Int32Array {
  const order = Float64Array.from({ length: count }, (_, id) => scores[id]).sort();
  const rankOf = new Map<number, number>();
  for (let i = count - 1; i >= 0; i--) if (!rankOf.has(order[i])) rankOf.set(order[i], rankOf.size);
  return Int32Array.from({ length: count }, (_, id) => rankOf.get(scores[id]) ?? 0);
}
