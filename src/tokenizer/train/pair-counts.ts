/**
 * The state of byte-pair training: every distinct word as a row of token ids, how often each pair of neighbours occurs, and
 * which words have it, so that a merge touches only those. The most frequent pair comes from a heap whose entries are
 * corrected when they reach the top: the count of a pair of old tokens only falls.
 */
import { type Pair, PairHeap } from "./pair-heap.js";

/** Keys of pairs stay exact integers. */
const KEY_BASE = 2 ** 26;

export class PairCounts {
  private readonly pairs = new Map<number, Pair>();
  private readonly heap = new PairHeap();
  /** Token ids of all words; word w has the `#lengths[w]` from `#starts[w]` on. */
  private readonly symbols: Int32Array;
  private readonly starts: Int32Array;
  private readonly lengths: Int32Array;
  private readonly counts: Float64Array;

  /** @param words rows of ids @param counts how often each word occurs */
  constructor(words: readonly Int32Array[], counts: readonly number[]) {
    this.starts = new Int32Array(words.length);
    this.lengths = Int32Array.from(words, (word) => word.length);
    this.counts = Float64Array.from(counts);
    this.symbols = new Int32Array(words.reduce((sum, word) => sum + word.length, 0));
    let at = 0;
    words.forEach((word, w) => {
      this.starts[w] = at;
      this.symbols.set(word, at);
      at += word.length;
      for (let i = 0; i + 1 < word.length; i++) this.add(word[i], word[i + 1], w);
    });
    for (const pair of this.pairs.values()) this.heap.push(pair);
  }

  /** The most frequent pair (of equals the one with the lower ids, left first), which leaves the competition. */
  takeMostFrequent(): Pair | undefined {
    return this.heap.pop();
  }

  /** Makes `token` of the pair wherever it occurs, in each word from left to right. */
  merge(pair: Pair, token: number): void {
    const born = new Set<Pair>();
    for (const word of pair.words) this.mergeIn(word, pair, token, born);
    this.pairs.delete(key(pair.left, pair.right));
    for (const fresh of born) this.heap.push(fresh);
  }

  private mergeIn(word: number, { left, right }: Pair, token: number, born: Set<Pair>): void {
    const symbols = this.symbols;
    const start = this.starts[word];
    const end = start + this.lengths[word];
    let kept = start;
    for (let i = start; i < end; i++) {
      if (symbols[i] !== left || i + 1 >= end || symbols[i + 1] !== right) {
        symbols[kept++] = symbols[i];
        continue;
      }
      if (kept > start) {
        this.remove(symbols[kept - 1], left, word);
        born.add(this.add(symbols[kept - 1], token, word));
      }
      if (i + 2 < end) {
        this.remove(right, symbols[i + 2], word);
        born.add(this.add(token, symbols[i + 2], word));
      }
      symbols[kept++] = token;
      i++;
    }
    this.lengths[word] = kept - start;
  }

  private add(left: number, right: number, word: number): Pair {
    const id = key(left, right);
    let pair = this.pairs.get(id);
    if (!pair) {
      pair = { left, right, count: 0, words: [], lastWord: -1 };
      this.pairs.set(id, pair);
    }
    pair.count += this.counts[word];
    if (pair.lastWord !== word) pair.words.push(word);
    pair.lastWord = word;
    return pair;
  }

  private remove(left: number, right: number, word: number): void {
    const pair = this.pairs.get(key(left, right));
    if (pair) pair.count -= this.counts[word];
  }
}

function key(left: number, right: number): number {
  return left * KEY_BASE + right;
}
