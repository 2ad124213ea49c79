/**
 * SentencePiece Unigram (Kudo 2018, https://arxiv.org/abs/1804.10959), as T5 has it: of all ways to cover a text by pieces
 * the one with the largest sum of scores (Viterbi). A character in no piece costs ten more than the worst piece;
 * neighbours of that kind are one unknown token, or byte tokens where the vocabulary has them.
 */
import type { IdList } from "./id-list.js";
import { noTokenFor } from "./no-token.js";
import { byteOfToken } from "./score-merge-model.js";
import type { WordEncoder } from "./text-model.js";
import { isSteering, TokenKind, type Vocabulary } from "./vocabulary.js";

/** What an unknown character costs beyond the worst piece. */
const UNKNOWN_PENALTY = 10;

export interface UnigramOptions {
  readonly vocabulary: Vocabulary;
  /** Log-probability by id. */
  readonly scores: ArrayLike<number>;
  readonly unknownId: number | undefined;
  /** Unknown characters become byte tokens. */
  readonly byteFallback: boolean;
}

/** Characters between two looks at the caller. */
const ASK_AFTER = 4096;

const encoder = new TextEncoder();

export class Unigram implements WordEncoder {
  private readonly pieces = new Map<string, number>();
  private readonly scores: ArrayLike<number>;
  private readonly bytes = new Map<number, number>();
  private readonly unknownId: number | undefined;
  /** UTF-16 units of the longest piece. */
  private longest = 1;
  private readonly unknownScore: number;

  constructor({ vocabulary, scores, unknownId, byteFallback }: UnigramOptions) {
    let worst = 0;
    vocabulary.texts.forEach((text, id) => {
      // Added tokens have no score: they are found before.
      if (text === undefined || isSteering(vocabulary.kinds[id]) || id >= scores.length) return;
      const byte = vocabulary.kinds[id] === TokenKind.byte ? byteOfToken(text) : undefined;
      if (byte !== undefined) {
        if (byteFallback) this.bytes.set(byte, id);
        return;
      }
      if (!this.pieces.has(text)) this.pieces.set(text, id);
      this.longest = Math.max(this.longest, text.length);
      worst = Math.min(worst, scores[id]);
    });
    this.scores = scores;
    this.unknownId = unknownId;
    this.unknownScore = worst - UNKNOWN_PENALTY;
  }

  /** @throws FormatError for an unknown character where there is no unknown token */
  encodeWord(word: string, out: IdList, check?: () => void): void {
    const { ids, starts } = this.bestPath(word, check);
    const path: { readonly id: number; readonly start: number; readonly end: number }[] = [];
    for (let end = word.length; end > 0; end = starts[end]) path.push({ id: ids[end], start: starts[end], end });
    path.reverse();
    path.forEach(({ id, start, end }, i) => {
      if (id >= 0) out.push(id);
      else this.unknown(word.slice(start, end), path.at(i - 1)?.id === -1 && i > 0, out);
    });
  }

  /** By end of the piece: its id (-1: an unknown character) and where it starts. */
  private bestPath(word: string, check?: () => void): { readonly ids: Int32Array; readonly starts: Int32Array } {
    const best = new Float64Array(word.length + 1).fill(Number.NEGATIVE_INFINITY);
    const ids = new Int32Array(word.length + 1);
    const starts = new Int32Array(word.length + 1);
    best[0] = 0;
    const offer = (start: number, end: number, id: number, score: number) => {
      if (best[start] + score <= best[end]) return;
      best[end] = best[start] + score;
      ids[end] = id;
      starts[end] = start;
    };
    for (let start = 0; start < word.length; ) {
      if (start % ASK_AFTER === 0) check?.();
      const step = characterLength(word, start);
      const most = Math.min(word.length, start + this.longest);
      let single = false;
      for (let end = start + step; end <= most; end += characterLength(word, end)) {
        const id = this.pieces.get(word.slice(start, end));
        if (id === undefined) continue;
        single ||= end === start + step;
        offer(start, end, id, this.scores[id]);
      }
      if (!single) offer(start, start + step, -1, this.unknownScore);
      start += step;
    }
    return { ids, starts };
  }

  private unknown(character: string, follows: boolean, out: IdList): void {
    const bytes = [...encoder.encode(character)].map((byte) => this.bytes.get(byte));
    const known = bytes.filter((id) => id !== undefined);
    if (known.length === bytes.length) out.pushAll(known);
    else if (this.unknownId === undefined) throw noTokenFor(character);
    else if (!follows) out.push(this.unknownId);
  }
}

/** UTF-16 units of the character at `at`; at the end 1, so that a loop over ends ends. */
function characterLength(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}
