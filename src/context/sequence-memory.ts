/**
 * All that one sequence remembers of a model's layers: the key/value cache of attention layers under the policy, the
 * states of state-space layers, and what an encoder read.
 */
import type { Backend } from "../tensor/backend.js";
import { InternalError } from "../util/errors.js";
import { oneHeadSet } from "./head-sets.js";
import { KvCache, type KvCacheOptions } from "./kv-cache.js";
import { type CacheExtent, type CacheKind, kvCacheBytes } from "./kv-layout.js";
import type { LayerCache } from "./layer-cache.js";
import type {
  AttentionShape,
  MixerShapes,
  Origin,
  RecurrentTensor,
  SequenceState,
  WholeAttentionState,
} from "./mixer-state.js";
import { EVERYTHING } from "./policies/full.js";
import { RecurrentMemory, recurrentBytes } from "./recurrent-memory.js";
import { WholeMemory } from "./whole-memory.js";

export class SequenceMemory implements SequenceState {
  readonly cache: KvCache;
  readonly states: RecurrentMemory;
  readonly source: WholeMemory;

  /** @throws MemoryError */
  constructor(
    private readonly backend: Backend,
    private readonly shapes: MixerShapes,
    private readonly options: KvCacheOptions,
  ) {
    // Caches take memory with the first step. The states take theirs at once, so they come last, when only they can fail.
    const cache = new KvCache(backend, shapes.attention, options);
    this.cache = cache;
    this.source = undone(() => new WholeMemory(backend, shapes.cross, options), [cache]);
    this.states = undone(() => new RecurrentMemory(backend, shapes.recurrent), [cache, this.source]);
  }

  get seen(): number {
    return this.cache.seen;
  }
  get usedBytes(): number {
    return this.cache.usedBytes + this.states.usedBytes + this.source.usedBytes;
  }

  layer(layer: number): LayerCache {
    const cache = this.cache.layers.get(layer);
    if (!cache) throw new InternalError(`Layer ${layer} has no attention state.`);
    return cache;
  }

  recurrent(layer: number): readonly RecurrentTensor[] {
    return this.states.of(layer);
  }

  cross(layer: number): WholeAttentionState {
    return this.source.of(layer);
  }

  /** Makes room for what the encoder is about to read. @throws MemoryError */
  holdSource(count: number): void {
    this.source.hold(count);
  }

  stepLimit(wanted: number): number {
    return this.cache.stepLimit(wanted);
  }

  admit(count: number, given?: number): void {
    this.cache.admit(count, given);
  }

  begin(count: number, origin?: Origin): void {
    this.cache.begin(count, origin);
    this.source.begin();
  }

  collected(): void {
    this.cache.collected();
    this.states.collected();
  }

  /**
   * Another sequence that has read the same text, and goes on by itself: whole pages and what the encoder read are shared,
   * one page a group and the states of state-space layers are copied. Between two steps. @throws MemoryError
   */
  fork(): SequenceMemory {
    const made = new SequenceMemory(this.backend, this.shapes, this.options);
    try {
      made.cache.fork(this.cache);
      made.source.share(this.source);
      made.states.copy(this.states);
      return made;
    } catch (error) {
      made.dispose();
      throw error;
    }
  }

  /**
   * How many of the first `most` tokens a fork may go on from: all, or those whose pages are all held. States are those of all.
   */
  beginning(most: number): number {
    if (this.source.usedBytes > 0) return 0;
    if (most >= this.seen) return this.seen;
    return this.states.usedBytes > 0 ? 0 : this.cache.beginning(most);
  }

  /** Whether with so many tokens it stands for all of them together only: there are states, or some token is let go. */
  isWhole(tokens: number): boolean {
    return this.states.usedBytes > 0 || this.cache.groups.some((group) => group.kept(tokens) < tokens);
  }

  /** Whether the next token can be read and then be taken back. States of state-space layers cannot. */
  canTakeBack(): boolean {
    return this.states.usedBytes === 0 && this.cache.canTakeBack();
  }

  /** Forgets the newest tokens, which `canTakeBack` was asked of before each; `seen` are left. */
  takeBack(seen: number): void {
    this.cache.takeBack(seen);
  }

  /** Forgets the text, but not what the encoder read; the memory stays for the next text. */
  clear(): void {
    this.cache.clear();
    this.states.clear();
  }

  dispose(): void {
    this.cache.dispose();
    this.states.dispose();
    this.source.dispose();
  }
}

/** What `make` makes; when it cannot, what was made before is given back. */
function undone<M>(make: () => M, before: readonly { dispose(): void }[]): M {
  try {
    return make();
  } catch (error) {
    for (const made of before) made.dispose();
    throw error;
  }
}

/** Most bytes that a sequence takes beside these layers; `source`: tokens that an encoder reads. */
export function sequenceBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: Pick<MixerShapes, "attention" | "recurrent" | "cross">,
  kind: CacheKind,
  extent: CacheExtent,
  source: number,
): number {
  return (
    kvCacheBytes(backend, shapes.attention, kind, extent) +
    recurrentBytes(shapes.recurrent) +
    wholeBytes(backend, shapes.cross, kind, source)
  );
}

/** Most bytes of keys and values of a source of so many tokens beside these layers. */
export function wholeBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: readonly AttentionShape[],
  { keyType, valueType }: Pick<CacheKind, "keyType" | "valueType">,
  tokens: number,
): number {
  const kind = { policy: oneHeadSet(EVERYTHING), keyType, valueType };
  return kvCacheBytes(backend, shapes, kind, { tokens, chunk: 0, limit: tokens });
}
