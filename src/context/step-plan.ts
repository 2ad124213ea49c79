/**
 * What one step of one sequence needs besides its tokens, worked out once for all heads that keep the same tokens: the slots
 * that each row sees, and where its query stands for each range.
 *
 * A key is rotated once, at its text position. Where distance counts in the cache, the query of an earlier range is
 * rotated at a position moved back by the gaps that lie between that range and the query: the same scores as rotating
 * all cached keys anew at their places in the cache, at a cost per step that does not depend on the window.
 *
 * The queries of a layer are counted from the newest range, which is never moved and is the query 0 of all head sets. A set
 * of heads whose distances count in the cache has queries of its own for earlier ranges; those of all others stand where their
 * rows do, so they share them.
 */
import { PAGE_TOKENS } from "../tensor/kv.js";
import { type Range, totalLength } from "../util/ranges.js";
import type { Retention } from "./head-sets.js";
import type { Origin } from "./mixer-state.js";
import { choosePages, type PageChoice } from "./page-choice.js";
import type { RetentionGroup } from "./retention-group.js";

export class StepPlan {
  count = 0;
  /** The first row in the tensors of the step, and where its spans begin in those of the step, counted in pairs. */
  first = 0;
  offset = 0;
  /** Position of the last row. */
  lastRow = 0;
  /** The slot of the first row's own token. */
  slot = 0;
  /** R: queries that its rows use, those of sets before it that it has no part in included, for which its ranges are empty. */
  ranges = 0;
  /** i32 [T, R, 2]: slots. */
  spans = new Int32Array(0);
  /** i32 [T, R]: the slot in which a key of the range would be at distance 0. */
  places = new Int32Array(0);
  /** What of these pages its row reads; undefined: all that it sees. Its spans follow those of the rows, in slots of the lists. */
  choice: PageChoice | undefined;
  /** Tokens that the last row reads: of a set whose heads choose in some layers, in those. */
  readTokens = 0;
  /** Most ranges of any row. A row with fewer lacks the earliest: its last range, which ends at the query, is always query 0. */
  own = 0;
  /** Queries of the sets before this one, beside query 0. */
  private before = 0;
  /** [own, T]: position at which the query is rotated, by range, from the newest. */
  private positions = new Float64Array(0);
  private readonly moved: boolean[] = [];
  private readonly rows: Range[][] = [];

  /** Position of the first row. */
  private start = 0;

  /**
   * @param group one of those that keep these tokens
   * @param retention what is seen of them
   */
  constructor(
    readonly group: RetentionGroup,
    readonly retention: Retention,
  ) {}

  /** Whether its queries stand where their rows do. */
  get stands(): boolean {
    return this.retention.distance === "text";
  }

  /** Fills the plan for the rows at positions [start, start + count). Buffers grow and stay. */
  fill(start: number, count: number, { origin, before }: { readonly origin: Origin; readonly before: number }): void {
    const { group, retention, rows } = this;
    this.start = start;
    this.count = count;
    this.before = before;
    this.lastRow = start + count - 1;
    this.slot = group.slotOf(start);
    this.own = 1;
    // Any row may have the most ranges: where a window of the model cuts the sinks off, those in the middle of a chunk may.
    for (let row = 0; row < count; row++) {
      rows[row] = retention.visible(start + row);
      this.own = Math.max(this.own, rows[row].length);
    }
    this.ranges = this.own === 1 ? 1 : before + this.own;
    const visible = group.cut(rows[count - 1], this.lastRow);
    const { reading } = group;
    this.choice = reading && count === 1 && origin === "written" ? choosePages(visible, reading) : undefined;
    this.grow(count);
    for (let row = 0; row < count; row++) this.fillRow(start + row, row);
    rows.length = 0;
    this.readTokens = this.choice ? this.fillLists(this.choice) : totalLength(visible);
  }

  /** Pairs of spans: those of the rows, and where its row chooses those of the lists. */
  get pairs(): number {
    return (this.count + (this.choice ? 1 : 0)) * this.ranges;
  }

  /** Where the spans of the lists begin in those of the step. */
  get listOffset(): number {
    return this.offset + this.ranges;
  }

