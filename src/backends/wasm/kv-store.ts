/**
 * Pages in a Wasm memory, that of the layers they serve. A page's number is its address. Pages come from slabs that are
 * never moved.
 */

import { KV_FORMATS } from "../../quant/kv/index.js";
import { blankPlaces } from "../../quant/kv/pages.js";
import { type KvLayout, type KvStore, PAGE_TOKENS, type Page, type PageTable } from "../../tensor/kv.js";
import { InternalError, SnapshotError } from "../../util/errors.js";
import { kvBytes, memberBytes, pageBytes } from "./kv-layout.js";
import type { KvOwner } from "./kv-owner.js";
import { WasmPageTable } from "./page-table.js";

/** Slabs grow with the store up to this size. */
const MOST_SLAB_BYTES = 64 * 1024 * 1024;

/** Pages that were taken from the memory together. */
class Slab {
  /** Of each page; 0: it is free. */
  private readonly holders: Uint32Array;
  /** Numbers within the slab; those next to be taken last. */
  private readonly free: number[];

  constructor(
    readonly start: number,
    readonly count: number,
    private readonly pageBytes: number,
  ) {
    this.holders = new Uint32Array(count);
    this.free = Array.from({ length: count }, (_, i) => count - 1 - i);
  }

  get bytes(): number {
    return this.count * this.pageBytes;
  }
  get unused(): number {
    return this.free.length;
  }

  has(page: Page): boolean {
    return page >= this.start && page < this.start + this.bytes;
  }

  take(): Page | undefined {
    const index = this.free.pop();
    if (index === undefined) return undefined;
    this.holders[index] = 1;
    return this.start + index * this.pageBytes;
  }

  holdersOf(page: Page): number {
    return this.holders[this.indexOf(page)];
  }

  retain(page: Page): void {
    this.holders[this.indexOf(page)]++;
  }

  /** Whether nobody holds it any more. */
  release(page: Page): boolean {
    const index = this.indexOf(page);
    const left = --this.holders[index];
    if (left === 0) this.free.push(index);
    return left === 0;
  }

  private indexOf(page: Page): number {
    const index = (page - this.start) / this.pageBytes;
    if (!(this.holders[index] > 0)) throw new InternalError(`Nobody holds the page ${page}.`);
    return index;
  }
}

export class WasmKvStore implements KvStore {
  readonly pageBytes: number;
  private readonly slabs: Slab[] = [];
  private readonly tables = new Set<WasmPageTable>();
  private pages = 0;
  private unused = 0;

  constructor(
    readonly layout: KvLayout,
    private readonly owner: KvOwner,
  ) {
    this.pageBytes = pageBytes(layout);
  }

  get place(): number {
    return this.owner.space.place;
  }

  get usedBytes(): number {
    return (this.pages - this.unused) * this.pageBytes;
  }

  get reservedBytes(): number {
    return this.pages * this.pageBytes;
  }

  reserve(count: number): void {
    const missing = count - this.unused;
    if (missing <= 0) return;
    // A quarter more than there is, so that growing one by one takes few slabs; just the need when memory is short.
    const generous = Math.min(this.pages >> 2, Math.floor(MOST_SLAB_BYTES / this.pageBytes));
    const wanted = Math.max(missing, generous);
    this.addSlab(this.owner.space.fits(wanted * this.pageBytes) ? wanted : missing);
  }

  private addSlab(count: number): void {
    const start = this.owner.space.allocate(count * this.pageBytes, `A cache of ${count * PAGE_TOKENS} more tokens`);
    this.slabs.push(new Slab(start, count, this.pageBytes));
    this.pages += count;
    this.unused += count;
  }

  alloc(): Page {
    const page = this.take();
    // What others left there must not get into a saved session.
    this.owner.space.u8.fill(0, page, page + this.pageBytes);
    return page;
  }

  /** A page with whatever is in it, that no command reads or writes. */
  private take(): Page {
    this.reserve(1);
    this.owner.flush();
    for (const slab of this.slabs) {
      const page = slab.take();
      if (page === undefined) continue;
      this.unused--;
      return page;
    }
    throw new InternalError("A reserved page is missing.");
  }

  retain(page: Page): void {
    this.slabOf(page).retain(page);
  }

  release(page: Page): void {
    if (this.slabOf(page).release(page)) this.unused++;
  }

  isShared(page: Page): boolean {
    return this.slabOf(page).holdersOf(page) > 1;
  }

  copy(page: Page): Page {
    const copied = this.take();
    this.owner.space.u8.copyWithin(copied, page, page + this.pageBytes);
    return copied;
  }

  private slabOf(page: Page): Slab {
    const slab = this.slabs.find((candidate) => candidate.has(page));
    if (!slab) throw new InternalError(`There is no page ${page}.`);
    return slab;
  }

  async readPages(pages: readonly Page[]): Promise<Uint8Array> {
    this.owner.flush();
    const { pageBytes } = this;
    const bytes = new Uint8Array(pages.length * pageBytes);
    pages.forEach((page, i) => {
      bytes.set(this.owner.space.u8.subarray(page, page + pageBytes), i * pageBytes);
    });
    return bytes;
  }

  blank(page: Uint8Array, from: number): void {
    blankPlaces(this.layout, page, from);
  }

  writePage(page: Page, bytes: Uint8Array): void {
    if (bytes.length !== this.pageBytes) {
      throw new InternalError(`A page of ${this.pageBytes} bytes was given ${bytes.length}.`);
    }
    requireReadable(this.layout, bytes);
    this.owner.flush();
    this.owner.space.u8.set(bytes, page);
  }

  table(): PageTable {
    const table = new WasmPageTable(this.owner, (gone) => this.tables.delete(gone));
    this.tables.add(table);
    return table;
  }

  trim(): void {
    this.owner.flush();
    for (let i = this.slabs.length - 1; i >= 0; i--) {
      const { start, bytes, count, unused } = this.slabs[i];
      if (unused < count) continue;
      this.owner.space.release(start, bytes);
      this.slabs.splice(i, 1);
      this.pages -= count;
      this.unused -= count;
    }
  }

  dispose(): void {
    this.owner.flush();
    for (const table of this.tables) table.dispose();
    for (const { start, bytes } of this.slabs) this.owner.space.release(start, bytes);
    this.slabs.length = 0;
    this.pages = 0;
    this.unused = 0;
  }
}

/** @throws SnapshotError for pages that kernels would read as other numbers */
function requireReadable({ keyType, keyWidth, valueType, valueWidth, ...layout }: KvLayout, page: Uint8Array): void {
  const keyBytes = kvBytes(keyType, keyWidth, "keys");
  const bytes = memberBytes({ ...layout, keyType, keyWidth, valueType, valueWidth });
  for (let start = 0; start < page.length; start += bytes) {
    const keys = page.subarray(start, start + keyBytes);
    const values = page.subarray(start + keyBytes, start + bytes);
    const readable = KV_FORMATS[keyType].readable(keys, keyWidth, "keys");
    if (readable && KV_FORMATS[valueType].readable(values, valueWidth, "values")) continue;
    throw new SnapshotError(
      "Expected finite keys and values; the saved cache has infinities or NaN. Save the session anew.",
    );
  }
}
