/**
 * Keys and values of layers that attend to a whole at once: an encoder's own layers while it reads, and a decoder's
 * attention over what the encoder read. No policy applies: all of it is kept, and every row sees all of it.
 */
import { relativeBuckets } from "../position/relative.js";
import type { AttentionBias, Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import { type KvSlice, type KvStore, PAGE_TOKENS, type PagesInUse, type PageTable } from "../tensor/kv.js";
import type { StepInput, Tensor, Weight } from "../tensor/tensor.js";
import { InternalError } from "../util/errors.js";
import type { AttendCall, AttentionShape, AttentionState, WholeAttentionState } from "./mixer-state.js";

export interface WholeOptions {
  readonly keyType: KvType;
  readonly valueType: KvType;
}

export class WholeMemory {
  private readonly layers = new Map<number, WholeAttention>();

  constructor(backend: Backend, shapes: readonly AttentionShape[], options: WholeOptions) {
    for (const shape of shapes) this.layers.set(shape.layer, new WholeAttention(backend, shape, options));
  }

  /** Its `attend` keeps the keys and values of the call first: what an encoder's layer does. */
  of(layer: number): WholeAttentionState & AttentionState {
    const state = this.layers.get(layer);
    if (!state) throw new InternalError(`Layer ${layer} has no attention to a whole.`);
    return state;
  }

  get usedBytes(): number {
    return [...this.layers.values()].reduce((sum, { store }) => sum + store.usedBytes, 0);
  }

  /** By layer. */
  get parts(): readonly PagesInUse[] {
    return [...this.layers.values()];
  }

  /** Tokens that are held. */
  get held(): number {
    return [...this.layers.values()].at(0)?.held ?? 0;
  }

  /** Makes room for `count` tokens, which replace what was held. @throws MemoryError; then nothing is held */
  hold(count: number): void {
    for (const layer of this.layers.values()) layer.hold(count);
  }

  dispose(): void {
    for (const layer of this.layers.values()) layer.dispose();
    this.layers.clear();
  }
}

class WholeAttention implements WholeAttentionState, AttentionState {
  readonly store: KvStore;
  held = 0;
  private readonly slice: KvSlice;

  constructor(
    private readonly backend: Backend,
    private readonly shape: AttentionShape,
    { keyType, valueType }: WholeOptions,
  ) {
    const { kvHeads, keyWidth, valueWidth, layer } = shape;
    this.store = backend.kvStore({ members: kvHeads, keyWidth, valueWidth, keyType, valueType }, layer);
    this.slice = { store: this.store, table: this.store.table(), member: 0, head: 0, heads: kvHeads };
  }

  get table(): PageTable {
    return this.slice.table;
  }

  hold(count: number): void {
    const { store, slice } = this;
    const { table } = slice;
    this.held = 0;
    for (let page = 0; page < table.length; page++) store.free(table.page(page));
    table.remove(0, table.length);
    const pages = Math.ceil(count / PAGE_TOKENS);
    store.reserve(pages);
    for (let page = 0; page < pages; page++) table.push(store.alloc());
    this.held = count;
  }

  fill(ops: Backend, keys: Tensor, values: Tensor): void {
    if (keys.rows !== this.held) throw new InternalError(`${keys.rows} rows for ${this.held} that were announced.`);
    ops.append({ keys, values, slice: this.slice, slot: 0 });
  }

  attend(ops: Backend, call: Pick<AttendCall, "q" | "out" | "table"> & Partial<AttendCall>): void {
    const { shape, slice, held } = this;
    if (call.k && call.v) this.fill(ops, call.k, call.v);
    const { q, out } = call;
    const spans = new Int32Array(q.rows * 2);
    for (let row = 0; row < q.rows; row++) spans[row * 2 + 1] = held;
    ops.attention({
      out,
      queries: [q],
      spans: this.backend.input(spans),
      slice,
      group: shape.heads / shape.kvHeads,
      scale: shape.scale,
      softcap: shape.softcap,
      bias: call.table && this.bias(call.table, q.rows),
    });
  }

  /** Row t stands at place t. */
  private bias(table: Weight, rows: number): AttentionBias | undefined {
    const { relative } = this.shape;
    if (!relative) return undefined;
    const places: StepInput = this.backend.input(Int32Array.from({ length: rows }, (_, row) => row));
    return { kind: "table", table, buckets: this.backend.input(relativeBuckets(relative)), places };
  }

  dispose(): void {
    this.slice.table.dispose();
    this.store.dispose();
  }
}
