/**
 * The k largest of V numbers without sorting V: a heap of k entries with the weakest on top, O(V + k log V) as most
 * numbers are refused by one comparison. Order: larger number first, then lower id. Its arrays are reused.
 */
export class TopIds {
  /** Ids, strongest first, valid in [0, count) after `select`. */
  ids = new Int32Array(0);
  count = 0;
  private values: Float32Array = new Float32Array(0);

  /** Finds the `k` largest of `values` (all of them when k >= V). No NaN among them. */
  select(values: Float32Array, k: number): void {
    const count = Math.min(k, values.length);
    if (this.ids.length < count) this.ids = new Int32Array(count);
    this.count = count;
    this.values = values;
    if (count === 0) return;
    const { ids } = this;
    for (let i = 0; i < count; i++) ids[i] = i;
    for (let i = (count >> 1) - 1; i >= 0; i--) this.sink(i, count);
    // Ids only grow from here on, so an equal number never replaces one that is held.
    let id = nextAbove(values, count, values[ids[0]]);
    while (id < values.length) {
      ids[0] = id;
      this.sink(0, count);
      id = nextAbove(values, id + 1, values[ids[0]]);
    }
    this.sort();
  }

  /** Heap sort: the weakest goes to the end, again and again. */
  private sort(): void {
    const { ids } = this;
    for (let end = this.count - 1; end > 0; end--) {
      const weakest = ids[0];
      ids[0] = ids[end];
      ids[end] = weakest;
      this.sink(0, end);
    }
  }

  private weaker(a: number, b: number): boolean {
    const x = this.values[a];
    const y = this.values[b];
    return x < y || (x === y && a > b);
  }

  private sink(start: number, end: number): void {
    const { ids } = this;
    const id = ids[start];
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= end) break;
      if (child + 1 < end && this.weaker(ids[child + 1], ids[child])) child++;
      if (!this.weaker(ids[child], id)) break;
      ids[at] = ids[child];
      at = child;
    }
    ids[at] = id;
  }
}

/** The first id from `start` on whose number is above `bound`; V when there is none. The loop that costs: kept bare. */
function nextAbove(values: Float32Array, start: number, bound: number): number {
  let id = start;
  while (id < values.length && values[id] <= bound) id++;
  return id;
}
