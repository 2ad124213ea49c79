/**
 * Relative positions in buckets (T5, 1910.10683): near distances have a bucket each, farther ones share buckets whose
 * widths grow logarithmically up to the largest distance, beyond which all share the last.
 */
export interface RelativeSpec {
  readonly buckets: number;
  /** Distances from here on share the last bucket. */
  readonly maximum: number;
  /** Half of the buckets are for keys after the query (encoders); otherwise those count as distance 0. */
  readonly bidirectional: boolean;
}

/** A distance on the border of two buckets is in the upper one, however the logarithms were rounded. */
const ROUNDING = 1e-9;

/** The bucket of a distance query - key. */
export function relativeBucket({ buckets, maximum, bidirectional }: RelativeSpec, distance: number): number {
  const count = bidirectional ? buckets / 2 : buckets;
  const start = bidirectional && distance < 0 ? count : 0;
  const far = bidirectional ? Math.abs(distance) : Math.max(0, distance);
  const exact = Math.floor(count / 2);
  if (far < exact) return start + far;
  const share = Math.log(far / exact) / Math.log(maximum / exact);
  return start + Math.min(count - 1, exact + Math.floor(share * (count - exact) + ROUNDING));
}

/** Buckets of the distances -maximum .. maximum, i32 [2 maximum + 1]; farther ones are in those of the ends. */
export function relativeBuckets(spec: RelativeSpec): Int32Array {
  const { maximum } = spec;
  return Int32Array.from({ length: 2 * maximum + 1 }, (_, index) => relativeBucket(spec, index - maximum));
}
