/** Half-open ranges [start, end) of token positions, in ascending order and apart. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Tokens in all ranges together. */
export function totalLength(ranges: readonly Range[]): number {
  let total = 0;
  for (const { start, end } of ranges) total += end - start;
  return total;
}

/** The parts of the ranges at or after `from`; empty ones are dropped. */
export function clipBelow(ranges: readonly Range[], from: number): Range[] {
  return ranges.filter(({ end }) => end > from).map(({ start, end }) => ({ start: Math.max(start, from), end }));
}

/** Whether any range shares a position with [start, end). */
export function overlaps(ranges: readonly Range[], start: number, end: number): boolean {
  return ranges.some((range) => range.start < end && start < range.end);
}
