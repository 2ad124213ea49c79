/**
 * Attention under dynamic NTK, whose base changes with the length of the context: keys are kept unrotated, and before a
 * row attends, all keys it sees are rotated into scratch pages under the base of its own length. Exact, whatever the
 * chunks; beyond the trained length it costs a pass over the cached keys per token.
 */
import type { RopeSpec } from "../position/rope.js";
import type { Angles, Backend } from "../tensor/backend.js";
import { type KvSlice, type KvStore, PAGE_TOKENS, type PageTable } from "../tensor/kv.js";
import type { Tensor } from "../tensor/tensor.js";
import type { KvCache } from "./kv-cache.js";
import type { RetentionGroup } from "./retention.js";
import type { StepPlan } from "./step-plan.js";

export interface DynamicQuery {
  readonly q: Tensor;
  /** Where the layer's keys and values are kept. */
  readonly slice: KvSlice;
  readonly rope: RopeSpec;
  readonly plan: StepPlan;
}

export class DynamicRotation {
  private readonly store: KvStore;
  private readonly table: PageTable;

  /** Scratch pages for layers of up to `heads` KV heads. */
  constructor(
    private readonly cache: KvCache,
    private readonly retention: RetentionGroup,
    readonly heads: number,
  ) {
    this.store = cache.backend.kvStore({ ...retention.layout, members: heads }, retention.layer);
    this.table = this.store.table();
  }

  /**
   * The rotated queries of each range and the rotated keys. All rows of the step have one base: KvCache.stepLimit sees to
   * it.
   */
  rotate(ops: Backend, { q, slice, rope, plan }: DynamicQuery): { queries: readonly Tensor[]; slice: KvSlice } {
    const { store, table } = this;
    const slots = slice.table.length * PAGE_TOKENS;
    while (table.length < slice.table.length) table.push(store.alloc());
    const { keys, queries } = this.stepAngles(rope, plan.count, slots);
    const scratch = { ...slice, store, table, member: 0 };
    ops.rotatePages(slice, scratch, slots, keys);
    const rotated = ops.rotate(q, this.retention.layout.keyWidth, queries);
    return { queries: new Array<Tensor>(plan.ranges).fill(rotated), slice: scratch };
  }

  /** Angles of the keys in all slots and of the rows, at the places from which the policy counts distance. */
  private stepAngles(rope: RopeSpec, count: number, slots: number): { keys: Angles; queries: Angles } {
    const { cache, retention } = this;
    const { policy } = cache.options;
    const last = cache.seen + count - 1;
    const ranges = policy.visible(last);
    // Place of a position among the visible ones; those before a range that is gone are masked and may be anything.
    const placeOf = (position: number): number => {
      if (policy.distance === "text") return position;
      let place = 0;
      for (const { start, end } of ranges) {
        if (position < end) return place + Math.max(0, position - start);
        place += end - start;
      }
      return place;
    };
    const length = placeOf(last) + 1;
    return {
      keys: cache.inputs.angles(rope, slots, (slot) => placeOf(retention.positionOf(slot)), length),
      queries: cache.inputs.angles(rope, count, (row) => placeOf(cache.seen + row), length),
    };
  }

  dispose(): void {
    this.table.dispose();
    this.store.dispose();
  }
}
