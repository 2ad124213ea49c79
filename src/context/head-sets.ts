/**
 * Head sets: which KV heads of a layer share what they see of a text, and what is kept for it. Policies of inference and
 * patterns of training give them; heads of a set need not be neighbours.
 */
import { InternalError } from "../util/errors.js";
import type { Range } from "../util/ranges.js";
import type { PageReading } from "./page-reading.js";

/** What a query sees. */
export interface Visibility {
  /** Positions that the query at position t may see, itself included, as ascending ranges apart, ending at t + 1. */
  visible(t: number): Range[];
}

/** What some heads see and keep of a text: pure index arithmetic, no tensors. */
export interface Retention extends Visibility {
  /**
   * Positions that the query at position t or a later one may see, where that is more than `visible(t)`. Without it, what
   * is invisible at t is invisible to all later queries. What is in neither is freed.
   */
  retained?(t: number): Range[];
  /**
   * How distance is counted between a query and the keys of earlier ranges: as in the text, or as if what was evicted
   * between them had never been there (StreamingLLM).
   */
  readonly distance: "text" | "cache";
  /** First tokens that are never evicted. */
  readonly sinks: number;
  /** Most tokens that are held between steps; undefined = all that are seen, so a length limit applies. */
  readonly budget: number | undefined;
  /** What is kept, for a person, where `sinks` and `budget` do not say it. */
  readonly summary?: string;
  /** Fewest newest tokens that are visible once something was evicted; absent where that is not said. */
  readonly leastRecent?: number;
  /**
   * What is kept is what this one keeps; absent: what this one itself sees. Retentions that see different parts of the same
   * tokens share page tables and pages by it. Distances count alike in both.
   */
  readonly keeps?: Retention;
  /** Queries at positions of the same block of so many see the same, each up to itself; absent: that is not said. */
  readonly alike?: number;
}

/** Whose tokens are held for the retention: those with the same share page tables. */
export function keeperOf(retention: Retention): Retention {
  return retention.keeps ?? retention;
}

export interface HeadSet<V extends Visibility = Retention> {
  /** KV heads, ascending. */
  readonly heads: readonly number[];
  /** Sets with the same object see the same tokens, whatever their layers; `keeperOf` says which share page tables. */
  readonly retention: V;
  /** How much of what they keep single rows read that the model wrote; absent: all. */
  readonly read?: PageReading | undefined;
}

export interface HeadSets<V extends Visibility = Retention> {
  /** Every one of a layer's KV heads is in one set. */
  headSets(layer: number, kvHeads: number): readonly HeadSet<V>[];
}

/** All heads of every layer alike. */
export function oneHeadSet<V extends Visibility>(retention: V): HeadSets<V> {
  return { headSets: (_, kvHeads) => [{ heads: headsBetween(0, kvHeads), retention }] };
}

/** [first, end) */
export function headsBetween(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

/** The sets of a layer. @throws InternalError where a head is in no set or in two, which would be a bug of the policy */
export function setsOfLayer<V extends Visibility>(
  sets: HeadSets<V>,
  layer: number,
  kvHeads: number,
): readonly HeadSet<V>[] {
  const found = sets.headSets(layer, kvHeads).filter(({ heads }) => heads.length > 0);
  const all = found.flatMap(({ heads }) => heads).sort((a, b) => a - b);
  const ascending = found.every(({ heads }) => heads.every((head, i) => i === 0 || head > heads[i - 1]));
  if (ascending && all.length === kvHeads && all.every((head, i) => head === i)) return found;
  throw new InternalError(`Head sets of layer ${layer} have the heads ${all}; each of ${kvHeads} must be in one.`);
}

/** Neighbouring heads [head, head + heads). */
export interface HeadRun {
  readonly head: number;
  readonly heads: number;
}

/** The heads as runs of neighbours. */
export function headRuns(heads: readonly number[]): HeadRun[] {
  const runs: { head: number; heads: number }[] = [];
  for (const head of heads) {
    const last = runs.at(-1);
    if (last && last.head + last.heads === head) last.heads++;
    else runs.push({ head, heads: 1 });
  }
  return runs;
}
