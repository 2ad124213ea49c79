/**
 * A page table: a list of page addresses on the host, and its copy in the memory that kernels read. Entries that changed
 * are copied when the next operation asks for the address, so a table that grows touches no memory but what was reserved.
 */
import type { Page, PageTable } from "../../tensor/kv.js";
import { InternalError } from "../../util/errors.js";
import type { KvOwner } from "./kv-owner.js";
import type { SliceWords } from "./slice-words.js";

const SMALLEST_TABLE = 64;

export class WasmPageTable implements PageTable {
  private entries = new Uint32Array(0);
  private count = 0;
  /** In the memory; 0: none is reserved. */
  private start = 0;
  /** Entries from here on may differ from the copy. */
  private dirtyFrom = 0;
  /** What kernels were told of the table's slices (ops/slice.ts), by first member: a table's slices differ in it. */
  readonly slices = new Map<number, SliceWords>();

  constructor(
    private readonly owner: KvOwner,
    private readonly onDispose: (table: WasmPageTable) => void,
  ) {}

  get length(): number {
    return this.count;
  }

  /**
   * Where kernels find the entries, all of them up to date. Writing them disturbs no command that waits: `remove` and
   * `reserve` finish those that read what they change.
   */
  get address(): number {
    if (this.dirtyFrom < this.count) {
      const changed = this.entries.subarray(this.dirtyFrom, this.count);
      this.owner.space.i32.set(changed, (this.start >>> 2) + this.dirtyFrom);
      this.dirtyFrom = this.count;
    }
    return this.start;
  }

  page(index: number): Page {
    if (!(index >= 0 && index < this.count))
      throw new InternalError(`A page table of ${this.count} has no entry ${index}.`);
    return this.entries[index];
  }

  reserve(length: number): void {
    const had = this.entries.length;
    if (length <= had) return;
    const { space } = this.owner;
    const capacity = Math.max(SMALLEST_TABLE, had * 2, length);
    const address = space.allocate(capacity * 4, "A page table");
    this.owner.flush();
    if (had > 0) space.release(this.start, had * 4);
    const entries = new Uint32Array(capacity);
    entries.set(this.entries);
    this.entries = entries;
    this.start = address;
    this.dirtyFrom = 0;
  }

  push(page: Page): void {
    this.reserve(this.count + 1);
    this.entries[this.count++] = page;
  }

  remove(start: number, count: number): void {
    if (count === 0) return;
    this.owner.flush();
    this.entries.copyWithin(start, start + count, this.count);
    this.count -= count;
    this.dirtyFrom = Math.min(this.dirtyFrom, start);
  }

  dispose(): void {
    if (this.entries.length > 0) {
      this.owner.flush();
      this.owner.space.release(this.start, this.entries.length * 4);
    }
    this.entries = new Uint32Array(0);
    this.start = 0;
    this.count = 0;
    this.dirtyFrom = 0;
    this.onDispose(this);
  }
}
