/**
 * A context policy is a function from a query's place to the ranges of tokens that it may see: pure index arithmetic, no
 * tensors. What no later query can see is freed. Policies are plain data with a short text form (policy-text.ts).
 */
import type { Range } from "../util/ranges.js";

export interface ContextPolicy {
  /** The canonical text form; parsing it gives the same policy. */
  readonly text: string;
  /** One line for a person. */
  readonly summary: string;
  /**
   * Most tokens that are held between steps; undefined = all that are seen, so a length limit applies.
   * For `recompute` it is the window that each step reads again.
   */
  readonly budget: number | undefined;
  /** First tokens that are never evicted. */
  readonly sinks: number;
  /** Fewest newest tokens that are visible once something was evicted; absent where that is not said. */
  readonly leastRecent?: number;
  /**
   * How distance is counted between a query and the keys of earlier ranges: as in the text, or as if what was evicted
   * between them had never been there (StreamingLLM).
   */
  readonly distance: "text" | "cache";
  /** Read the last `budget` tokens from scratch for every token, instead of keeping a cache. */
  readonly recompute: boolean;
  /**
   * A prompt that does not fit by itself is an error, and where no token may be freed, writing ends at the limit like at
   * `maxTokens`. Absent: a prompt may push out its own beginning, or, where nothing is freed, the limit is an error.
   */
  readonly wholePrompts?: true;
  /**
   * Positions that the query at position t may see, itself included, as ascending ranges ending at t + 1. What is seen
   * never comes back: a position invisible at t is invisible to all later queries.
   */
  visible(t: number): Range[];
}

/** An entry of the registry: which items a policy's text has, and how it is made of them. */
export interface PolicyDefinition {
  /** Names of the items that must be there, each once: `full`, or `sinks` and `recent`. */
  readonly items: readonly PolicyItem[];
  readonly options: readonly string[];
  readonly help: string;
  create(values: Readonly<Record<string, number>>, options: PolicyOptions): ContextPolicy;
}

export interface PolicyItem {
  readonly name: string;
  /** Smallest number after the colon; undefined: the item takes none. */
  readonly least: number | undefined;
  /** The number may be left out, and is 0 then. */
  readonly optional?: true;
}

export interface PolicyOptions {
  /** `evict=N`: tokens are freed N at a time. */
  readonly evict: number;
  /** `distance=text|cache`. */
  readonly distance: "text" | "cache" | undefined;
}
