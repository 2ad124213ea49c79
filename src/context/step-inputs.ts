/**
 * Host numbers of a step that layers share, uploaded by the first that asks: spans and places by plan, rotations by plan
 * and rope, slopes and buckets by their spec.
 */
import type { AlibiSpec } from "../position/alibi.js";
import { type RelativeSpec, relativeBuckets } from "../position/relative.js";
import { type RopeSpec, ropeFrequencies, writeAngles } from "../position/rope.js";
import type { RopeFrequencies } from "../position/rope-scaling.js";
import type { Angles, Backend } from "../tensor/backend.js";
import type { StepInput } from "../tensor/tensor.js";
import type { RetentionGroup } from "./retention.js";
import { StepPlan } from "./step-plan.js";

export interface Rotation {
  /** Of the keys, and of queries that are not moved. */
  readonly keys: Angles;
  /** Of the queries of each range; the same object as `keys` where none is moved. */
  readonly queries: readonly Angles[];
}

/** What a step uploads for the layers of one plan. */
export class PlanInputs {
  readonly spans: StepInput;
  private readonly rotations = new Map<RopeSpec, Rotation>();
  private uploadedPlaces: StepInput | undefined;

  constructor(
    private readonly inputs: StepInputs,
    readonly plan: StepPlan,
    /** Position of the first row. */
    private readonly start: number,
  ) {
    this.spans = inputs.backend.input(plan.spans.subarray(0, plan.count * plan.ranges * 2));
  }

  get places(): StepInput {
    const { plan } = this;
    this.uploadedPlaces ??= this.inputs.backend.input(plan.places.subarray(0, plan.count * plan.ranges));
    return this.uploadedPlaces;
  }

  rotation(rope: RopeSpec): Rotation {
    const known = this.rotations.get(rope);
    if (known) return known;
    const { count, ranges, moved, queryPositions } = this.plan;
    const keys = this.inputs.angles(rope, count, (row) => this.start + row);
    const queries = moved.map((isMoved, range) =>
      isMoved ? this.inputs.angles(rope, count, (row) => queryPositions[row * ranges + range]) : keys,
    );
    const made = { keys, queries };
    this.rotations.set(rope, made);
    return made;
  }
}

export class StepInputs {
  private readonly byPlan = new Map<StepPlan, PlanInputs>();
  private readonly bySpec = new Map<AlibiSpec | RelativeSpec, StepInput>();
  private readonly bucketTables = new Map<RelativeSpec, Int32Array>();
  private readonly fixedFrequencies = new Map<RopeSpec, RopeFrequencies>();
  private plans: ReadonlyMap<RetentionGroup, StepPlan> = new Map();
  private angleBuffer = new Float32Array(0);
  private start = 0;

  constructor(
    readonly backend: Backend,
    /** Tokens that the text may come to fill, from which LongRoPE chooses. */
    private readonly contextSize: number,
  ) {}

  /** Begins a step whose first row is at position `start`. */
  begin(plans: ReadonlyMap<RetentionGroup, StepPlan>, start: number): void {
    this.plans = plans;
    this.start = start;
    this.byPlan.clear();
    this.bySpec.clear();
  }

  of(group: RetentionGroup): PlanInputs {
    const plan = this.plans.get(group) ?? new StepPlan();
    const known = this.byPlan.get(plan);
    if (known) return known;
    const made = new PlanInputs(this, plan, this.start);
    this.byPlan.set(plan, made);
    return made;
  }

  /** f32 [H] */
  slopes(alibi: AlibiSpec): StepInput {
    return this.shared(alibi, () => alibi.slopes);
  }

  /** i32 [2 n + 1] */
  buckets(relative: RelativeSpec): StepInput {
    return this.shared(relative, () => {
      const table = this.bucketTables.get(relative) ?? relativeBuckets(relative);
      this.bucketTables.set(relative, table);
      return table;
    });
  }

  private shared(spec: AlibiSpec | RelativeSpec, numbers: () => Float32Array | Int32Array): StepInput {
    const known = this.bySpec.get(spec);
    if (known) return known;
    const made = this.backend.input(numbers());
    this.bySpec.set(spec, made);
    return made;
  }

  /** Angles of `count` rows at the positions that `at` gives; `length`: of the text, for dynamic NTK. */
  angles(rope: RopeSpec, count: number, at: (row: number) => number, length?: number): Angles {
    const frequencies = length === undefined ? this.frequencies(rope) : ropeFrequencies(rope, length);
    const size = count * rope.dims;
    if (this.angleBuffer.length < size) this.angleBuffer = new Float32Array(size);
    for (let row = 0; row < count; row++) writeAngles(frequencies, at(row), this.angleBuffer, row);
    return { layout: rope.layout, dims: rope.dims, values: this.backend.input(this.angleBuffer.subarray(0, size)) };
  }

  private frequencies(rope: RopeSpec): RopeFrequencies {
    const known = this.fixedFrequencies.get(rope);
    if (known) return known;
    const made = ropeFrequencies(rope, this.contextSize);
    this.fixedFrequencies.set(rope, made);
    return made;
  }
}
