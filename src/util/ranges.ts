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

/** The last `count` tokens of the ranges. */
export function newest(ranges: readonly Range[], count: number): Range[] {
  let surplus = totalLength(ranges) - count;
  const kept: Range[] = [];
  for (const { start, end } of ranges) {
    const dropped = Math.min(Math.max(0, surplus), end - start);
    surplus -= dropped;
    if (start + dropped < end) kept.push({ start: start + dropped, end });
  }
  return kept;
}
