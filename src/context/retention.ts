/**
 * A retention group: the layers and KV heads that keep the same tokens in the same layout and place. It owns one page
 * store and one page table, and turns a policy's ranges of text positions into slots of that table.
 */

import type { Backend } from "../tensor/backend.js";
import { type KvLayout, type KvStore, PAGE_TOKENS, type PageTable } from "../tensor/kv.js";
import { InternalError } from "../util/errors.js";
import { clipBelow, newest, overlaps, type Range, totalLength } from "../util/ranges.js";
import type { ContextPolicy } from "./policy.js";

/** Text pages [first, first + count). */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

export class RetentionGroup {
  readonly store: KvStore;
  readonly table: PageTable;
  /** Text page (position / P) of each table entry, ascending. */
  private readonly textPages: number[] = [];
  /** The text page that is added next: the page of the next token is never evicted, so it is the one after the last. */
  private nextPage = 0;

  constructor(
    backend: Backend,
    readonly layout: KvLayout,
    private readonly policy: ContextPolicy,
    /** The model's own window of these layers. */
    readonly window: number | undefined,
    /** One of the layers, all of which lie in one place. */
    readonly layer: number,
  ) {
    this.store = backend.kvStore(layout, layer);
    this.table = this.store.table();
  }

  /**
   * Ranges that the query at position t sees here: the policy's, cut by the model's own window, which counts as the policy
   * does: in the text, or in the places of the cache.
   */
  visible(t: number): Range[] {
    const ranges = this.policy.visible(t);
    if (this.window === undefined) return ranges;
    return this.policy.distance === "text" ? clipBelow(ranges, t + 1 - this.window) : newest(ranges, this.window);
  }

  /**
   * What the query at position t and later ones may see. When many tokens go at once the cache gets shorter, so that sinks
   * come back into a window that counts places of the cache, unless it is never longer than the newest tokens.
   */
  private retained(t: number): Range[] {
    const { distance, sinks, leastRecent = 0 } = this.policy;
    const sinksReturn = distance === "cache" && sinks > 0 && (this.window ?? 0) > leastRecent;
    return sinksReturn ? this.policy.visible(t) : this.visible(t);
  }

  /** Tokens of a text of `seen` tokens that are held and visible. */
  kept(seen: number): number {
    return seen === 0 ? 0 : totalLength(this.visible(seen - 1));
  }

  /** The text pages that are held, in the order of the table. */
  get held(): PageRun[] {
    const runs: { first: number; count: number }[] = [];
    for (const page of this.textPages) {
      const last = runs.at(-1);
      if (last && last.first + last.count === page) last.count++;
      else runs.push({ first: page, count: 1 });
    }
    return runs;
  }

  /** What of `held` the token after `seen` and later ones cannot do without. */
  needed(seen: number): PageRun[] {
    const end = Math.ceil(seen / PAGE_TOKENS);
    return this.retained(seen).flatMap((range) => {
      const first = Math.floor(range.start / PAGE_TOKENS);
      const count = Math.min(end, Math.ceil(range.end / PAGE_TOKENS)) - first;
      return count > 0 ? [{ first, count }] : [];
    });
  }

  /** Takes pages for these runs of a text of `seen` tokens, in place of what was held. @throws MemoryError */
  hold(runs: readonly PageRun[], seen: number): void {
    this.truncate(0);
    this.store.reserve(runs.reduce((sum, { count }) => sum + count, 0));
    for (const { first, count } of runs) {
      for (let page = first; page < first + count; page++) {
        this.textPages.push(page);
        this.table.push(this.store.alloc());
      }
    }
    this.nextPage = Math.ceil(seen / PAGE_TOKENS);
  }

  /** Pages that must be added for positions up to `end`. */
  missingPages(end: number): number {
    return Math.max(0, Math.ceil(end / PAGE_TOKENS) - this.nextPage);
  }

  /** Adds pages for positions up to `end`; `store.reserve` has made sure that they are there. */
  extend(end: number): void {
    for (let added = this.missingPages(end); added > 0; added--) {
      this.textPages.push(this.nextPage++);
      this.table.push(this.store.alloc());
    }
  }

  /** Frees all pages that the query at position `next` and later ones cannot see. */
  evict(next: number): void {
    const visible = this.retained(next);
    if (pagesSpanned(visible, next) >= this.textPages.length) return;
    const dead = (index: number) => {
      const start = this.textPages[index] * PAGE_TOKENS;
      return !overlaps(visible, start, start + PAGE_TOKENS);
    };
    // From the end, so that whole runs go at once and earlier indices stay true.
    for (let end = this.textPages.length; end > 0; end--) {
      if (!dead(end - 1)) continue;
      let start = end - 1;
      while (start > 0 && dead(start - 1)) start--;
      this.drop(start, end - start);
      end = start + 1;
    }
  }

  /** Drops the pages that lie wholly at or after position `seen`: those of a step that failed. */
  truncate(seen: number): void {
    const keep = Math.ceil(seen / PAGE_TOKENS);
    let start = this.textPages.length;
    while (start > 0 && this.textPages[start - 1] >= keep) start--;
    this.drop(start, this.textPages.length - start);
    this.nextPage = keep;
  }

  private drop(start: number, count: number): void {
    if (count === 0) return;
    for (let index = start; index < start + count; index++) this.store.free(this.table.page(index));
    this.table.remove(start, count);
    this.textPages.splice(start, count);
  }

  /** The slot of a text position whose page is held. */
  slotOf(position: number): number {
    const page = Math.floor(position / PAGE_TOKENS);
    let low = 0;
    let high = this.textPages.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.textPages[middle] < page) low = middle + 1;
      else high = middle;
    }
    if (this.textPages[low] !== page) throw new InternalError(`Position ${position} is not held.`);
    return low * PAGE_TOKENS + (position % PAGE_TOKENS);
  }

  /** The position of the token in a slot. */
  positionOf(slot: number): number {
    return this.textPages[Math.floor(slot / PAGE_TOKENS)] * PAGE_TOKENS + (slot % PAGE_TOKENS);
  }

  dispose(): void {
    this.table.dispose();
    this.store.dispose();
  }
}

/** Pages that the ranges touch below `end`; a page between two ranges counts twice. */
function pagesSpanned(ranges: readonly Range[], end: number): number {
  return ranges.reduce((sum, range) => {
    const stop = Math.min(range.end, end);
    if (stop <= range.start) return sum;
    return sum + Math.ceil(stop / PAGE_TOKENS) - Math.floor(range.start / PAGE_TOKENS);
  }, 0);
}