  /**
   * The spans of the only row, in slots of the lists: the pages of earlier ranges as they are, one after the other, then those
   * that are chosen of the newest, of which the last is the row's own. Returns their tokens. Distances are those of the table.
   */
  private fillLists({ pages }: PageChoice): number {
    const { spans, places, ranges } = this;
    let entries = 0;
    let tokens = 0;
    for (let range = 0; range < ranges; range++) {
      const [start, end] = [spans[range * 2], spans[range * 2 + 1]];
      const at = ranges + range;
      places[at] = places[range];
      if (start === end) continue;
      const first = range < ranges - 1 ? start % PAGE_TOKENS : 0;
      const length = range < ranges - 1 ? end - start : (pages - 1) * PAGE_TOKENS + ((end - 1) % PAGE_TOKENS) + 1;
      spans[at * 2] = entries * PAGE_TOKENS + first;
      spans[at * 2 + 1] = spans[at * 2] + length;
      entries += Math.ceil((first + length) / PAGE_TOKENS);
      tokens += length;
    }
    return tokens;
  }

  private grow(count: number): void {
    const { pairs } = this;
    if (this.spans.length < pairs * 2) this.spans = new Int32Array(pairs * 2);
    if (this.places.length < pairs) this.places = new Int32Array(pairs);
    if (this.positions.length < count * this.own) this.positions = new Float64Array(count * this.own);
    this.spans.fill(0, 0, pairs * 2);
    this.places.fill(0, 0, pairs);
    this.moved.length = 0;
    for (let range = 0; range < this.own; range++) this.moved.push(false);
  }

  private fillRow(t: number, row: number): void {
    const { group, count } = this;
    const counted = this.rows[row];
    const visible = group.cut(counted, t);
    const inCache = !this.stands;
    for (let range = 0, gap = 0; range < this.own; range++) {
      const index = counted.length - 1 - range;
      this.positions[range * count + row] = t;
      if (index < 0) continue;
      if (inCache && range > 0) gap += counted[index + 1].start - counted[index].end;
      this.positions[range * count + row] = t - gap;
      if (gap > 0) this.moved[range] = true;
      const seen = partOf(counted[index], visible);
      if (!seen) continue;
      const slot = group.slotOf(seen.start);
      const at = row * this.ranges + this.ranges - 1 - this.queryOf(range);
      this.spans[at * 2] = slot;
      this.spans[at * 2 + 1] = slot + (seen.end - seen.start);
      this.places[at] = slot + (t - gap - seen.start);
    }
  }

  /**
   * The rows as attention reads them, as [first, count): at most `most` together, counted from the first, so that a step of fewer
   * of a prompt's rows, cut at a multiple of that, has the same runs. Where rows that see the same are read once for all,
   * others are not among them.
   */
  runs(most: number): readonly (readonly [first: number, count: number])[] {
    const { start, count, retention } = this;
    const { alike = Number.POSITIVE_INFINITY } = retention;
    const runs: [number, number][] = [];
    for (let row = 0; row < count; ) {
      const end = Math.min(count, row + most - (row % most), row + alike - ((start + row) % alike));
      runs.push([row, end - row]);
      row = end;
    }
    return runs;
  }

  private queryOf(range: number): number {
    return range === 0 ? 0 : this.before + range;
  }

  /** The range, from the newest, for which rows use a query; undefined: it is another set's, or query 0, which never moves. */
  private rangeOf(query: number): number | undefined {
    const range = query - this.before;
    return query > 0 && range > 0 && range < this.own ? range : undefined;
  }

  /** Whether the query stands elsewhere than the row for some rows. */
  moves(query: number): boolean {
    const range = this.rangeOf(query);
    return range !== undefined && this.moved[range];
  }

  /** The position at which the query of a row is rotated. */
  position(query: number, row: number): number {
    return this.positions[(this.rangeOf(query) ?? 0) * this.count + row];
  }
}

/** The part of a range that the model's own window leaves visible. */
function partOf(range: Range, visible: readonly Range[]): Range | undefined {
  return visible.find((candidate) => candidate.start < range.end && range.start < candidate.end);
}

/** The plans of the head sets of a layer, shared by all layers with the same sets. */
export class LayerPlans {
  /** Queries that a step's rows need. */
  queries = 0;

  constructor(readonly plans: readonly StepPlan[]) {}

  /** Of the set that reads most. */
  get readTokens(): number {
    return this.plans.reduce((most, plan) => Math.max(most, plan.readTokens), 0);
  }

  fill(start: number, count: number, origin: Origin): void {
    this.queries = 1;
    for (const plan of this.plans) {
      if (!plan.stands) continue;
      plan.fill(start, count, { origin, before: 0 });
      this.queries = Math.max(this.queries, plan.own);
    }
    for (const plan of this.plans) {
      if (plan.stands) continue;
      plan.fill(start, count, { origin, before: this.queries - 1 });
      this.queries += plan.own - 1;
    }
  }

  /** The plan whose rows use the query; undefined where none moves it. */
  planOf(query: number): StepPlan | undefined {
    return this.plans.find((plan) => plan.moves(query));
  }
}
