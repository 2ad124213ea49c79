/**
 * Pages of the reference backend: f32 arrays in the layout of tensor/kv.ts. f16 and q8 caches are simulated: a value is
 * rounded as that type would round it when it is written.
 */

import { roundToF16 } from "../../quant/f16.js";
import type { KvType } from "../../tensor/dtype.js";
import { type KvLayout, type KvStore, PAGE_TOKENS, type Page, type PageTable } from "../../tensor/kv.js";
import type { Misfits } from "../../tensor/misfits.js";
import { InternalError } from "../../util/errors.js";

/** Dims that share one scale in a q8 cache. */
const Q8_GROUP = 32;

export function pageElements(layout: KvLayout): number {
  return PAGE_TOKENS * (layout.keyWidth + layout.valueWidth);
}

export class ReferenceKvStore implements KvStore {
  private readonly pages: (Float32Array | undefined)[] = [];
  private readonly unused: Page[] = [];
  private used = 0;
  /** What was written since the step began and did not fit. */
  misfits: Misfits | undefined;

  constructor(readonly layout: KvLayout) {}

  get pageBytes(): number {
    return 4 * this.layout.members * pageElements(this.layout);
  }
  get usedBytes(): number {
    return this.used * this.pageBytes;
  }
  get reservedBytes(): number {
    return this.pages.length * this.pageBytes;
  }

  reserve(): void {}

  alloc(): Page {
    this.used++;
    const page = this.unused.pop() ?? this.pages.length;
    this.pages[page] ??= new Float32Array(this.pageBytes / 4);
    return page;
  }

  free(page: Page): void {
    this.used--;
    this.unused.push(page);
  }

  async readPage(page: Page): Promise<Uint8Array> {
    return this.bytes(page).slice();
  }

  writePage(page: Page, bytes: Uint8Array): void {
    this.bytes(page).set(bytes);
  }

  private bytes(page: Page): Uint8Array {
    const numbers = this.pages[page];
    if (!numbers) throw new InternalError(`There is no page ${page}.`);
    return new Uint8Array(numbers.buffer);
  }

  /** Keys [D][P] then values [P][Dv] of one member. */
  member(page: Page, member: number): { keys: Float32Array; values: Float32Array } {
    const size = pageElements(this.layout);
    const keySize = PAGE_TOKENS * this.layout.keyWidth;
    const data = (this.pages[page] ?? new Float32Array(0)).subarray(member * size, (member + 1) * size);
    return { keys: data.subarray(0, keySize), values: data.subarray(keySize) };
  }

  table(): ReferencePageTable {
    return new ReferencePageTable();
  }

  dispose(): void {
    this.pages.length = 0;
    this.unused.length = 0;
    this.used = 0;
  }
}

export class ReferencePageTable implements PageTable {
  private readonly pages: Page[] = [];
  get length(): number {
    return this.pages.length;
  }
  page(index: number): Page {
    return this.pages[index] ?? -1;
  }
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

/** Rounds one head's vector of one token as the cache type stores it. */
export function roundAs(type: KvType, vector: Float32Array): Float32Array {
  if (type === "f32") return vector;
  if (type === "f16") return vector.map(roundToF16);
  const out = new Float32Array(vector.length);
  for (let start = 0; start < vector.length; start += Q8_GROUP) {
    const group = vector.subarray(start, start + Q8_GROUP);
    const scale = Math.fround(group.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127);
    for (let i = 0; i < group.length; i++) {
      out[start + i] = scale === 0 ? 0 : Math.round((group[i] ?? 0) / scale) * scale;
    }
  }
  return out;
}
