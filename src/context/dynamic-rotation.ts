/**
 * Attention under dynamic NTK, whose base changes with the length of the context: keys are kept unrotated, and before a
 * row attends, all keys it sees are rotated into scratch pages under the base of its own length. Exact, whatever the
 * chunks; beyond the trained length it costs a pass over the cached keys per token.
 */
import type { RopeSpec } from "../position/rope.js";
import type { Angles, Backend } from "../tensor/backend.js";
import { type KvSlice, PAGE_TOKENS } from "../tensor/kv.js";
import type { Tensor } from "../tensor/tensor.js";
import type { KvCache, StepInputs } from "./kv-cache.js";
import type { RetentionGroup } from "./retention.js";

export interface DynamicAttention {
  readonly q: Tensor;
  readonly out: Tensor;
  readonly inputs: StepInputs;
  readonly group: number;
  readonly scale: number;
}

export class DynamicRotation {
  private readonly scratch: KvSlice;

  constructor(
    private readonly cache: KvCache,
    private readonly rope: RopeSpec,
    private readonly retention: RetentionGroup,
    private readonly slice: KvSlice,
  ) {
    const store = cache.backend.kvStore({ ...retention.layout, members: slice.heads });
    this.scratch = { store, table: store.table(), member: 0, head: slice.head, heads: slice.heads };
  }

  /** All rows of the step have one base: KvCache.stepLimit sees to it. */
  attend(ops: Backend, { q, out, inputs, group, scale }: DynamicAttention): void {
    const { plan } = inputs;
    const slots = this.slice.table.length * PAGE_TOKENS;
    while (this.scratch.table.length < this.slice.table.length) this.scratch.table.push(this.scratch.store.alloc());
    const { keys, queries } = this.stepAngles(plan.count, slots);
    ops.rotatePages(this.slice, this.scratch, slots, keys);
    const rotated = ops.rotate(q, this.retention.layout.keyWidth, queries);
    const repeated = new Array<Tensor>(plan.ranges).fill(rotated);
    ops.attention({ out, queries: repeated, spans: inputs.spans, slice: this.scratch, group, scale });
  }

  /** Angles of the keys in all slots and of the rows, at the places from which the policy counts distance. */
  private stepAngles(count: number, slots: number): { keys: Angles; queries: Angles } {
    const { cache, rope, retention } = this;
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
      keys: cache.angles(rope, slots, (slot) => placeOf(retention.positionOf(slot)), length),
      queries: cache.angles(rope, count, (row) => placeOf(cache.seen + row), length),
    };
  }

  dispose(): void {
    this.scratch.table.dispose();
    this.scratch.store.dispose();
  }
}
