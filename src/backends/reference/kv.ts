/**
 * Pages of the reference backend: f32 arrays in the layout of tensor/kv.ts. f16 and q8 caches are simulated: a value is
 * rounded as that type would round it when it is written.
 */

import { blankPlaces } from "../../quant/kv/pages.js";
import { type KvLayout, type KvStore, PAGE_TOKENS, type Page, type PageTable } from "../../tensor/kv.js";
import type { Misfits } from "../../tensor/misfits.js";
import { InternalError } from "../../util/errors.js";

export function pageElements(layout: KvLayout): number {
  return PAGE_TOKENS * (layout.keyWidth + layout.valueWidth);
}

interface ReferencePage {
  readonly numbers: Float32Array;
  holders: number;
}

export class ReferenceKvStore implements KvStore {
  private readonly pages = new Map<Page, ReferencePage>();
  private next = 0;
  /** What was written since the step began and did not fit. */
  misfits: Misfits | undefined;

  constructor(readonly layout: KvLayout) {}

  get pageBytes(): number {
    return 4 * this.layout.members * pageElements(this.layout);
  }
  get usedBytes(): number {
    return this.pages.size * this.pageBytes;
  }
  get reservedBytes(): number {
    return this.usedBytes;
  }

  reserve(): void {}

  alloc(): Page {
    const page = this.next++;
    this.pages.set(page, { numbers: new Float32Array(this.pageBytes / 4), holders: 1 });
    return page;
  }

  retain(page: Page): void {
    this.held(page).holders++;
  }

  release(page: Page): void {
    if (--this.held(page).holders === 0) this.pages.delete(page);
  }

  isShared(page: Page): boolean {
    return this.held(page).holders > 1;
  }

  copy(page: Page): Page {
    const { numbers } = this.held(page);
    const copied = this.alloc();
    this.held(copied).numbers.set(numbers);
    return copied;
  }

  async readPages(pages: readonly Page[]): Promise<Uint8Array> {
    const bytes = new Uint8Array(pages.length * this.pageBytes);
    pages.forEach((page, i) => {
      bytes.set(this.bytes(page), i * this.pageBytes);
    });
    return bytes;
  }

  blank(page: Uint8Array, from: number): void {
    // Whatever the type: numbers are rounded as it does, and kept in f32.
    blankPlaces({ ...this.layout, keyType: "f32", valueType: "f32" }, page, from);
  }

  writePage(page: Page, bytes: Uint8Array): void {
    this.bytes(page).set(bytes);
  }

  private bytes(page: Page): Uint8Array {
    return new Uint8Array(this.held(page).numbers.buffer);
  }

  private held(page: Page): ReferencePage {
    const found = this.pages.get(page);
    if (!found) throw new InternalError(`Nobody holds the page ${page}.`);
    return found;
  }

  /** Keys [D][P] then values [P][Dv] of one member. */
  member(page: Page, member: number): { keys: Float32Array; values: Float32Array } {
    const size = pageElements(this.layout);
    const keySize = PAGE_TOKENS * this.layout.keyWidth;
    const data = this.held(page).numbers.subarray(member * size, (member + 1) * size);
    return { keys: data.subarray(0, keySize), values: data.subarray(keySize) };
  }

  table(): ReferencePageTable {
    return new ReferencePageTable();
  }

  trim(): void {}

  dispose(): void {
    this.pages.clear();
  }
}

export class ReferencePageTable implements PageTable {
  private readonly pages: Page[] = [];

  get length(): number {
    return this.pages.length;
  }

  page(index: number): Page {
    const page = this.pages.at(index);
    if (index < 0 || page === undefined)
      throw new InternalError(`A page table of ${this.pages.length} has no entry ${index}.`);
    return page;
  }

  reserve(): void {}

  push(page: Page): void {
    this.pages.push(page);
  }

  remove(start: number, count: number): void {
    this.pages.splice(start, count);
  }

  dispose(): void {
    this.pages.length = 0;
  }
}

/** Whether all that is stored of the vector is finite; why not otherwise. */
export function misfitsOf(vector: Float32Array, stored: Float32Array): Misfits | undefined {
  if (stored.every(Number.isFinite)) return undefined;
  const finite = vector.every(Number.isFinite);
  return { beyondRange: finite, notFinite: !finite };
}
