/**
 * A heap of pairs by their counts at the time they were pushed. Counts may fall afterwards: an entry that reaches the top
 * with an old count goes back with the new one, so what is popped is the most frequent now.
 */
export interface Pair {
  readonly left: number;
  readonly right: number;
  /** Occurrences in all words now. */
  count: number;
  /** Words that have it, or had it once. */
  words: number[];
  /** Last word that was added, so that a word is listed once. */
  lastWord: number;
}

interface Entry {
  readonly pair: Pair;
  readonly count: number;
}

export class PairHeap {
  private readonly entries: Entry[] = [];

  push(pair: Pair): void {
    const entries = this.entries;
    const entry = { pair, count: pair.count };
    let i = entries.length;
    entries.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(entry, entries[parent])) break;
      entries[i] = entries[parent];
      i = parent;
    }
    entries[i] = entry;
  }

  /** Takes the most frequent pair off; pairs that occur no more are dropped. */
  pop(): Pair | undefined {
    for (;;) {
      const top = this.popEntry();
      if (!top || top.count === top.pair.count) return top?.pair;
      if (top.pair.count > 0) this.push(top.pair);
    }
  }

  private popEntry(): Entry | undefined {
    const entries = this.entries;
    const top = entries[0];
    const last = entries.pop();
    if (!last || entries.length === 0) return last;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && isBefore(entries[child + 1], entries[child])) child++;
      if (!isBefore(entries[child], last)) break;
      entries[i] = entries[child];
      i = child;
    }
    entries[i] = last;
    return top;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.pair.left !== b.pair.left ? a.pair.left < b.pair.left : a.pair.right < b.pair.right;
}
