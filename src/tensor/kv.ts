/**
 * Storage of keys and values: pages of P tokens, made by a backend, arranged by `context/`.
 *
 * A page group is the unit of allocation: for every *member* (one KV head of one layer) it holds the keys
 * transposed, [D][P] (lanes are tokens), then the values, [P][Dv]. Members with the same retention share a group, so one
 * page table serves all of them and a decision is taken once per step, not once per layer and head.
 */
import type { KvType } from "./dtype.js";

/** P: tokens in a page. Page k of a text holds positions [16k, 16k+16). */
export const PAGE_TOKENS = 16;

export interface KvLayout {
  /** (layer, KV head) pairs that live in one page group. */
  readonly members: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly keyType: KvType;
  readonly valueType: KvType;
}

/** An opaque page of a KvStore. */
export type Page = number;

/**
 * The pages of one layout in the backend's memory, for any number of sequences. A page has one holder or several, which
 * then only read it. Grows in slabs; nothing is ever moved.
 */
export interface KvStore {
  readonly layout: KvLayout;
  /** Bytes of one page group (all members). */
  readonly pageBytes: number;
  /** Bytes of pages that are held now, and of slabs taken from the backend. */
  readonly usedBytes: number;
  readonly reservedBytes: number;
  /** Makes sure that the next `count` allocs will succeed, or throws MemoryError and changes nothing. */
  reserve(count: number): void;
  /** A page of zeros with one holder. @throws MemoryError; then nothing has changed */
  alloc(): Page;
  /** One holder more. */
  retain(page: Page): void;
  /** One holder less; without any the page is free. */
  release(page: Page): void;
  /** Whether it has several holders. */
  isShared(page: Page): boolean;
  /** A page of its own with the same bytes, once all dispatched work is done. @throws MemoryError */
  copy(page: Page): Page;
  /** The pages' bytes one after the other, `pageBytes` each, in the backend's own layout, once all dispatched work is done. */
  readPages(pages: readonly Page[]): Promise<Uint8Array>;
  /** In the bytes of one page that `readPages` gave: zeroes the places from `from` on, which hold no token of the text. */
  blank(page: Uint8Array, from: number): void;
  /** Replaces the page by what `readPages` gave. No step may be running. @throws SnapshotError for halves that are not finite */
  writePage(page: Page, bytes: Uint8Array): void;
  /** An empty page table. */
  table(): PageTable;
  /** Gives slabs back of which no page is held. */
  trim(): void;
  /** Gives all slabs and tables back. */
  dispose(): void;
}

/**
 * The list of live pages of one sequence, in text order. The host's list is the true one; the backend's copy follows when
 * an operation reads it. A *slot* is a token's place in the table: entry index * P + place in the page. Contiguous text
 * within live pages has contiguous slots.
 */
export interface PageTable {
  readonly length: number;
  /** @throws InternalError where there is no such entry */
  page(index: number): Page;
  /** Makes sure that the table can have `length` entries, or throws MemoryError and changes nothing. */
  reserve(length: number): void;
  /** Does not retain the page. @throws MemoryError; never within what was reserved */
  push(page: Page): void;
  /** Removes entries [start, start + count); later entries move down. Does not release the pages. */
  remove(start: number, count: number): void;
  dispose(): void;
}

/** The pages of one table, and the store that they are of. */
export interface PagesInUse {
  readonly store: KvStore;
  readonly table: PageTable;
}

/** KV heads of one layer that keep the same tokens: a set of heads in one table. */
export interface KvSlice {
  readonly store: KvStore;
  readonly table: PageTable;
  /** The member of the page group that is the first of these heads; the others follow. */
  readonly member: number;
  /** Their numbers in the layer, ascending; they need not be neighbours. */
  readonly heads: readonly number[];
}

/**
 * Bounds of keys by page (Quest, 2406.10774): for each KV head the largest and the smallest that every element of its stored keys
 * takes in a page, as half floats rounded outwards, so that no key is outside. They lie in pages of their own, *blocks*, in which
 * the place of a token is that of a page: a block has for each member the largest, [D][16 pages], then the smallest, so that
 * the scores of 16 pages are an ordinary product of queries and keys of width 2D. A page's *bounds place* is the entry of its
 * block in the table * 16 + its place in the block.
 */
export interface KvBounds {
  /** Of the layout that `boundsLayout` gives. */
  readonly store: KvStore;
  readonly table: PageTable;
  /** The member of a block that belongs to the first of a slice's heads; the others follow. */
  readonly member: number;
}

/** Where the bounds of successive pages of a slice are. */
export interface BoundsPlace {
  readonly bounds: KvBounds;
  /** Bounds place of the first of them. */
  readonly at: number;
}

/** The layout of blocks of bounds for pages of this layout: keys of width 2D in half floats, and no values. */
export function boundsLayout({ members, keyWidth }: KvLayout): KvLayout {
  return { members, keyWidth: 2 * keyWidth, valueWidth: 0, keyType: "f16", valueType: "f16" };
}

/**
 * From this magnitude on keys that are not stored as half floats are misfits where they are bounded: what a lossy type makes of
 * smaller ones has bounds that are half floats.
 */
export const BOUNDED_RANGE = 32768;
