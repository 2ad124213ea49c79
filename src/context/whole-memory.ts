/**
 * Keys and values of layers that attend to a whole at once: an encoder's own layers while it reads, and a decoder's
 * attention over what the encoder read. No policy applies: all of it is kept, and every row sees all of it.
 */
import { type RelativeSpec, relativeBuckets } from "../position/relative.js";
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
  private readonly inputs: WholeInputs;

  constructor(backend: Backend, shapes: readonly AttentionShape[], options: WholeOptions) {
    this.inputs = new WholeInputs(backend);
    for (const shape of shapes) this.layers.set(shape.layer, new WholeAttention(backend, shape, options, this.inputs));
  }

  /** A step begins: host inputs of the one before are gone. */
  begin(): void {
    this.inputs.clear();
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
    this.begin();
    for (const layer of this.layers.values()) layer.hold(count);
  }

  dispose(): void {
    for (const layer of this.layers.values()) layer.dispose();
    this.layers.clear();
  }
}

/** Host numbers of a step, uploaded by the first layer that asks. */
class WholeInputs {
  private readonly byKey = new Map<string | RelativeSpec, StepInput>();

  constructor(private readonly backend: Backend) {}

  clear(): void {
    this.byKey.clear();
  }

  /** i32 [rows, 1, 2]: every row sees [0, held). */
  spans(rows: number, held: number): StepInput {
    return this.once(`spans ${rows} ${held}`, () =>
      Int32Array.from({ length: rows * 2 }, (_, i) => (i % 2 === 0 ? 0 : held)),
    );
  }

  /** i32 [rows, 1]: row t stands at place t. */
  places(rows: number): StepInput {
    return this.once(`places ${rows}`, () => Int32Array.from({ length: rows }, (_, row) => row));
  }

  buckets(relative: RelativeSpec): StepInput {
    return this.once(relative, () => relativeBuckets(relative));
  }

  private once(key: string | RelativeSpec, numbers: () => Int32Array): StepInput {
    const known = this.byKey.get(key);
    if (known) return known;
    const made = this.backend.input(numbers());
    this.byKey.set(key, made);
    return made;
  }
}

class WholeAttention implements WholeAttentionState, AttentionState {
  readonly store: KvStore;
  held = 0;
  private readonly slice: KvSlice;

  constructor(
    backend: Backend,
    private readonly shape: AttentionShape,
    { keyType, valueType }: WholeOptions,
    private readonly inputs: WholeInputs,
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
    ops.attention({
      out,
      queries: [q],
      spans: this.inputs.spans(q.rows, held),
      slice,
      group: shape.heads / shape.kvHeads,
      scale: shape.scale,
      softcap: shape.softcap,
      bias: call.table && this.bias(call.table, q.rows),
    });
  }

  private bias(table: Weight, rows: number): AttentionBias | undefined {
    const { relative } = this.shape;
    if (!relative) return undefined;
    return { kind: "table", table, buckets: this.inputs.buckets(relative), places: this.inputs.places(rows) };
  }

  dispose(): void {
    this.slice.table.dispose();
    this.store.dispose();
  }
}
