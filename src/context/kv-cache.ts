/**
 * The key/value cache of one sequence's attention layers under one policy: pages by retention group, ranges and rotations
 * by step, one AttentionState per layer. Memory follows the policy, not the text.
 */
import type { Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import type { KvSlice } from "../tensor/kv.js";
import { ArgumentError, ContextFullError } from "../util/errors.js";
import { counted, formatCount } from "../util/figures.js";
import { DynamicRotation } from "./dynamic-rotation.js";
import { kvLayouts } from "./kv-layout.js";
import { LayerState } from "./layer-state.js";
import type { AttentionShape, AttentionState } from "./mixer-state.js";
import type { ContextPolicy } from "./policy.js";
import { type PageRun, RetentionGroup } from "./retention.js";
import { StepInputs } from "./step-inputs.js";
import { StepPlan } from "./step-plan.js";

export interface KvCacheOptions {
  readonly policy: ContextPolicy;
  readonly keyType: KvType;
  readonly valueType: KvType;
  /** Most tokens when the policy frees none. */
  readonly limit: number;
  /** Positions that the model has embeddings for; absent: there is one for every position. */
  readonly positions?: number | undefined;
  /** What to do where the policy frees no token; absent: the caller knows no model. */
  readonly advice?: FullAdvice | undefined;
}

/** What errors say of ways out. */
export interface FullAdvice {
  /** The text of a policy that the model takes and that frees tokens. */
  readonly policy: string;
  /** Tokens that the model was trained for, where the limit may be raised to that. */
  readonly longer: number | undefined;
}

export class KvCache {
  /** By the number of the layer. */
  readonly layers: ReadonlyMap<number, AttentionState>;
  readonly groups: readonly RetentionGroup[];
  seen = 0;
  private pending = 0;
  private disposed = false;
  /** One for all groups with the same window: they differ in their place, or in the widths of their heads. */
  private readonly plans: ReadonlyMap<RetentionGroup, StepPlan>;
  /** One group of each plan. */
  private readonly leaders: readonly RetentionGroup[];
  private readonly dynamicLimit: number;
  /** Of the current step. */
  readonly inputs: StepInputs;
  /** Layers run one after another, so those of a group share scratch pages. */
  private readonly dynamic = new Map<RetentionGroup, DynamicRotation>();

  constructor(
    readonly backend: Backend,
    shapes: readonly AttentionShape[],
    readonly options: KvCacheOptions,
  ) {
    const { groups, layers } = arrange(this, backend, shapes, options);
    this.groups = groups;
    this.layers = layers;
    this.inputs = new StepInputs(backend, contextSize(options));
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

  /** Tokens held and visible: of the group that keeps most. Without attention all are in the layers' states. */
  get kept(): number {
    if (this.groups.length === 0) return this.seen;
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

  /**
   * @param given tokens of the caller's text that are still to be read; 0 where the model goes on by itself
   * @throws ContextFullError when the policy frees nothing and `count` more tokens pass the limit, or have no position
   */
  admit(count: number, given = count): void {
    const { policy, limit, positions = Number.POSITIVE_INFINITY } = this.options;
    const needed = this.seen + count;
    const bounded = policy.budget === undefined && this.groups.length > 0;
    const most = Math.min(bounded ? limit : Number.POSITIVE_INFINITY, positions);
    if (needed <= most) return;
    throw new ContextFullError(
      `The context is full: ${counted(this.seen, "token")} ${this.seen === 1 ? "is" : "are"} held, ` +
        `${formatCount(count)} more ${count === 1 ? "was" : "were"} to be read, and the limit is ${formatCount(most)}. Nothing was cut. ` +
        waysOut(this.options, this.seen + Math.max(count, given) - most, given),
      { seen: this.seen, needed, limit: most, ...(Number.isFinite(positions) && { positions }) },
    );
  }

  begin(count: number): void {
    if (this.disposed) throw new ArgumentError("The session was disposed of while it was at work.");
    const { policy } = this.options;
    const needed = this.seen + count;
    this.admit(count);
    this.settle();
    for (const group of this.groups) group.evict(this.seen);
    for (const group of this.groups) group.store.reserve(group.missingPages(needed));
    this.pending = count;
    for (const group of this.groups) group.extend(needed);
    for (const group of this.leaders) this.plans.get(group)?.fill(group, policy, this.seen, count);
    this.inputs.begin(this.plans, this.seen);
  }

  end(): void {
    this.seen += this.pending;
    this.pending = 0;
  }

  /** Drops what a step that failed has left. */
  settle(): void {
    if (this.pending > 0) for (const group of this.groups) group.truncate(this.seen);
    this.pending = 0;
  }

  /** Takes pages for a text of `seen` tokens, of which each group holds the runs given. @throws MemoryError */
  hold(seen: number, runs: readonly (readonly PageRun[])[]): void {
    this.groups.forEach((group, index) => {
      group.hold(runs[index], seen);
    });
    this.seen = seen;
    this.pending = 0;
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

/** What to do about a text that is too long by `excess` tokens, of which `given` may be left out. */
function waysOut({ limit, positions, advice }: KvCacheOptions, excess: number, given: number): string {
  const { policy = `sinks:4,recent:${Math.max(1, limit - 4)}`, longer } = advice ?? {};
  // Where positions are learned, policies that free tokens count in a way that the model refuses.
  const [table, use] =
    positions === undefined
      ? ["", `a policy that frees tokens (for example "${policy}")`]
      : [
          `The model has learned embeddings for ${counted(positions, "position")} and no others. `,
          `recompute:${positions}`,
        ];
  const raise =
    longer === undefined ? "" : `, raise contextLength (the model was trained for ${counted(longer, "token")})`;
  const less = excess < given ? `shorten the text by ${counted(excess, "token")}` : "begin anew with session.reset()";
  return `${table}Use ${use}${raise}, or ${less}.`;
}

/** Puts layers with the same layout, window and place into one retention group. */
function arrange(cache: KvCache, backend: Backend, shapes: readonly AttentionShape[], options: KvCacheOptions) {
  const layouts = kvLayouts(shapes, options, backend);
  const groups = layouts.map(
    ({ layout, window, layers }) => new RetentionGroup(backend, layout, options.policy, window, layers[0]),
  );
  const taken = groups.map(() => 0);
  const layers = new Map<number, AttentionState>();
  for (const shape of shapes) {
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
    layers.set(shape.layer, new LayerState(cache, shape, group, slice));
  }
  return { groups, layers };
}

/** Tokens between the first and the last that a query can see, counted as the policy counts. */
function contextSize({ policy: { budget, distance, recompute }, limit }: KvCacheOptions): number {
  if (budget === undefined) return limit;
  return distance === "cache" || recompute ? budget : Number.POSITIVE_INFINITY;
}
