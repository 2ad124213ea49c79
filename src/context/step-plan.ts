/**
 * What one step of one sequence needs besides its tokens, worked out once for all layers of a retention group: the slots
 * that each row sees, and where its query stands for each range.
 *
 * A key is rotated once, at its text position. Where distance counts in the cache, the query of an earlier range is
 * rotated at a position moved back by the gaps that lie between that range and the query: the same scores as rotating
 * all cached keys anew at their places in the cache, at a cost per step that does not depend on the window.
 */
import type { Range } from "../util/ranges.js";
import type { ContextPolicy } from "./policy.js";
import type { RetentionGroup } from "./retention.js";

export class StepPlan {
  /** R: ranges per row. Rows with fewer have empty ones in front, so the last range always ends at the query. */
  ranges = 0;
  /** i32 [T, R, 2]: slots. */
  spans = new Int32Array(0);
  /** [T, R]: position at which the query is rotated for the range. */
  queryPositions = new Float64Array(0);
  /** i32 [T, R]: the slot in which a key of the range would be at distance 0. */
  places = new Int32Array(0);
  /** Per range: whether any row's query is moved. */
  moved: boolean[] = [];
  count = 0;

  /** Fills the plan for the rows at positions [start, start + count). Buffers grow and stay. */
  fill(group: RetentionGroup, policy: ContextPolicy, start: number, count: number): void {
    this.count = count;
    // What is visible only shrinks into more ranges as the text grows, so the last row has the most.
    this.ranges = Math.max(policy.visible(start).length, policy.visible(start + count - 1).length);
    const size = count * this.ranges;
    if (this.spans.length < size * 2) this.spans = new Int32Array(size * 2);
    if (this.queryPositions.length < size) this.queryPositions = new Float64Array(size);
    if (this.places.length < size) this.places = new Int32Array(size);
    this.moved = new Array<boolean>(this.ranges).fill(false);
    for (let row = 0; row < count; row++) this.fillRow(group, policy, start + row, row);
  }

  private fillRow(group: RetentionGroup, policy: ContextPolicy, t: number, row: number): void {
    const counted = policy.visible(t);
    const visible = group.visible(t);
    const padding = this.ranges - counted.length;
    this.spans.fill(0, row * this.ranges * 2, (row + 1) * this.ranges * 2);
    for (let range = this.ranges - 1, gap = 0; range >= 0; range--) {
      const index = range - padding;
      const at = row * this.ranges + range;
      this.queryPositions[at] = t;
      if (index < 0) continue;
      if (policy.distance === "cache" && index + 1 < counted.length)
        gap += counted[index + 1].start - counted[index].end;
      this.queryPositions[at] = t - gap;
      if (gap > 0) this.moved[range] = true;
      const seen = partOf(counted[index], visible);
      if (!seen) continue;
      const slot = group.slotOf(seen.start);
      this.spans[at * 2] = slot;
      this.spans[at * 2 + 1] = slot + (seen.end - seen.start);
      this.places[at] = slot + (t - gap - seen.start);
    }
  }
}

/** The part of a policy's range that the model's own window leaves visible. */
function partOf(range: Range, visible: readonly Range[]): Range | undefined {
  return visible.find((candidate) => candidate.start < range.end && range.start < candidate.end);
}
