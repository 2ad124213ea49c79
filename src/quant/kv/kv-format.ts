/** What a type of the cache says of itself: how keys or values of one head are stored in a page (tensor/kv.ts). */

/** Numbers that a page has for each token: keys' lie [count][16 tokens], values' [16 tokens][count]. */
export interface KvSection {
  readonly count: number;
  /** Of one number. */
  readonly bytes: number;
  /**
   * Where they lie otherwise. `columns`: [count][16 tokens] among values too. `nibbles`: words of 32 bits, [2][count]; the first
   * row has in its nibbles, low ones first, the tokens 0 to 3 and 8 to 11, the second 4 to 7 and 12 to 15.
   */
  readonly order?: "columns" | "nibbles";
}

export type KvPart = "keys" | "values";

export interface KvFormat {
  /** What follows one another in a page of keys or values of one head with so many dims. */
  sections(width: number, part: KvPart): readonly KvSection[];
  /** One head's vector of one token as the type keeps it: the definition, which backends follow up to f32's rounding. */
  round(vector: Float32Array, part: KvPart): Float32Array;
  /**
   * Whether a page of so many dims that comes from outside can be read as what it says. Kernels widen halves by moving bits and
   * would take infinities and NaN for large numbers; in other types those stay what they are.
   */
  readable(page: Uint8Array, width: number, part: KvPart): boolean;
}
