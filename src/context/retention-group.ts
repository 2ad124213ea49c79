/**
 * A retention group: the layers and KV heads of a sequence that keep the same tokens in the same layout and place. It has
 * one page table, and turns a retention's ranges of text positions into slots of that table.
 */
import { type KvLayout, type KvStore, PAGE_TOKENS, type Page, type PageTable } from "../tensor/kv.js";
import { InternalError } from "../util/errors.js";
import { clipBelow, newest, overlaps, type Range, totalLength } from "../util/ranges.js";
import type { Retention } from "./head-sets.js";
import { HeldPages } from "./held-pages.js";
import { PageBounds } from "./page-bounds.js";
import type { PagePools } from "./page-pools.js";
import type { PageReading } from "./page-reading.js";

/** Text pages [first, first + count). */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** What tells a group from others. */
export interface GroupKind {
  readonly layout: KvLayout;
  readonly retention: Retention;
  /** The model's own window of these layers. */
  readonly window: number | undefined;
  /** One of the layers, all of which lie in one place. */
  readonly layer: number;
  /** How some of the members choose what they read, and how many they are; undefined: all read everything. */
  readonly choice: { readonly reading: PageReading; readonly members: number } | undefined;
}

export class RetentionGroup {
  readonly store: KvStore;
  readonly retention: Retention;
  readonly window: number | undefined;
  readonly reading: PageReading | undefined;
  /** Of the members that choose what they read. */
  readonly bounds: PageBounds | undefined;
  private readonly pages: HeldPages;
  /** Text page (position / P) of each table entry, ascending. */
  private readonly textPages: number[] = [];
  /** The text page that is added next: the page of the next token is never evicted, so it is the one after the last. */
  private nextPage = 0;
  /** What the prepared step lets go: entries [start, end), pair after pair, from the last to the first. */
  private readonly dead: number[] = [];

  constructor(pools: PagePools, kind: GroupKind) {
    const { layout, layer, choice } = kind;
    this.pages = new HeldPages(pools, layout, layer);
    this.reading = choice?.reading;
    this.bounds = choice && new PageBounds(pools, { ...layout, members: choice.members }, layer);
    this.store = this.pages.store;
    this.retention = kind.retention;
    this.window = kind.window;
  }

  get table(): PageTable {
    return this.pages.table;
  }

  get bytes(): number {
    return this.pages.bytes + (this.bounds?.bytes ?? 0);
  }

  /** Ranges that the query at position t sees here, but for heads that see less than what is kept. */
  visible(t: number): Range[] {
    return this.cut(this.retention.visible(t), t);
  }

  /**
   * What the model's own window leaves of a retention's ranges at position t. It counts as the retention does: in the text, or
   * in the places of the cache.
   */
  cut(ranges: Range[], t: number): Range[] {
    if (this.window === undefined) return ranges;
    return this.retention.distance === "text" ? clipBelow(ranges, t + 1 - this.window) : newest(ranges, this.window);
  }

