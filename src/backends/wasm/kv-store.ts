/**
 * Pages and page tables in a Wasm memory, that of the layers they serve. A page's number is its address. Pages come from
 * slabs that are never moved; a table is an array of page addresses that kernels read.
 */

import { firstNonFinite } from "../../quant/non-finite.js";
import { type KvLayout, type KvStore, PAGE_TOKENS, type Page, type PageTable } from "../../tensor/kv.js";
import { InternalError, SnapshotError } from "../../util/errors.js";
import { kvBytes, memberBytes, pageBytes } from "./kv-layout.js";
import type { Space } from "./space.js";

/** Slabs grow with the store up to this size. */
const MOST_SLAB_BYTES = 64 * 1024 * 1024;
const SMALLEST_TABLE = 64;

/** What a store needs of its machine. */
export interface KvOwner {
  readonly space: Space;
  /** Finishes commands that may still read pages or tables as they are now. */
  flush(): void;
}

interface Slab {
  readonly start: number;
  readonly bytes: number;
}

export class WasmKvStore implements KvStore {
  readonly pageBytes: number;
  private readonly slabs: Slab[] = [];
  private readonly unused: Page[] = [];
  private readonly tables = new Set<WasmPageTable>();
  private pages = 0;

  /** @param id tells this store's pages from others' in the command list's footprints */
  constructor(
    readonly layout: KvLayout,
    readonly id: number,
    private readonly owner: KvOwner,
  ) {
    this.pageBytes = pageBytes(layout);
  }

  get place(): number {
    return this.owner.space.place;
  }

  get usedBytes(): number {
    return (this.pages - this.unused.length) * this.pageBytes;
  }

  get reservedBytes(): number {
    return this.pages * this.pageBytes;
  }

  reserve(count: number): void {
    const missing = count - this.unused.length;
    if (missing <= 0) return;
    // A quarter more than there is, so that growing one by one takes few slabs; just the need when memory is short.
    const generous = Math.min(this.pages >> 2, Math.floor(MOST_SLAB_BYTES / this.pageBytes));
    const wanted = Math.max(missing, generous);
    this.addSlab(this.owner.space.fits(wanted * this.pageBytes) ? wanted : missing);
  }

  private addSlab(count: number): void {
    const bytes = count * this.pageBytes;
    const start = this.owner.space.allocate(bytes, `A cache of ${count * PAGE_TOKENS} more tokens`);
    // What others left there must not get into a saved session.
    this.owner.flush();
    this.owner.space.u8.fill(0, start, start + bytes);
    this.slabs.push({ start, bytes });
    this.pages += count;
    for (let i = count - 1; i >= 0; i--) this.unused.push(start + i * this.pageBytes);
  }

  alloc(): Page {
    this.reserve(1);
    const page = this.unused.pop();
    if (page === undefined) throw new InternalError("A reserved page is missing.");
    return page;
  }

  free(page: Page): void {
    this.unused.push(page);
  }

  async readPage(page: Page): Promise<Uint8Array> {
    this.owner.flush();
    return this.owner.space.u8.slice(page, page + this.pageBytes);
  }

  writePage(page: Page, bytes: Uint8Array): void {
    if (bytes.length !== this.pageBytes) {
      throw new InternalError(`A page of ${this.pageBytes} bytes was given ${bytes.length}.`);
    }
    requireFiniteHalves(this.layout, bytes);
    this.owner.flush();
    this.owner.space.u8.set(bytes, page);
  }

  table(): PageTable {
    const table = new WasmPageTable(this.owner, (gone) => this.tables.delete(gone));
    this.tables.add(table);
    return table;
  }

  dispose(): void {
    this.owner.flush();
    for (const table of this.tables) table.dispose();
    for (const { start, bytes } of this.slabs) this.owner.space.release(start, bytes);
    this.slabs.length = 0;
    this.unused.length = 0;
    this.pages = 0;
  }
}

export class WasmPageTable implements PageTable {
  address = 0;
  private capacity = 0;
  private count = 0;

  constructor(
    private readonly owner: KvOwner,
    private readonly onDispose: (table: WasmPageTable) => void,
  ) {}

  get length(): number {
    return this.count;
  }

  page(index: number): Page {
    if (!(index >= 0 && index < this.count))
      throw new InternalError(`A page table of ${this.count} has no entry ${index}.`);
    return this.owner.space.i32[(this.address >>> 2) + index] >>> 0;
  }

  push(page: Page): void {
    if (this.count === this.capacity) this.grow();
    this.owner.space.i32[(this.address >>> 2) + this.count++] = page;
  }

  remove(start: number, count: number): void {
    this.owner.flush();
    const at = (this.address >>> 2) + start;
    this.owner.space.i32.copyWithin(at, at + count, (this.address >>> 2) + this.count);
    this.count -= count;
  }

  dispose(): void {
    if (this.capacity > 0) {
      this.owner.flush();
      this.owner.space.release(this.address, this.capacity * 4);
    }
    this.capacity = 0;
    this.count = 0;
    this.onDispose(this);
  }

  private grow(): void {
    this.owner.flush();
    const { space } = this.owner;
    const capacity = Math.max(SMALLEST_TABLE, this.capacity * 2);
    const address = space.allocate(capacity * 4, "A page table");
    space.i32.copyWithin(address >>> 2, this.address >>> 2, (this.address >>> 2) + this.count);
    if (this.capacity > 0) space.release(this.address, this.capacity * 4);
    this.address = address;
    this.capacity = capacity;
  }
}

/** Kernels read halves that are infinite or NaN as large numbers and write none; so none comes in. @throws SnapshotError */
function requireFiniteHalves(layout: KvLayout, page: Uint8Array): void {
  const keyBytes = kvBytes(layout.keyType, layout.keyWidth);
  const bytes = memberBytes(layout);
  for (let start = 0; start < page.length; start += bytes) {
    const keys = layout.keyType === "f16" ? page.subarray(start, start + keyBytes) : new Uint8Array(0);
    const values = layout.valueType === "f16" ? page.subarray(start + keyBytes, start + bytes) : new Uint8Array(0);
    if (firstNonFinite("f16", keys) < 0 && firstNonFinite("f16", values) < 0) continue;
    throw new SnapshotError(
      "Expected finite keys and values; the saved cache has infinities or NaN. Save the session anew.",
    );
  }
}
