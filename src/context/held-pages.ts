/** The pages that one sequence holds of a store, by its table: what is taken, adopted and given back. */
import { type KvLayout, type KvStore, PAGE_TOKENS, type Page, type PagesInUse, type PageTable } from "../tensor/kv.js";
import type { PagePools } from "./page-pools.js";

export class HeldPages implements PagesInUse {
  readonly store: KvStore;
  readonly table: PageTable;
  private readonly close: () => void;
  private disposed = false;
  /** Taken for entries to come. */
  private readonly waiting: Page[] = [];

  /** @param layer one of those that they serve */
  constructor(pools: PagePools, layout: KvLayout, layer: number) {
    const { store, close } = pools.open(layout, layer);
    this.store = store;
    this.close = close;
    this.table = store.table();
  }

  get bytes(): number {
    return this.table.length * this.store.pageBytes;
  }

  /**
   * Makes sure that `count` pages can be added once `freed` pages without other holders were given back.
   * @throws MemoryError; then `cancel` gives back what was taken
   */
  prepare(count: number, freed: number): void {
    const { store, table, waiting } = this;
    table.reserve(table.length + count);
    const missing = count - freed;
    if (missing <= 0) return;
    store.reserve(missing);
    while (waiting.length < missing) waiting.push(store.alloc());
  }

  /** Gives back what was prepared. */
  cancel(): void {
    for (const page of this.waiting) this.store.release(page);
    this.waiting.length = 0;
  }

  /** Adds a page of zeros, for which `prepare` has made sure of room. */
  add(): void {
    this.table.push(this.waiting.pop() ?? this.store.alloc());
  }

  /** Adds pages of zeros until there are `length`. @throws MemoryError; then nothing has changed */
  grow(length: number): void {
    const count = length - this.table.length;
    try {
      this.prepare(count, 0);
    } catch (error) {
      this.cancel();
      throw error;
    }
    for (let added = 0; added < count; added++) this.add();
  }

  /** Adds a page that it holds from now on. */
  adopt(page: Page): void {
    this.table.push(page);
  }

  /** Whether the entry's page has other holders, so that giving it back frees none. */
  isShared(index: number): boolean {
    return this.store.isShared(this.table.page(index));
  }

  /** Gives back the pages of the entries [start, start + count). */
  remove(start: number, count: number): void {
    for (let index = start; index < start + count; index++) this.store.release(this.table.page(index));
    this.table.remove(start, count);
  }

  /** Enough zeroed pages for `tokens`, in place of what was held. @throws MemoryError; then nothing is held */
  replace(tokens: number): void {
    this.remove(0, this.table.length);
    this.grow(Math.ceil(tokens / PAGE_TOKENS));
  }

  /** Holds what another holds too, in place of what was held. @throws MemoryError; then nothing is held */
  share({ table }: PagesInUse): void {
    this.remove(0, this.table.length);
    this.table.reserve(table.length);
    for (let index = 0; index < table.length; index++) {
      const page = table.page(index);
      this.store.retain(page);
      this.table.push(page);
    }
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.cancel();
    this.remove(0, this.table.length);
    this.table.dispose();
    this.close();
  }
}
