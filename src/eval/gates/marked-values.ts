/**
 * How much attention goes to marked places of a text, on any backend. Attention is linear in the values, so beside each layer's
 * cache another one is kept with the same keys, whose values are marks: place j has a 1 in column k where mark k is on it. What
 * the very kernels that run the model make of these values is, for a query, the probability that goes to each mark.
 */
import type { SequenceMemory } from "../../context/sequence-memory.js";
import type { AppendCall, AttentionCall, Backend } from "../../tensor/backend.js";
import type { KvSlice, KvStore, Page, PageTable } from "../../tensor/kv.js";
import type { Tensor } from "../../tensor/tensor.js";
import { InternalError } from "../../util/errors.js";
import { type Observer, observedBackend } from "../observed-backend.js";

/** Places of a text for each mark. */
export type Marks = readonly (readonly number[])[];

export interface MarkedStep {
  /** Position of the first row. */
  readonly start: number;
  readonly rows: number;
  readonly marks: Marks;
  /** Whether the rows' attention to the marks is wanted. */
  readonly observed: boolean;
}

/** Watches the layers of a model on `backend`, which has one place. */
export class MarkedValues implements Observer {
  readonly backend: Backend;
  private readonly caches = new Map<KvStore, MarkedCache>();
  private step: MarkedStep | undefined;
  /** Of the running step: values by number of KV heads, and results by layer in the order of the calls. */
  private readonly values = new Map<number, Tensor>();
  private results: Tensor[] = [];
  private layer = 0;

  /**
   * @param columns most marks; a width that heads may have
   * @param heads query heads by layer with attention, in order
   */
  constructor(
    private readonly inner: Backend,
    private readonly columns: number,
    private readonly heads: readonly number[],
  ) {
    this.backend = observedBackend(inner, this);
  }

  /** Says what the next step reads. */
  expect(step: MarkedStep): void {
    this.step = step;
  }

  begun(): void {
    const { step, inner, columns, heads } = this;
    this.values.clear();
    this.layer = 0;
    // Here, so that they outlive the layers.
    this.results = step?.observed ? heads.map((count) => inner.empty(step.rows, count * columns)) : [];
  }

  append(call: AppendCall): void {
    const { keys, parts, angles } = call;
    const own = parts.map((part) => ({ ...placed(part), slice: this.sliceOf(part.slice) }));
    const kvHeads = parts.reduce((sum, { slice }) => sum + slice.heads.length, 0);
    this.inner.append({ keys, values: this.valuesFor(kvHeads), parts: own, angles });
  }

  attention(call: AttentionCall): void {
    const out = this.results[this.layer++];
    if (!out) return;
    const parts = call.parts.map((part) => {
      const { first, rows, ranges, spans } = part;
      return { slice: this.sliceOf(part.slice), first, rows, ranges, spans };
    });
    this.inner.attention({ ...call, out, parts });
  }

  /** Of the step that was observed, before the next: [rows, heads, columns] of each layer. */
  async read(): Promise<Float32Array[]> {
    const read: Float32Array[] = [];
    for (const result of this.results) read.push((await this.inner.read(result)).slice());
    return read;
  }

  /** The memory of the text is about to go. */
  forget(memory: SequenceMemory): void {
    for (const { store, table } of memory.cache.groups) this.caches.get(store)?.forget(table);
  }

  dispose(): void {
    for (const cache of this.caches.values()) cache.dispose();
    this.caches.clear();
  }

  /** [rows, kvHeads * columns]: the marks, alike for all heads. */
  private valuesFor(kvHeads: number): Tensor {
    const { step, inner, columns } = this;
    if (!step) throw new InternalError("Nobody said what the step reads.");
    const known = this.values.get(kvHeads);
    if (known) return known;
    const numbers = new Float32Array(step.rows * kvHeads * columns);
    step.marks.forEach((places, mark) => {
      for (const place of places) {
        const row = place - step.start;
        if (row < 0 || row >= step.rows) continue;
        for (let head = 0; head < kvHeads; head++) numbers[(row * kvHeads + head) * columns + mark] = 1;
      }
    });
    // Within a layer's scope, so not kept for the next layer.
    return inner.tensor(inner.input(numbers), step.rows, kvHeads * columns);
  }

  private sliceOf(slice: KvSlice): KvSlice {
    const { store } = slice;
    const cache = this.caches.get(store) ?? new MarkedCache(this.inner, store, this.columns);
    this.caches.set(store, cache);
    return { ...slice, store: cache.store, table: cache.tableOf(slice.table) };
  }
}

function placed({ first, rows, slot }: AppendCall["parts"][number]) {
  return { first, rows, slot };
}

/** Pages beside those of a store, one for each that was seen. */
class MarkedCache {
  readonly store: KvStore;
  private readonly pages = new Map<Page, Page>();
  private readonly tables = new Map<PageTable, PageTable>();

  constructor(backend: Backend, { layout }: KvStore, columns: number) {
    this.store = backend.kvStore({ ...layout, valueWidth: columns, valueType: "f32" });
  }

  /** The table with the pages beside those that the other one has now. */
  tableOf(table: PageTable): PageTable {
    const own = this.tables.get(table) ?? this.store.table();
    this.tables.set(table, own);
    own.remove(0, own.length);
    own.reserve(table.length);
    for (let index = 0; index < table.length; index++) own.push(this.pageOf(table.page(index)));
    return own;
  }

  private pageOf(page: Page): Page {
    const own = this.pages.get(page) ?? this.store.alloc();
    this.pages.set(page, own);
    return own;
  }

  /** A text is over: its pages are given to others. */
  forget(table: PageTable): void {
    this.tables.get(table)?.dispose();
    this.tables.delete(table);
  }

  dispose(): void {
    for (const table of this.tables.values()) table.dispose();
    for (const page of this.pages.values()) this.store.release(page);
    this.store.dispose();
  }
}
