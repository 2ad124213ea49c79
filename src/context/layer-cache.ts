/** One attention layer of one sequence: its head sets' keys and values, and what the running step sees of them. */
import type { AppendPart, AttentionPart, BoundPart, SelectedPages, SelectPart } from "../tensor/backend.js";
import { type BoundsPlace, type KvBounds, type KvSlice, PAGE_TOKENS } from "../tensor/kv.js";
import type { GroupLayout } from "./kv-layout.js";
import type { AttentionShape } from "./mixer-state.js";
import type { RetentionGroup } from "./retention-group.js";
import { LayerPlans, StepPlan } from "./step-plan.js";

/** The rows of one sequence and one head set in a layer's calls. */
export class HeadPart implements AppendPart, AttentionPart {
  constructor(
    readonly slice: KvSlice,
    readonly group: RetentionGroup,
    readonly plan: StepPlan,
    /** Of heads that choose what they read. */
    readonly ownBounds?: KvBounds,
  ) {}

  get first(): number {
    return this.plan.first;
  }
  get rows(): number {
    return this.plan.count;
  }
  get slot(): number {
    return this.plan.slot;
  }
  get ranges(): number {
    return this.plan.ranges;
  }
  get spans(): number {
    return this.plan.offset;
  }

  /** For attention: the part cut into runs of at most `most` rows (see StepPlan.runs). */
  runs(most: number): readonly AttentionPart[] {
    const { slice, plan } = this;
    const { first, offset, ranges } = plan;
    if (plan.count === 1) return [this];
    const runs = plan.runs(most);
    if (runs.length === 1) return [this];
    return runs.map(([row, rows]) => ({ slice, first: first + row, rows, ranges, spans: offset + row * ranges }));
  }

  /** Where the bounds of the pages of its rows go. */
  get bounds(): BoundsPlace | undefined {
    const { ownBounds, plan, group } = this;
    if (!ownBounds) return undefined;
    return { bounds: ownBounds, at: group.boundsPlace(plan.lastRow + 1 - plan.count) };
  }

  /** Whether its row reads a choice of what it sees. */
  get chooses(): boolean {
    return this.ownBounds !== undefined && this.plan.choice !== undefined;
  }

  /** What its row is to choose; undefined: all rows read what they see. */
  get selecting(): SelectPart | undefined {
    const { slice, ownBounds, plan, group, first, ranges, spans } = this;
    if (!ownBounds || !plan.choice) return undefined;
    const { first: page, pages, oldest, newest } = plan.choice;
    const at = group.boundsPlace(page * PAGE_TOKENS);
    return { slice, bounds: ownBounds, first, ranges, spans, at, pages, oldest, newest };
  }

  /** The part as attention reads it once its pages were selected. */
  reading(selection: SelectedPages): AttentionPart {
    const { slice, plan, first, rows, ranges } = this;
    return { slice, first, rows, ranges, spans: plan.listOffset, selection };
  }

  /** Bounds of all pages that are held of a text of `seen` tokens, which were stored before. */
  bounded(seen: number): readonly BoundPart[] {
    const { slice, ownBounds, group } = this;
    if (!ownBounds) return [];
    return group.held.map(({ first, count }) => {
      const [start, end] = [first * PAGE_TOKENS, Math.min((first + count) * PAGE_TOKENS, seen)];
      const bounds = { bounds: ownBounds, at: group.boundsPlace(start) };
      return { slice, bounds, slot: group.slotOf(start), rows: end - start };
    });
  }
}

export interface LayerCache {
  readonly shape: AttentionShape;
  readonly plans: LayerPlans;
  /** One for each head set. */
  readonly parts: readonly HeadPart[];
}

/** The layers with their parts of the groups, each by the layout at its place. */
export function layerCaches(
  shapes: readonly AttentionShape[],
  layouts: readonly GroupLayout[],
  groups: readonly RetentionGroup[],
): ReadonlyMap<number, LayerCache> {
  const shared: LayerPlans[] = [];
  const plansOf = (sights: readonly Sight[]): LayerPlans => {
    const leaders = distinct(sights).map((sight) => leaderOf(groups, sight));
    const known = shared.find(
      ({ plans }) => plans.length === leaders.length && plans.every((plan, i) => sameTokens(plan, leaders[i])),
    );
    if (known) return known;
    const made = new LayerPlans(leaders.map(({ group, retention }) => new StepPlan(group, retention)));
    shared.push(made);
    return made;
  };
  return new Map(
    shapes.map((shape) => {
      const slices = layouts.flatMap(({ members }, index) =>
        members
          .filter(({ layer }) => layer === shape.layer)
          .map(({ heads, retention, member, bounded }) => ({
            heads,
            retention,
            member,
            bounded,
            group: groups[index],
          })),
      );
      const plans = plansOf(slices);
      const parts = slices.flatMap(({ heads, member, bounded, group, retention }) =>
        plans.plans
          .filter((plan) => sameTokens(plan, { group, retention }))
          .map((plan) => {
            const slice = { store: group.store, table: group.table, member, heads };
            return new HeadPart(slice, group, plan, boundsOf(group, bounded));
          }),
      );
      return [shape.layer, { shape, plans, parts }];
    }),
  );
}

/** What some heads see, and the group that keeps it. */
type Sight = Pick<StepPlan, "group" | "retention">;

/** Of the groups that keep the same one that has bounds, if any has: by its reading the plan chooses. */
function leaderOf(groups: readonly RetentionGroup[], { group, retention }: Sight): Sight {
  const bounded = groups.find(
    (other) => other.retention === group.retention && other.window === group.window && other.reading,
  );
  return { group: bounded ?? group, retention };
}

/** @param member undefined: its heads read everything */
function boundsOf({ bounds }: RetentionGroup, member: number | undefined): KvBounds | undefined {
  return bounds && member !== undefined ? { store: bounds.store, table: bounds.table, member } : undefined;
}

/** Groups that keep the same tokens differ in their place, or in the widths of their heads. */
function sameTokens(a: Sight, b: Sight): boolean {
  return a.retention === b.retention && a.group.window === b.group.window;
}

function distinct(sights: readonly Sight[]): Sight[] {
  return sights.filter((sight, i) => sights.findIndex((other) => sameTokens(other, sight)) === i);
}
