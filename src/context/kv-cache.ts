/**
 * The key/value cache of one sequence's attention layers under one policy: page tables by retention group, spans and moved
 * queries by step. Memory follows the policy, not the text.
 */
import { type RopeSpec, ropeFrequencies } from "../position/rope.js";
import type { RopeFrequencies } from "../position/rope-scaling.js";
import type { Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import { ArgumentError, ContextFullError } from "../util/errors.js";
import { counted, formatCount } from "../util/figures.js";
import { type CacheGroup, type GroupFacts, groupFacts } from "./cache-groups.js";
import { DynamicScratch } from "./dynamic-rotation.js";
import { type GroupLayout, kvLayouts } from "./kv-layout.js";
import { type HeadPart, type LayerCache, layerCaches } from "./layer-cache.js";
import type { AttentionShape, Origin } from "./mixer-state.js";
import { PagePools } from "./page-pools.js";
import type { ContextPolicy } from "./policy.js";
import { type PageRun, RetentionGroup } from "./retention-group.js";
import type { LayerPlans } from "./step-plan.js";
import { NO_MESSAGES, type TextMessages } from "./text-messages.js";

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
  readonly layers: ReadonlyMap<number, LayerCache>;
  readonly groups: readonly RetentionGroup[];
  /** Of all layers, each once. */
  readonly plans: readonly LayerPlans[];
  private readonly facts: readonly GroupFacts[];
  seen = 0;
  /**
   * Tokens that the newest row has read, of those that it sees: in the layers and heads that choose, where some do, and of the
   * heads that read most. 0 before anything was read.
   */
  read = 0;
  private pending = 0;
  private disposed = false;
  /** Most tokens of a text before dynamic NTK has another base for each; of the group that counts most. */
  private readonly dynamicLimit: number;
  /** Said before they are read; only policies that keep whole turns and messages ask. */
  messages: TextMessages = NO_MESSAGES;
  private readonly fixedFrequencies = new Map<RopeSpec, RopeFrequencies>();
  /** Layers run one after another, so those of a group share scratch pages. */
  private readonly scratch = new Map<RetentionGroup, DynamicScratch>();
  private readonly pools: PagePools;

  constructor(
    private readonly backend: Backend,
    shapes: readonly AttentionShape[],
    readonly options: KvCacheOptions,
  ) {
    this.pools = PagePools.of(backend);
    const policy = options.policy.byMessages?.(this) ?? options.policy;
    const layouts = kvLayouts(shapes, { ...options, policy }, backend);
    this.facts = groupFacts(layouts);
    this.groups = openGroups(this.pools, layouts);
    this.layers = layerCaches(shapes, layouts, this.groups);
    this.plans = [...new Set([...this.layers.values()].map(({ plans }) => plans))];
    this.dynamicLimit = dynamicLimit(shapes, this.groups);
  }

  get usedBytes(): number {
    const scratch = [...this.scratch.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return this.groups.reduce((sum, { bytes }) => sum + bytes, scratch);
  }

  /** Tokens held and visible: of the group that keeps most. Without attention all are in the layers' states. */
  get kept(): number {
    if (this.groups.length === 0) return this.seen;
    return this.groups.reduce((most, group) => Math.max(most, group.kept(this.seen)), 0);
  }

  /** What is held now, by heads that keep the same tokens; without the scratch pages of dynamic NTK. */
  get usedGroups(): CacheGroup[] {
    return this.facts.map(({ keeps, layers, heads, parts }) => {
      const kept = this.groups[parts[0]].kept(this.seen);
      return { keeps, layers, heads, kept, bytes: parts.reduce((sum, part) => sum + this.groups[part].bytes, 0) };
    });
  }

  /** How many of the newest tokens can be recalled (by the group that keeps most); null while nothing has been lost. */
  get horizon(): number | null {
    if (this.kept === this.seen) return null;
    return this.groups.reduce((most, group) => {
      const newest = group.visible(this.seen - 1).at(-1);
      return newest ? Math.max(most, newest.end - newest.start) : most;
    }, 0);
  }

  /** First tokens that are kept for ever: the retentions' sinks, where the model's own window lets them be seen. */
  get sinks(): number {
    if (this.groups.length === 0) return this.options.policy.sinks;
    if (this.kept === this.seen) return this.groups.reduce((most, { retention }) => Math.max(most, retention.sinks), 0);
    return this.groups.reduce((most, group) => {
      const [first, ...others] = group.visible(this.seen - 1);
      return others.length > 0 && first.start === 0 ? Math.max(most, first.end) : most;
    }, 0);
  }

  /** Beyond the trained length dynamic NTK has another base for every token, so rows go one by one. */
  stepLimit(wanted: number): number {
    if (this.dynamicLimit === Number.POSITIVE_INFINITY) return wanted;
    return Math.max(1, Math.min(wanted, this.dynamicLimit - this.seen));
  }

  /**
   * @param given tokens of the caller's text that are still to be read; 0 where the model goes on by itself
   * @throws ContextFullError when a head set frees nothing and `count` more tokens pass the limit, or have no position
   */
  admit(count: number, given = count): void {
    const { positions = Number.POSITIVE_INFINITY } = this.options;
    const { most } = this;
    const needed = this.seen + count;
    if (needed <= most) return;
    throw new ContextFullError(
      `The context is full: ${counted(this.seen, "token")} ${this.seen === 1 ? "is" : "are"} held, ` +
        `${formatCount(count)} more ${count === 1 ? "was" : "were"} to be read, and the limit is ${formatCount(most)}. Nothing was cut. ` +
        waysOut(this.options, this.seen + Math.max(count, given) - most, given),
      { seen: this.seen, needed, limit: most, ...(Number.isFinite(positions) && { positions }) },
    );
  }

  /** Most tokens that the text may have: where a head set frees nothing, or positions end. */
  private get most(): number {
    const { limit, positions = Number.POSITIVE_INFINITY } = this.options;
    const bounded = this.groups.some(({ retention }) => retention.budget === undefined);
    return Math.min(bounded ? limit : Number.POSITIVE_INFINITY, positions);
  }

  /** @throws ContextFullError, MemoryError; then nothing has changed */
  begin(count: number, origin: Origin = "given"): void {
    if (this.disposed) throw new ArgumentError("The session was disposed of while it was at work.");
    const end = this.seen + count;
    this.admit(count);
    this.settle();
    try {
      for (const group of this.groups) group.prepare(this.seen, end);
    } catch (error) {
      for (const group of this.groups) group.cancel();
      throw error;
    }
    this.pending = count;
    for (const group of this.groups) group.advance(end);
    for (const plans of this.plans) plans.fill(this.seen, count, origin);
  }

  collected(): void {
    this.seen += this.pending;
    this.pending = 0;
    this.read = this.plans.reduce((most, plans) => Math.max(most, plans.readTokens), 0);
  }

  /** Drops what a step that failed has left. */
  settle(): void {
    if (this.pending > 0) for (const group of this.groups) group.truncate(this.seen);
    this.pending = 0;
  }

  /** Whether the next token can be read and then be taken back: room is left, and nothing is freed for it. */
  canTakeBack(): boolean {
    return this.seen < this.most && !this.groups.some((group) => group.frees(this.seen));
  }

  /** Forgets the newest tokens, which `canTakeBack` was asked of before each; `seen` are left. */
  takeBack(seen: number): void {
    for (const group of this.groups) group.truncate(seen);
    this.seen = seen;
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

  /** Makes the bounds of pages that were filled from outside. No step may be running. */
  restoreBounds(): void {
    for (const { parts } of this.layers.values()) {
      const bounded = parts.flatMap((part) => part.bounded(this.seen));
      if (bounded.length > 0) this.backend.bound(bounded);
    }
  }

  /** Holds what another cache of the same kind has read, between two steps. @throws MemoryError; then dispose of this one */
  fork(other: KvCache): void {
    other.settle();
    this.groups.forEach((group, index) => {
      group.fork(other.groups[index], other.seen);
    });
    this.seen = other.seen;
    this.read = other.read;
    this.messages = other.messages;
    this.pending = 0;
  }

  /** How many of the first `most` tokens that were read are held by all groups, up to the first that is not. */
  beginning(most: number): number {
    return this.groups.reduce((least, group) => Math.min(least, group.beginning), Math.min(most, this.seen));
  }

  /** Forgets everything; the memory stays for the next text. */
  clear(): void {
    for (const group of this.groups) group.truncate(0);
    this.messages = NO_MESSAGES;
    this.seen = 0;
    this.read = 0;
    this.pending = 0;
  }

  /** Gives all memory back. */
  dispose(): void {
    this.disposed = true;
    for (const scratch of this.scratch.values()) scratch.dispose();
    this.scratch.clear();
    for (const group of this.groups) group.dispose();
  }

  /** Of the positions of this text, whatever its length: not for dynamic NTK. Its system message is known by then. */
  frequencies(rope: RopeSpec): RopeFrequencies {
    const known = this.fixedFrequencies.get(rope);
    if (known) return known;
    const made = ropeFrequencies(rope, contextSize(this.groups, this.options.limit));
    this.fixedFrequencies.set(rope, made);
    return made;
  }

  /** The scratch pages of a group's layers under dynamic NTK, for as many heads. */
  scratchOf(part: HeadPart, layer: number): DynamicScratch {
    const { group, slice } = part;
    const heads = slice.heads.length;
    const known = this.scratch.get(group);
    if (known && known.heads >= heads) return known;
    known?.dispose();
    const made = new DynamicScratch(this.pools, { ...slice.store.layout, members: heads }, layer);
    this.scratch.set(group, made);
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

function openGroups(pools: PagePools, layouts: readonly GroupLayout[]): readonly RetentionGroup[] {
  const groups: RetentionGroup[] = [];
  try {
    for (const kind of layouts) groups.push(new RetentionGroup(pools, { ...kind, layer: kind.members[0].layer }));
    return groups;
  } catch (error) {
    for (const group of groups) group.dispose();
    throw error;
  }
}

/** Distances in the cache differ from row to row as soon as something is evicted. */
function dynamicLimit(shapes: readonly AttentionShape[], groups: readonly RetentionGroup[]): number {
  const trained = shapes.reduce(
    (least, { rope }) => (rope?.scaling.kind === "dynamic" ? Math.min(least, rope.scaling.originalContext) : least),
    Number.POSITIVE_INFINITY,
  );
  if (trained === Number.POSITIVE_INFINITY) return trained;
  return groups.reduce(
    (least, { retention: { distance, budget } }) =>
      distance === "cache" && budget !== undefined ? Math.min(least, budget) : least,
    trained,
  );
}

/**
 * Tokens between the first and the last that a query can see, counted as the retentions count: of the largest. Where one keeps
 * everything, the text ends at the limit.
 */
function contextSize(groups: readonly RetentionGroup[], limit: number): number {
  if (groups.some(({ retention: { budget } }) => budget === undefined)) return limit;
  return groups.reduce(
    (most, { retention: { budget = 0, distance } }) =>
      Math.max(most, distance === "cache" ? budget : Number.POSITIVE_INFINITY),
    0,
  );
}
