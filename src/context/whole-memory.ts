/**
 * Keys and values of layers that attend to a whole at once: an encoder's own layers while it reads, and a decoder's
 * attention over what the encoder read. No policy applies: all of it is kept, and every row sees all of it.
 */

import type { Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import type { KvSlice, PagesInUse } from "../tensor/kv.js";
import type { StepInput, Tensor } from "../tensor/tensor.js";
import { InternalError } from "../util/errors.js";
import { distanceBias } from "./distance-bias.js";
import { headsBetween } from "./head-sets.js";
import { HeldPages } from "./held-pages.js";
import type { AttendCall, AttentionShape, AttentionState, WholeAttentionState } from "./mixer-state.js";
import { PagePools } from "./page-pools.js";
import { Uploads } from "./uploads.js";

export interface WholeOptions {
  readonly keyType: KvType;
  readonly valueType: KvType;
}

export class WholeMemory {
  private readonly layers = new Map<number, WholeAttention>();
  private readonly inputs: Uploads;

  constructor(backend: Backend, shapes: readonly AttentionShape[], options: WholeOptions) {
    this.inputs = new Uploads(backend);
    const pools = PagePools.of(backend);
    try {
      for (const shape of shapes) this.layers.set(shape.layer, new WholeAttention(pools, shape, options, this.inputs));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** A step begins: host inputs of the one before are gone. */
  begin(): void {
    this.inputs.clear();
  }

  /** Its `attend` keeps the keys and values of the call first: what an encoder's layer does. */
  of(layer: number): WholeAttentionState & AttentionState {
    return this.layer(layer);
  }

  /** The keys and values of a layer. */
  layer(layer: number): WholeAttention {
    const state = this.layers.get(layer);
    if (!state) throw new InternalError(`Layer ${layer} has no attention to a whole.`);
    return state;
  }

  get usedBytes(): number {
    return [...this.layers.values()].reduce((sum, { pages }) => sum + pages.bytes, 0);
  }

  /** By layer. */
  get parts(): readonly PagesInUse[] {
    return [...this.layers.values()].map(({ pages }) => pages);
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

  /** Holds what another memory of the same layers does. @throws MemoryError; then dispose of this one */
  share(other: WholeMemory): void {
    for (const [layer, own] of this.layers) own.share(other.layer(layer));
  }

  dispose(): void {
    for (const layer of this.layers.values()) layer.dispose();
    this.layers.clear();
  }
}

/** One layer. */
class WholeAttention implements WholeAttentionState, AttentionState {
  readonly pages: HeldPages;
  readonly slice: KvSlice;
  held = 0;

  constructor(
    pools: PagePools,
    readonly shape: AttentionShape,
    { keyType, valueType }: WholeOptions,
    private readonly inputs: Uploads,
  ) {
    const { kvHeads, keyWidth, valueWidth, layer } = shape;
    this.pages = new HeldPages(pools, { members: kvHeads, keyWidth, valueWidth, keyType, valueType }, layer);
    this.slice = { store: this.pages.store, table: this.pages.table, member: 0, heads: headsBetween(0, kvHeads) };
  }

  hold(count: number): void {
    this.held = 0;
    this.pages.replace(count);
    this.held = count;
  }

  share({ pages, held }: WholeAttention): void {
    this.pages.share(pages);
    this.held = held;
  }

  fill(ops: Backend, keys: Tensor, values: Tensor): void {
    if (keys.rows !== this.held) throw new InternalError(`${keys.rows} rows for ${this.held} that were announced.`);
    ops.append({ keys, values, parts: [{ slice: this.slice, first: 0, rows: keys.rows, slot: 0 }] });
  }

  attend(ops: Backend, call: Pick<AttendCall, "q" | "out" | "table"> & Partial<AttendCall>): void {
    const { shape, slice } = this;
    if (call.k && call.v) this.fill(ops, call.k, call.v);
    const { q, out, table } = call;
    ops.attention({
      out,
      queries: [q],
      spans: this.spans(q.rows),
      parts: [{ slice, first: 0, rows: q.rows, ranges: 1, spans: 0 }],
      group: shape.heads / shape.kvHeads,
      scale: shape.scale,
      softcap: shape.softcap,
      bias: distanceBias({ relative: shape.relative }, table, this.inputs, () => this.places(q.rows)),
    });
  }

  /** i32 [rows, 1, 2]: every row sees [0, held). */
  private spans(rows: number): StepInput {
    const { held } = this;
    return this.inputs.once(`spans ${rows} ${held}`, () =>
      Int32Array.from({ length: rows * 2 }, (_, i) => (i % 2 === 0 ? 0 : held)),
    );
  }

  /** i32 [rows, 1]: row t stands at place t. */
  private places(rows: number): StepInput {
    return this.inputs.once(`places ${rows}`, () => Int32Array.from({ length: rows }, (_, row) => row));
  }

  dispose(): void {
    this.pages.dispose();
    this.held = 0;
  }
}
