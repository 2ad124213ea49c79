/**
 * The bounds of the keys of a retention group's pages (`KvBounds`), in blocks of 16 text pages: block b has those of the text
 * pages [16b, 16b + 16). A block is held while any of its pages is. Bounds are derived from stored keys, so what a failed
 * step has left in them is made anew with the next token of the page.
 */
import { boundsLayout, type KvLayout, PAGE_TOKENS } from "../tensor/kv.js";
import { InternalError } from "../util/errors.js";
import { HeldPages } from "./held-pages.js";
import type { PagePools } from "./page-pools.js";

/** Text pages of a block: as many as a page has tokens. */
const BLOCK_PAGES = PAGE_TOKENS;

export class PageBounds {
  private readonly blocks: HeldPages;
  /** Number of each block that is held, ascending. */
  private readonly numbers: number[] = [];
  /** What the prepared step lets go: entries, ascending; and the blocks that it adds, [first, end). */
  private dead: number[] = [];
  private added = { first: 0, end: 0 };

  /** @param layout of the keys that are bounded */
  constructor(pools: PagePools, layout: KvLayout, layer: number) {
    this.blocks = new HeldPages(pools, boundsLayout(layout), layer);
  }

  get store() {
    return this.blocks.store;
  }
  get table() {
    return this.blocks.table;
  }
  get bytes(): number {
    return this.blocks.bytes;
  }

  /** The bounds place of a text page that is held. */
  placeOf(textPage: number): number {
    const block = Math.floor(textPage / BLOCK_PAGES);
    let [low, high] = [0, this.numbers.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.numbers[middle] < block) low = middle + 1;
      else high = middle;
    }
    if (this.numbers[low] !== block) throw new InternalError(`The bounds of text page ${textPage} are not held.`);
    return low * BLOCK_PAGES + (textPage % BLOCK_PAGES);
  }

  /**
   * Makes sure of blocks for the text pages [first, end).
   * @param kept text pages that stay; undefined: all do
   * @throws MemoryError; `cancel` then undoes it
   */
  prepare(first: number, end: number, kept?: readonly number[]): void {
    if (first === end && !kept) return;
    this.dead = kept ? this.withoutPages(kept) : [];
    const dead = new Set(this.dead);
    const last = this.numbers.findLast((_, entry) => !dead.has(entry)) ?? -1;
    const from = Math.max(Math.floor(first / BLOCK_PAGES), last + 1);
    this.added = { first: from, end: end > first ? Math.ceil(end / BLOCK_PAGES) : from };
    const freed = this.dead.filter((entry) => !this.blocks.isShared(entry)).length;
    this.blocks.prepare(Math.max(0, this.added.end - from), freed);
  }

  private withoutPages(kept: readonly number[]): number[] {
    const alive = new Set(kept.map((page) => Math.floor(page / BLOCK_PAGES)));
    return this.numbers.flatMap((block, entry) => (alive.has(block) ? [] : [entry]));
  }

  cancel(): void {
    this.blocks.cancel();
    this.dead = [];
    this.added = { first: 0, end: 0 };
  }

  /** Gives back and adds what was prepared. Cannot fail. */
  advance(): void {
    for (const entry of this.dead.reverse()) this.drop(entry, 1);
    for (let block = this.added.first; block < this.added.end; block++) {
      this.blocks.add();
      this.numbers.push(block);
    }
    this.dead = [];
    this.added = { first: 0, end: 0 };
  }

  /** Drops the blocks of text pages from `pages` on alone. */
  truncate(pages: number): void {
    const keep = Math.ceil(pages / BLOCK_PAGES);
    let start = this.numbers.length;
    while (start > 0 && this.numbers[start - 1] >= keep) start--;
    this.drop(start, this.numbers.length - start);
  }

  private drop(start: number, count: number): void {
    if (count === 0) return;
    this.blocks.remove(start, count);
    this.numbers.splice(start, count);
  }

  /** Holds blocks of zeros for these text pages, in place of what was held. @throws MemoryError; then part of them is held */
  hold(textPages: readonly number[]): void {
    this.truncate(0);
    const needed = [...new Set(textPages.map((page) => Math.floor(page / BLOCK_PAGES)))];
    this.blocks.grow(needed.length);
    this.numbers.push(...needed);
  }

  /**
   * Holds what others hold of the same text, in place of what was held: whole blocks by reference, and a copy of that which the
   * text page `next` belongs to. @throws MemoryError; then part of it is held
   */
  fork(other: PageBounds, next: number): void {
    this.truncate(0);
    const { store, blocks } = this;
    blocks.prepare(other.numbers.length, other.numbers.length);
    const open = Math.floor(next / BLOCK_PAGES);
    other.numbers.forEach((block, entry) => {
      const page = other.table.page(entry);
      if (block === open) blocks.adopt(store.copy(page));
      else {
        store.retain(page);
        blocks.adopt(page);
      }
      this.numbers.push(block);
    });
  }

  dispose(): void {
    this.blocks.dispose();
    this.numbers.length = 0;
  }
}
