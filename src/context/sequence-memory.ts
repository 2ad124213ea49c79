/**
 * All that one sequence remembers of a model's layers: the key/value cache of attention layers under the policy, the
 * states of state-space layers, and what an encoder read.
 */
import type { Backend } from "../tensor/backend.js";
import { InternalError } from "../util/errors.js";
import { KvCache, type KvCacheOptions } from "./kv-cache.js";
import { type CacheExtent, kvCacheBytes } from "./kv-layout.js";
import type {
  AttentionState,
  MixerShapes,
  RecurrentTensor,
  SequenceState,
  WholeAttentionState,
} from "./mixer-state.js";
import { RecurrentMemory, recurrentBytes } from "./recurrent-memory.js";
import { WholeMemory } from "./whole-memory.js";

export class SequenceMemory implements SequenceState {
  readonly cache: KvCache;
  readonly states: RecurrentMemory;
  readonly source: WholeMemory;

  /** @throws MemoryError */
  constructor(backend: Backend, shapes: MixerShapes, options: KvCacheOptions) {
    // Caches take memory with the first step. The states take theirs at once, so they come last, when nothing else can fail.
    this.cache = new KvCache(backend, shapes.attention, options);
    this.source = new WholeMemory(backend, shapes.cross, options);
    this.states = new RecurrentMemory(backend, shapes.recurrent);
  }

  get seen(): number {
    return this.cache.seen;
  }
  get usedBytes(): number {
    return this.cache.usedBytes + this.states.usedBytes + this.source.usedBytes;
  }

  attention(layer: number): AttentionState {
    const state = this.cache.layers.get(layer);
    if (!state) throw new InternalError(`Layer ${layer} has no attention state.`);
    return state;
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

  begin(count: number): void {
    this.cache.begin(count);
    this.source.begin();
  }

  end(): void {
    this.cache.end();
    this.states.end();
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

/** Most bytes that a sequence takes beside these layers; `source`: tokens that an encoder reads. */
export function sequenceBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: Pick<MixerShapes, "attention" | "recurrent" | "cross">,
  types: Pick<KvCacheOptions, "keyType" | "valueType">,
  extent: CacheExtent,
  source: number,
): number {
  const read = { tokens: source, chunk: 0, limit: source };
  return (
    kvCacheBytes(backend, shapes.attention, types, extent) +
    recurrentBytes(shapes.recurrent) +
    kvCacheBytes(backend, shapes.cross, types, read)
  );
}
