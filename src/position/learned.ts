/**
 * Learned position embeddings (1706.03762, GPT-2): row t of a table is added to the embedding of the token at position t.
 * There are no positions beyond the table, and none can be moved: distance cannot be counted in the cache.
 */
export interface LearnedSpec {
  readonly kind: "learned";
  /** Rows of the table. */
  readonly positions: number;
}

/** The table's rows for `count` tokens from position `start` on. */
export function learnedRows(start: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, row) => start + row);
}
