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
  const plansOf = (members: readonly RetentionGroup[]): LayerPlans => {
    const leaders = distinct(members);
    const known = shared.find(
      ({ plans }) => plans.length === leaders.length && plans.every(({ group }, i) => sameTokens(group, leaders[i])),
    );
    if (known) return known;
    const made = new LayerPlans(leaders.map((group) => new StepPlan(group)));
    shared.push(made);
    return made;
  };
  return new Map(
    shapes.map((shape) => {
      const slices = layouts.flatMap(({ members }, index) =>
        members
          .filter(({ layer }) => layer === shape.layer)
          .map(({ heads, member }) => ({ heads, member, group: groups[index] })),
      );
      const plans = plansOf(slices.map(({ group }) => group));
      const parts = slices.flatMap(({ heads, member, group }) =>
        plans.plans
          .filter((plan) => sameTokens(plan.group, group))
          .map((plan) => new HeadPart({ store: group.store, table: group.table, member, heads }, group, plan)),
      );
      return [shape.layer, { shape, plans, parts }];
    }),
  );
}

/** Groups that keep the same tokens differ in their place, or in the widths of their heads. */
function sameTokens(a: RetentionGroup, b: RetentionGroup): boolean {
  return a.retention === b.retention && a.window === b.window;
}

function distinct(groups: readonly RetentionGroup[]): RetentionGroup[] {
  return groups.filter((group, i) => groups.findIndex((other) => sameTokens(other, group)) === i);
}
