/**
 * The key/value cache of one sequence under one policy: pages by retention group, ranges and rotations by step, one
 * AttentionState per layer. Memory follows the policy, not the text.
 */
import { type RopeSpec, ropeFrequencies, writeAngles } from "../position/rope.js";
import type { RopeFrequencies } from "../position/rope-scaling.js";
import type { Angles, Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import { type KvLayout, type KvSlice, PAGE_TOKENS } from "../tensor/kv.js";
import type { StepInput, Tensor } from "../tensor/tensor.js";
import { ArgumentError, ContextFullError } from "../util/errors.js";
import { DynamicRotation } from "./dynamic-rotation.js";
import type { AttentionShape, AttentionState, SequenceState } from "./mixer-state.js";
import type { ContextPolicy } from "./policy.js";
import { RetentionGroup } from "./retention.js";
import { StepPlan } from "./step-plan.js";

export interface KvCacheOptions {
  readonly policy: ContextPolicy;
  readonly keyType: KvType;
  readonly valueType: KvType;
  /** Most tokens when the policy frees none. */
  readonly limit: number;
}

/** Everything that layers of one group and one rotation share in a step. */
export interface StepInputs {
  readonly plan: StepPlan;
  readonly spans: StepInput;
  /** Rotation of the keys (and of queries that are not moved); undefined without rope. */
  readonly keyAngles: Angles | undefined;
  /** Rotation of the queries of each range; the same object as keyAngles where no query is moved. */
  readonly queryAngles: readonly (Angles | undefined)[];
}

export class KvCache implements SequenceState {
  readonly layers: readonly LayerState[];
  readonly groups: readonly RetentionGroup[];
  seen = 0;
  private pending = 0;
  private disposed = false;
  /** One for all groups with the same window: they differ in their place, or in the widths of their heads. */
  private readonly plans: ReadonlyMap<RetentionGroup, StepPlan>;
  /** One group of each plan. */
  private readonly leaders: readonly RetentionGroup[];
  private readonly dynamicLimit: number;
  /** Shared inputs of the current step, uploaded by the first layer that asks. */
  private readonly inputs = new Map<StepPlan, Map<RopeSpec | undefined, StepInputs>>();
  private readonly fixedFrequencies = new Map<RopeSpec, RopeFrequencies>();
  /** Layers run one after another, so those of a group share scratch pages. */
  private readonly dynamic = new Map<RetentionGroup, DynamicRotation>();
  private angleBuffer = new Float32Array(0);

  constructor(
    readonly backend: Backend,
    shapes: readonly AttentionShape[],
    readonly options: KvCacheOptions,
  ) {
    const { groups, layers } = arrange(this, backend, shapes, options);
    this.groups = groups;
    this.layers = layers;
    this.leaders = groups.filter((group, i) => groups.findIndex(({ window }) => window === group.window) === i);
    const plans = new Map(this.leaders.map(({ window }) => [window, new StepPlan()]));
    this.plans = new Map(groups.map((group) => [group, plans.get(group.window) ?? new StepPlan()]));
    this.dynamicLimit = Math.min(
      ...shapes.map(({ rope }) =>
        rope?.scaling.kind === "dynamic" ? rope.scaling.originalContext : Number.POSITIVE_INFINITY,
      ),
    );
  }

  get usedBytes(): number {
    return this.groups.reduce((sum, group) => sum + group.store.usedBytes, 0);
  }

  /** Tokens held and visible: of the group that keeps most. */
  get kept(): number {
    return this.groups.reduce((most, group) => Math.max(most, group.kept(this.seen)), 0);
  }

  /** How many of the newest tokens can be recalled (by the group that keeps most); null while nothing has been lost. */
  get horizon(): number | null {
    if (this.kept === this.seen) return null;
    return this.groups.reduce((most, group) => {
      const newest = group.visible(this.seen - 1).at(-1);
      return newest ? Math.max(most, newest.end - newest.start) : most;
    }, 0);
  }

  /** First tokens that are kept for ever: the policy's sinks, where the model's own window lets them be seen. */
  get sinks(): number {
    if (this.kept === this.seen) return this.options.policy.sinks;
    return this.groups.reduce((most, group) => {
      const [first, ...others] = group.visible(this.seen - 1);
      return others.length > 0 && first.start === 0 ? Math.max(most, first.end) : most;
    }, 0);
  }

  /** Beyond the trained length dynamic NTK has another base for every token, so rows go one by one. */
  stepLimit(wanted: number): number {
    const { distance, budget } = this.options.policy;
    if (this.dynamicLimit === Number.POSITIVE_INFINITY) return wanted;
    // Distances in the cache differ from row to row as soon as something is evicted.
    const reach = distance === "cache" ? Math.min(this.dynamicLimit, budget ?? this.dynamicLimit) : this.dynamicLimit;
    return Math.max(1, Math.min(wanted, reach - this.seen));
  }

  /** @throws ContextFullError when the policy frees nothing and `count` more tokens pass the limit */
  admit(count: number): void {
    const { policy, limit } = this.options;
    const needed = this.seen + count;
    if (policy.budget !== undefined || needed <= limit) return;
    throw new ContextFullError(
      `The context is full: ${this.seen} tokens are held, ${count} more were to be read, and the limit is ${limit}. ` +
        `Nothing was cut. Use a policy that frees tokens (for example "sinks:4,recent:${Math.max(1, limit - 4)}"), ` +
        `raise contextLength, or shorten the text by ${needed - limit} tokens.`,
      { seen: this.seen, needed, limit },
    );
  }

  begin(count: number): void {
    if (this.disposed) throw new ArgumentError("The session was disposed of while it was at work.");
    const { policy } = this.options;
    const needed = this.seen + count;
    this.admit(count);
    for (const group of this.groups) {
      if (this.pending > 0) group.truncate(this.seen);
      group.evict(this.seen);
    }
    this.pending = 0;
    for (const group of this.groups) group.store.reserve(group.missingPages(needed));
    this.pending = count;
    for (const group of this.groups) group.extend(needed);
    for (const group of this.leaders) this.plans.get(group)?.fill(group, policy, this.seen, count);
    this.inputs.clear();
  }

  end(): void {
    this.seen += this.pending;
    this.pending = 0;
  }

  stepInputs(group: RetentionGroup, rope: RopeSpec | undefined): StepInputs {
    const plan = this.plans.get(group) ?? new StepPlan();
    let byRope = this.inputs.get(plan);
    if (!byRope) {
      byRope = new Map();
      this.inputs.set(plan, byRope);
    }
    const known = byRope.get(rope);
    if (known) return known;
    const made = this.upload(plan, rope);
    byRope.set(rope, made);
    return made;
  }

  private upload(plan: StepPlan, rope: RopeSpec | undefined): StepInputs {
    const { ranges, count, spans } = plan;
    const spanInput = this.backend.input(spans.subarray(0, count * ranges * 2));
    if (!rope) return { plan, spans: spanInput, keyAngles: undefined, queryAngles: new Array(ranges).fill(undefined) };
    const keyAngles = this.angles(rope, count, (row) => this.seen + row);
    const queryAngles = plan.moved.map((moved, range) =>
      moved ? this.angles(rope, count, (row) => plan.queryPositions[row * ranges + range]) : keyAngles,
    );
    return { plan, spans: spanInput, keyAngles, queryAngles };
  }

  /** Angles of `count` rows at the positions that `at` gives, under the frequencies for a text of `length`. */
  angles(rope: RopeSpec, count: number, at: (row: number) => number, length = 0): Angles {
    const frequencies = this.frequencies(rope, length);
    const size = count * rope.dims;
    if (this.angleBuffer.length < size) this.angleBuffer = new Float32Array(size);
    for (let row = 0; row < count; row++) writeAngles(frequencies, at(row), this.angleBuffer, row);
    return { layout: rope.layout, dims: rope.dims, values: this.backend.input(this.angleBuffer.subarray(0, size)) };
  }

  /** Only dynamic NTK's depend on the length. */
  private frequencies(rope: RopeSpec, length: number): RopeFrequencies {
    if (rope.scaling.kind === "dynamic") return ropeFrequencies(rope, length);
    const known = this.fixedFrequencies.get(rope);
    if (known) return known;
    const made = ropeFrequencies(rope);
    this.fixedFrequencies.set(rope, made);
    return made;
  }

  /** Forgets everything; the memory stays for the next text. */
  clear(): void {
    for (const group of this.groups) group.truncate(0);
    this.seen = 0;
    this.pending = 0;
  }

  /** Gives all memory back. */
  dispose(): void {
    this.disposed = true;
    for (const dynamic of this.dynamic.values()) dynamic.dispose();
    for (const group of this.groups) group.dispose();
  }

  /** The scratch pages of a group's layers under dynamic NTK. */
  dynamicRotation(group: RetentionGroup, heads: number): DynamicRotation {
    const known = this.dynamic.get(group);
    if (known && known.heads >= heads) return known;
    known?.dispose();
    const made = new DynamicRotation(this, group, heads);
    this.dynamic.set(group, made);
    return made;
  }
}

/** The attention state of one layer: its place in its group, and the order of the backend's operations. */
class LayerState implements AttentionState {
  constructor(
    private readonly cache: KvCache,
    private readonly shape: AttentionShape,
    private readonly group: RetentionGroup,
    private readonly slice: KvSlice,
  ) {}

  attend(ops: Backend, q: Tensor, k: Tensor, v: Tensor, out: Tensor): void {
    const { shape, slice } = this;
    const group = shape.heads / shape.kvHeads;
    const dynamic = shape.rope?.scaling.kind === "dynamic" ? shape.rope : undefined;
    const inputs = this.cache.stepInputs(this.group, dynamic ? undefined : shape.rope);
    const slot = this.group.slotOf(this.cache.seen);
    ops.append({ keys: k, values: v, slice, slot, angles: inputs.keyAngles });
    if (dynamic) {
      const rotation = this.cache.dynamicRotation(this.group, slice.heads);
      rotation.attend(ops, { q, out, inputs, slice, rope: dynamic, group, scale: shape.scale });
      return;
    }
    const { keyAngles } = inputs;
    const unmoved = keyAngles ? ops.rotate(q, shape.keyWidth, keyAngles) : q;
    const queries = inputs.queryAngles.map((angles) =>
      angles === keyAngles || !angles ? unmoved : ops.rotate(q, shape.keyWidth, angles),
    );
    ops.attention({ out, queries, spans: inputs.spans, slice, group, scale: shape.scale });
  }
}

/** Puts layers with the same layout, window and place into one retention group. */
function arrange(cache: KvCache, backend: Backend, shapes: readonly AttentionShape[], options: KvCacheOptions) {
  const layouts = kvLayouts(shapes, options, backend);
  const groups = layouts.map(
    ({ layout, window, layers }) => new RetentionGroup(backend, layout, options.policy, window, layers[0]),
  );
  const taken = groups.map(() => 0);
  const layers = shapes.map((shape) => {
    const index = layouts.findIndex((candidate) => candidate.layers.includes(shape.layer));
    const group = groups[index];
    const slice: KvSlice = {
      store: group.store,
      table: group.table,
      member: taken[index],
      head: 0,
      heads: shape.kvHeads,
    };
    taken[index] += shape.kvHeads;
    return new LayerState(cache, shape, group, slice);
  });
  return { groups, layers };
}

export interface LayerLayout {
  readonly layout: KvLayout;
  readonly window: number | undefined;
  readonly layers: readonly number[];
}

/**
 * The page layouts that these layers need, with the number of members of each. Without a backend, or with one that has a
 * single place, layers that are alike share a layout.
 */
export function kvLayouts(
  shapes: readonly AttentionShape[],
  types: { readonly keyType: KvType; readonly valueType: KvType },
  backend?: Pick<Backend, "placeOf">,
): LayerLayout[] {
  const keyOf = ({ keyWidth, valueWidth, window, layer }: AttentionShape) =>
    `${keyWidth}/${valueWidth}/${window ?? ""}/${backend?.placeOf(layer) ?? 0}`;
  return [...new Set(shapes.map(keyOf))].map((key) => {
    const members = shapes.filter((shape) => keyOf(shape) === key);
    const { keyWidth, valueWidth, window } = members[0];
    const count = members.reduce((sum, shape) => sum + shape.kvHeads, 0);
    const { keyType, valueType } = types;
    const layout = { members: count, keyWidth, valueWidth, keyType, valueType };
    return { layout, window, layers: members.map(({ layer }) => layer) };
  });
}

/** How many tokens a cache may come to hold. */
export interface CacheExtent {
  /** Tokens that are kept between steps. */
  readonly tokens: number;
  /** Rows of a step, which are held beside what is kept while they are read. */
  readonly chunk: number;
  /** Tokens that are never exceeded, those of the step included; absent where the text has no end. */
  readonly limit?: number | undefined;
}

/** Most bytes that a cache of these layers takes. */
export function kvCacheBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: readonly AttentionShape[],
  types: { readonly keyType: KvType; readonly valueType: KvType },
  { tokens, chunk, limit = Number.POSITIVE_INFINITY }: CacheExtent,
): number {
  const heads = Math.max(0, ...shapes.map(({ rope, kvHeads }) => (rope?.scaling.kind === "dynamic" ? kvHeads : 0)));
  return kvLayouts(shapes, types, backend).reduce((sum, { layout, window }) => {
    const held = Math.min(limit, Math.min(tokens, window ?? tokens) + chunk);
    // A text that is held from its start fills its pages; otherwise sinks and the oldest recent token may each share one.
    const pages = Math.ceil(held / PAGE_TOKENS) + (held === limit ? 0 : 2);
    const scratch = heads > 0 ? backend.kvPageBytes({ ...layout, members: heads }) : 0;
    return sum + pages * (backend.kvPageBytes(layout) + scratch);
  }, 0);
}
