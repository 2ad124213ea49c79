/**
 * Attention under dynamic NTK, whose base changes with the length of the context: keys are kept unrotated, and before a
 * row attends, all keys it sees are rotated into scratch pages under the base of its own length. Exact, whatever the
 * chunks; beyond the trained length it costs a pass over the cached keys per token.
 *
 * Lengths differ by sequence, and by head set where distances count in the cache. So the head sets of a layer go one after
 * the other, each for all sequences; each set's queries are rotated once.
 */
import { type RopeSpec, ropeFrequencies, writeAngles } from "../position/rope.js";
import type { Angles, Backend } from "../tensor/backend.js";
import { type KvLayout, type KvSlice, PAGE_TOKENS } from "../tensor/kv.js";
import type { Tensor } from "../tensor/tensor.js";
import { HeldPages } from "./held-pages.js";
import type { HeadPart } from "./layer-cache.js";
import type { PagePools } from "./page-pools.js";
import type { StepPlan } from "./step-plan.js";

/** Pages of rotated keys, for layers of up to `heads` KV heads. */
export class DynamicScratch {
  private readonly pages: HeldPages;

  constructor(pools: PagePools, layout: KvLayout, layer: number) {
    this.pages = new HeldPages(pools, layout, layer);
  }

  get heads(): number {
    return this.pages.store.layout.members;
  }
  get bytes(): number {
    return this.pages.bytes;
  }

  /** Room for what the slice's table holds. @throws MemoryError */
  like({ table, heads }: KvSlice): KvSlice {
    const { pages } = this;
    pages.grow(table.length);
    return { store: pages.store, table: pages.table, member: 0, heads };
  }

  dispose(): void {
    this.pages.dispose();
  }
}

/** Angles of a step under dynamic NTK. */
export class DynamicAngles {
  private readonly keys: { rope: RopeSpec; plan: StepPlan; angles: Angles }[] = [];
  private buffer = new Float32Array(0);

  constructor(private readonly backend: Backend) {}

  clear(): void {
    this.keys.length = 0;
  }

  /** Of the keys in all slots of the part's table: once a step for all layers whose tables hold the same tokens. */
  ofKeys(rope: RopeSpec, { plan, slice }: HeadPart): Angles {
    const known = this.keys.find((one) => one.rope === rope && sameKeys(one.plan, plan));
    if (known) return known.angles;
    const slots = slice.table.length * PAGE_TOKENS;
    const places = placesOf(plan);
    const values = this.numbers(slots * rope.dims);
    const frequencies = ropeFrequencies(rope, places.length);
    for (let slot = 0; slot < slots; slot++) {
      writeAngles(frequencies, places.of(plan.group.positionOf(slot)), values, slot);
    }
    const angles = { layout: rope.layout, dims: rope.dims, values: this.backend.input(values) };
    this.keys.push({ rope, plan, angles });
    return angles;
  }

  /** The queries of the parts' rows; others are left as they are. */
  rotateQueries(ops: Backend, q: Tensor, headWidth: number, rope: RopeSpec, parts: readonly HeadPart[]): Tensor {
    const values = this.numbers(q.rows * rope.dims);
    values.fill(0);
    for (const { plan } of parts) {
      const places = placesOf(plan);
      const frequencies = ropeFrequencies(rope, places.length);
      const seen = places.last + 1 - plan.count;
      for (let row = 0; row < plan.count; row++) {
        writeAngles(frequencies, places.of(seen + row), values, plan.first + row);
      }
    }
    const angles = { layout: rope.layout, dims: rope.dims, values: this.backend.input(values) };
    return ops.rotate(q, headWidth, angles);
  }

  private numbers(count: number): Float32Array {
    if (this.buffer.length < count) this.buffer = new Float32Array(count);
    return this.buffer.subarray(0, count);
  }
}

/** Whether keys stand at the same places, whatever is seen of them. */
function sameKeys(a: StepPlan, b: StepPlan): boolean {
  return a === b || (a.group === b.group && a.stands && b.stands);
}

/**
 * Places from which a set counts distance, of the positions that the step's last row sees, and how many there are. All rows
 * of a step have one base: KvCache.stepLimit sees to it.
 */
function placesOf({ retention, lastRow, stands }: StepPlan) {
  const ranges = retention.visible(lastRow);
  // Of positions before a range that is gone the place may be anything: they are masked.
  const placeOf = (position: number): number => {
    let place = 0;
    for (const { start, end } of ranges) {
      if (position < end) return place + Math.max(0, position - start);
      place += end - start;
    }
    return place;
  };
  const of = stands ? (position: number) => position : placeOf;
  return { of, last: lastRow, length: of(lastRow) + 1 };
}
