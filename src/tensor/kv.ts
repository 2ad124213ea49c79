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

/** The pages of one layout in the backend's memory. Grows in slabs; nothing is ever moved. */
export interface KvStore {
  readonly layout: KvLayout;
  /** Bytes of one page group (all members). */
  readonly pageBytes: number;
  /** Bytes of pages in use now, and of slabs taken from the backend. */
  readonly usedBytes: number;
  readonly reservedBytes: number;
  /** Makes sure that `count` allocs will succeed, or throws MemoryError and changes nothing. */
  reserve(count: number): void;
  /** A zeroed or stale page: readers mask what was not appended. @throws MemoryError */
  alloc(): Page;
  free(page: Page): void;
  /** A copy of the page's `pageBytes` bytes, in the backend's own layout, once all dispatched work is done. */
  readPage(page: Page): Promise<Uint8Array>;
  /** Replaces the page by what `readPage` gave. No step may be running. @throws SnapshotError for halves that are not finite */
  writePage(page: Page, bytes: Uint8Array): void;
  /** An empty page table in the backend's memory. */
  table(): PageTable;
  /** Gives all slabs and tables back. */
  dispose(): void;
}

/**
 * The list of live pages of one sequence, in text order, kept in the backend's memory. A *slot* is a token's place in the
 * table: entry index * P + place in the page. Contiguous text within live pages has contiguous slots.
 */
export interface PageTable {
  readonly length: number;
  page(index: number): Page;
  push(page: Page): void;
  /** Removes entries [start, start + count); later entries move down. Does not free the pages. */
  remove(start: number, count: number): void;
  dispose(): void;
}

/** The pages of one table, and the store that they are of. */
export interface PagesInUse {
  readonly store: KvStore;
  readonly table: PageTable;
}

/** The members of one layer in one table: KV heads [head, head + heads) are members [member, member + heads). */
export interface KvSlice {
  readonly store: KvStore;
  readonly table: PageTable;
  readonly member: number;
  readonly head: number;
  readonly heads: number;
}
