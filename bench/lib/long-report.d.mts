/** Types of long-report.mjs, for its tests. */
import type { Facts, Judged } from "./goals.mjs";
export interface Measured {
  readonly name: string;
  readonly length: number;
  readonly rates?: readonly number[] | undefined;
  readonly cacheBytes?: number;
  readonly read?: number;
  readonly refused?: string;
}
export const LONG_MARKS: { readonly begin: string; readonly end: string };
export const LONG_ROWS: readonly { readonly name: string; readonly kv: string; readonly context?: string }[];
export function judgeLong(rows: readonly Measured[], facts: Facts): Omit<Judged, "disturbed">[];
export function longEvidence(
  rows: readonly Measured[],
  goals: readonly Omit<Judged, "disturbed">[],
  about: {
    readonly kind: string;
    readonly node: string;
    readonly threads: number;
    readonly date: string;
    readonly disturbed: boolean;
  },
): string;
