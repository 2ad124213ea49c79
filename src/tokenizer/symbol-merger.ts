/**
 * The heart of byte-pair encoding: neighbouring symbols are merged, lowest rank first, at equal ranks the leftmost
 * (Sennrich et al. 2016; SentencePiece ranks by score). A heap of (rank, position) keeps it at O(n log n), so that a
 * text without spaces is no trap. Symbols are numbers of positions; what they are is the rule's business.
 */
export interface MergeRule {
  /** Rank of merging the symbol `left` with its right neighbour, 0 .. 2^20-1, lower first; -1 = never. */
  rank(left: number, right: number): number;
  /** `right` has become part of `left`, by a merge of this rank. */
  join(left: number, right: number, rank: number): void;
}

/** Symbols of which buffers are kept for the next word; longer ones are let go again. */
const KEPT_SYMBOLS = 1 << 14;
/** Pairs between two looks at the caller. */
const ASK_AFTER = 1 << 15;
/** A heap entry is rank * POSITIONS + position in one double, so ordering entries is comparing numbers. */
const POSITIONS = 2 ** 32;

export class SymbolMerger {
  /** Right neighbour of each symbol that is left; the last has -1. Symbol 0 is always the first. */
  next = new Int32Array(0);
  private prev = new Int32Array(0);
  /** Rank of each symbol's pair with its right neighbour now; heap entries that differ from it are out of date. */
  private ranks = new Int32Array(0);
  private heap = new Float64Array(0);
  private heapSize = 0;

  /** Merges `count` symbols by the rule, asking `check` now and then; what is left is the chain 0, next[0], ... */
  merge(count: number, rule: MergeRule, check?: () => void): void {
    this.reserve(count);
    const { next } = this;
    const prev = this.prev;
    const ranks = this.ranks;
    for (let i = 0; i < count; i++) {
      prev[i] = i - 1;
      next[i] = i + 1 < count ? i + 1 : -1;
      ranks[i] = -1;
    }
    for (let i = 0; i + 1 < count; i++) {
      if (i % ASK_AFTER === 0) check?.();
      this.rankPair(i, rule);
    }
    for (let merges = 1; this.heapSize > 0; merges++) {
      if (merges % ASK_AFTER === 0) check?.();
      const entry = this.pop();
      const rank = Math.floor(entry / POSITIONS);
      const left = entry - rank * POSITIONS;
      if (ranks[left] !== rank) continue;
      const right = next[left];
      rule.join(left, right, rank);
      const after = next[right];
      next[left] = after;
      ranks[right] = -1;
      if (after >= 0) prev[after] = left;
      if (prev[left] >= 0) this.rankPair(prev[left], rule);
      this.rankPair(left, rule);
    }
    if (count > KEPT_SYMBOLS) this.release();
  }

  private rankPair(left: number, rule: MergeRule): void {
    const right = this.next[left];
    const rank = right < 0 ? -1 : rule.rank(left, right);
    this.ranks[left] = rank;
    if (rank >= 0) this.push(rank * POSITIONS + left);
  }

  private push(entry: number): void {
    if (this.heapSize === this.heap.length) {
      const larger = new Float64Array(this.heap.length * 2);
      larger.set(this.heap);
      this.heap = larger;
    }
    const heap = this.heap;
    let i = this.heapSize++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent] <= entry) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = entry;
  }

  private pop(): number {
    const heap = this.heap;
    const top = heap[0];
    const size = --this.heapSize;
    const entry = heap[size];
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= entry) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = entry;
    return top;
  }

  private reserve(count: number): void {
    this.heapSize = 0;
    if (this.next.length >= count) return;
    const size = Math.max(count, Math.min(KEPT_SYMBOLS, 2 * this.next.length), 256);
    this.next = new Int32Array(size);
    this.prev = new Int32Array(size);
    this.ranks = new Int32Array(size);
    if (this.heap.length < size) this.heap = new Float64Array(size);
  }

  /** Lets the buffers of a very long word go; `next` stays readable until the next merge. */
  private release(): void {
    this.prev = new Int32Array(0);
    this.ranks = new Int32Array(0);
    this.heap = new Float64Array(0);
  }
}