  /**
   * What the query at position t and later ones may see: mostly what t sees. But take a retention of 4 sinks and 100
   * recent tokens that evicts 50 at a time, in layers whose own window is the newest 80 places of the cache. Just before
   * an eviction the newest 80 are all recent tokens, and no sink is seen; just after it the cache has 55 tokens, the window
   * has room for all, and the sinks are seen again. So sinks are kept while the window may come to be longer than what an
   * eviction leaves of the recent tokens.
   */
  private retained(t: number): Range[] {
    const { retention } = this;
    const { distance, sinks, leastRecent = 0 } = retention;
    if (retention.retained) {
      const ranges = retention.retained(t);
      return distance === "text" ? this.cut(ranges, t) : ranges;
    }
    const sinksReturn = distance === "cache" && sinks > 0 && (this.window ?? 0) > leastRecent;
    return sinksReturn ? retention.visible(t) : this.visible(t);
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

  /**
   * Holds these runs of a text of `seen` tokens, in place of what was held: pages of zeros, or those that `existing` gives
   * for a text page, already retained for it. @throws MemoryError; then part of it is held
   */
  hold(runs: readonly PageRun[], seen: number, existing?: (page: number) => Page): void {
    this.truncate(0);
    const count = runs.reduce((sum, run) => sum + run.count, 0);
    this.pages.prepare(count, existing ? count : 0);
    for (const run of runs) {
      for (let page = run.first; page < run.first + run.count; page++) {
        if (existing) this.pages.adopt(existing(page));
        else this.pages.add();
        this.textPages.push(page);
      }
    }
    this.nextPage = Math.ceil(seen / PAGE_TOKENS);
    if (!existing) this.bounds?.hold(this.textPages);
  }

  /**
   * Holds what another group of the same kind holds of its text of `seen` tokens: whole pages by reference, and a copy of
   * the one that the next token goes to. @throws MemoryError; then part of it is held
   */
  fork(other: RetentionGroup, seen: number): void {
    const open = seen % PAGE_TOKENS === 0 ? -1 : Math.floor(seen / PAGE_TOKENS);
    let index = 0;
    this.hold(other.held, seen, (textPage) => {
      const page = other.table.page(index++);
      if (textPage === open) return this.store.copy(page);
      this.store.retain(page);
      return page;
    });
    if (other.bounds) this.bounds?.fork(other.bounds, Math.floor(seen / PAGE_TOKENS));
  }

  /**
   * Makes sure of pages for positions up to `end` once those are given back that the query at `next` and later ones cannot
   * see. @throws MemoryError; `cancel` then undoes it
   */
  prepare(next: number, end: number): void {
    const freed = this.findDead(next);
    const missing = this.missingPages(end);
    this.pages.prepare(missing, freed);
    this.bounds?.prepare(this.nextPage, this.nextPage + missing, this.dead.length > 0 ? this.surviving() : undefined);
  }

  /** Undoes `prepare`. */
  cancel(): void {
    this.dead.length = 0;
    this.pages.cancel();
    this.bounds?.cancel();
  }

  /** Gives back and adds what was prepared. Cannot fail. */
  advance(end: number): void {
    for (let i = 0; i < this.dead.length; i += 2) this.drop(this.dead[i], this.dead[i + 1] - this.dead[i]);
    this.dead.length = 0;
    for (let added = this.missingPages(end); added > 0; added--) {
      this.pages.add();
      this.textPages.push(this.nextPage++);
    }
    this.bounds?.advance();
  }

  /** The text pages that stay once what is dead was dropped. */
  private surviving(): number[] {
    const { dead } = this;
    const drops = (entry: number) => dead.some((start, i) => i % 2 === 0 && start <= entry && entry < dead[i + 1]);
    return this.textPages.filter((_, entry) => !drops(entry));
  }

  private missingPages(end: number): number {
    return Math.max(0, Math.ceil(end / PAGE_TOKENS) - this.nextPage);
  }

  /** Lists the entries that the query at position `next` and later ones cannot see; returns how many pages that frees. */
  private findDead(next: number): number {
    this.dead.length = 0;
    const visible = this.retained(next);
    if (pagesSpanned(visible, next) >= this.textPages.length) return 0;
    const isDead = (index: number) => {
      const start = this.textPages[index] * PAGE_TOKENS;
      return !overlaps(visible, start, start + PAGE_TOKENS);
    };
    let freed = 0;
    // From the end, so that whole runs go at once and earlier indices stay true.
    for (let end = this.textPages.length; end > 0; end--) {
      if (!isDead(end - 1)) continue;
      let start = end;
      while (start > 0 && isDead(start - 1)) if (!this.pages.isShared(--start)) freed++;
      this.dead.push(start, end);
      end = start + 1;
    }
    return freed;
  }

  /** Whether a step that begins at `next` gives pages back. */
  frees(next: number): boolean {
    this.findDead(next);
    const frees = this.dead.length > 0;
    this.dead.length = 0;
    return frees;
  }

  /** Drops the pages that lie wholly at or after position `seen`: those of a step that failed. */
  truncate(seen: number): void {
    const keep = Math.ceil(seen / PAGE_TOKENS);
    let start = this.textPages.length;
    while (start > 0 && this.textPages[start - 1] >= keep) start--;
    this.drop(start, this.textPages.length - start);
    this.nextPage = keep;
    this.bounds?.truncate(keep);
  }

  private drop(start: number, count: number): void {
    if (count === 0) return;
    this.pages.remove(start, count);
    this.textPages.splice(start, count);
  }

  /** Tokens from the first on whose pages are all held. */
  get beginning(): number {
    let pages = 0;
    while (pages < this.textPages.length && this.textPages[pages] === pages) pages++;
    return pages * PAGE_TOKENS;
  }

  /** The slot of a text position whose page is held. */
  slotOf(position: number): number {
    const page = Math.floor(position / PAGE_TOKENS);
    // Where nothing was freed.
    if (this.textPages[page] === page) return position;
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

  /** Where the bounds of the page of a text position are; its page is held, and so are bounds. */
  boundsPlace(position: number): number {
    if (!this.bounds) throw new InternalError("The pages of these heads have no bounds.");
    return this.bounds.placeOf(Math.floor(position / PAGE_TOKENS));
  }

  /** The position of the token in a slot. */
  positionOf(slot: number): number {
    return this.textPages[Math.floor(slot / PAGE_TOKENS)] * PAGE_TOKENS + (slot % PAGE_TOKENS);
  }

  dispose(): void {
    this.pages.dispose();
    this.bounds?.dispose();
    this.textPages.length = 0;
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
