/** What a type of the cache says of itself: how keys or values of one head are stored in a page (tensor/kv.ts). */

/** Numbers that a page has for each token: keys' lie [count][16 tokens], values' [16 tokens][count]. */
export interface KvSection {
  readonly count: number;
  /** Of one number. */
  readonly bytes: number;
}

export interface KvFormat {
  /** What follows one another in a page of keys or values of one head with so many dims. */
  sections(width: number): readonly KvSection[];
  /** One head's vector of one token as the type keeps it: the definition, which backends follow up to f32's rounding. */
  round(vector: Float32Array): Float32Array;
  /**
   * Whether a page that comes from outside can be read as what it says. Kernels widen halves by moving bits and would take
   * infinities and NaN for large numbers; in other types those stay what they are.
   */
  readable(page: Uint8Array): boolean;
}
