/**
 * ALiBi (2108.12409): a head adds -slope * distance to its scores. Slopes for a power of two of heads are the powers of
 * 2^(-most/heads); for other numbers of heads, those of the next lower power of two, then every other one of the next
 * higher.
 */
export interface AlibiSpec {
  /** By head. */
  readonly slopes: Float32Array;
}

/** `most` is the largest exponent: 8 in the paper. */
export function alibi(heads: number, most = 8): AlibiSpec {
  const lower = 2 ** Math.floor(Math.log2(heads));
  const slope = (index: number, of: number) => 2 ** ((-most * (index + 1)) / of);
  return {
    slopes: Float32Array.from({ length: heads }, (_, head) =>
      head < lower ? slope(head, lower) : slope(2 * (head - lower), 2 * lower),
    ),
  };
}
