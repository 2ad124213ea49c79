/** One attention layer of one sequence: its head sets' keys and values, and what the running step sees of them. */
import type { AppendPart, AttentionPart } from "../tensor/backend.js";
import type { KvSlice } from "../tensor/kv.js";
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

  /** For attention: the part cut where its rows see something else. */
  runs(): readonly AttentionPart[] {
    const { slice, plan } = this;
    const { first, offset, ranges } = plan;
    const runs = plan.runs();
    if (runs.length === 1) return [this];
    return runs.map(([row, rows]) => ({ slice, first: first + row, rows, ranges, spans: offset + row * ranges }));
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
    const leaders = distinct(sights);
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
          .map(({ heads, retention, member }) => ({ heads, retention, member, group: groups[index] })),
      );
      const plans = plansOf(slices);
      const parts = slices.flatMap(({ heads, member, group, retention }) =>
        plans.plans
          .filter((plan) => sameTokens(plan, { group, retention }))
          .map((plan) => new HeadPart({ store: group.store, table: group.table, member, heads }, group, plan)),
      );
      return [shape.layer, { shape, plans, parts }];
    }),
  );
}

/** What some heads see, and the group that keeps it. */
type Sight = Pick<StepPlan, "group" | "retention">;

/** Groups that keep the same tokens differ in their place, or in the widths of their heads. */
function sameTokens(a: Sight, b: Sight): boolean {
  return a.retention === b.retention && a.group.window === b.group.window;
}

function distinct(sights: readonly Sight[]): Sight[] {
  return sights.filter((sight, i) => sights.findIndex((other) => sameTokens(other, sight)) === i);
}
