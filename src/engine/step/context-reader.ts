/**
 * How a session reads tokens under its policy: into a cache, or (recompute) from scratch for every token. It tells what
 * is held and hands out logits.
 */
import type { CacheGroup } from "../../context/cache-groups.js";
import type { KvCacheOptions } from "../../context/kv-cache.js";
import type { Origin } from "../../context/mixer-state.js";
import { SequenceMemory } from "../../context/sequence-memory.js";
import { InternalError } from "../../util/errors.js";
import type { Reading, Scheduler } from "./scheduler.js";
import type { Wanted } from "./want.js";

/** `count`: how many of the ids were read. */
export type UseLogits<R> = (logits: Float32Array, count: number) => R;

export interface ReadOptions extends Pick<Reading<unknown>, "prompt" | "cancel"> {
  /** Default: they were given. */
  readonly origin?: Origin;
}

export interface ContextReader {
  readonly seen: number;
  readonly kept: number;
  readonly horizon: number | null;
  /** First tokens that are kept for ever. */
  readonly sinks: number;
  readonly cacheBytes: number;
  /** What heads that keep the same tokens hold. */
  readonly groups: readonly CacheGroup[];
  /** Tokens that the newest row has read of those that are held; 0: nothing was read here. */
  readonly newestRead: number;
  /**
   * Lets the encoder read a source, once, before anything else is read; `check` is called now and then.
   * @throws MemoryError, NumericError, and what `check` throws; then no source is held
   */
  encode(ids: Int32Array, check: () => void): Promise<void>;
  /** Most of `wanted` next tokens for one `read`. */
  limit(wanted: number): number;
  /**
   * @param given tokens of the caller's text that are still to be read; default: all of `count`
   * @throws ContextFullError when `count` more tokens cannot be held
   */
  admit(count: number, given?: number): void;
  /**
   * Reads ids, of a prompt's chunk maybe the first of them only; `use` sees the logits of the last or of all that were read,
   * [n, V], valid during the call only.
   */
  read<R>(ids: Int32Array, wanted: Wanted, use: UseLogits<R>, options?: ReadOptions): Promise<R>;
  /** Where it keeps things. */
  readonly memory: SequenceMemory;
  /** The tokens that are read again for every token; empty where a cache is kept. */
  readonly newest: Int32Array;
  /** Drops from the memory what a step that failed has left, and what the next one reads anew. Between two steps. */
  settle(): void;
  /** Whether the next token can be read and then be taken back as if it had never been. */
  canTakeBack(): boolean;
  /** Forgets the newest tokens, which `canTakeBack` was asked of before each; `seen` are left. */
  takeBack(seen: number): void;
  /** Goes on with a memory that has read the beginning of the text, of which nothing was read here. False where that cannot be. */
  adopt(memory: SequenceMemory): boolean;
  /** Another that has read the same and goes on by itself, between two steps. @throws MemoryError */
  fork(): ContextReader;
  /** The memory was filled: goes on with a text of `seen` tokens. False where that cannot be. */
  resume(seen: number, newest: Int32Array): boolean;
  dispose(): void;
}

export interface ReaderOptions extends KvCacheOptions {
  /** Most tokens of a step. */
  readonly chunk: number;
}

export function contextReader(scheduler: Scheduler, options: ReaderOptions): ContextReader {
  return options.policy.recompute ? new RecomputeReader(scheduler, options) : new CacheReader(scheduler, options);
}

/** Keys and values are kept as the policy says. */
class CacheReader implements ContextReader {
  memory: SequenceMemory;
  readonly newest = new Int32Array(0);

  constructor(
    private readonly scheduler: Scheduler,
    private readonly options: ReaderOptions,
    forked?: SequenceMemory,
  ) {
    const { runner } = scheduler;
    this.memory = forked ?? new SequenceMemory(runner.backend, runner.decoder.shapes, options);
  }

  get seen(): number {
    return this.memory.seen;
  }
  get kept(): number {
    return this.memory.cache.kept;
  }
  get horizon(): number | null {
    return this.memory.cache.horizon;
  }
  get sinks(): number {
    return this.memory.cache.sinks;
  }
  get cacheBytes(): number {
    return this.memory.usedBytes;
  }
  get groups(): readonly CacheGroup[] {
    return this.memory.cache.usedGroups;
  }
  get newestRead(): number {
    return this.memory.cache.read;
  }

  encode(ids: Int32Array, check: () => void): Promise<void> {
    return this.scheduler.runner.encode(this.memory, ids, check);
  }

  limit(wanted: number): number {
    return this.memory.stepLimit(wanted);
  }

  admit(count: number, given?: number): void {
    this.memory.admit(count, given);
  }

  read<R>(ids: Int32Array, wanted: Wanted, use: UseLogits<R>, options: ReadOptions = {}): Promise<R> {
    return this.scheduler.read({ state: this.memory, ids, wanted, use, most: this.options.chunk, ...options });
  }

  settle(): void {
    this.memory.cache.settle();
  }

  canTakeBack(): boolean {
    return this.memory.canTakeBack();
  }

  takeBack(seen: number): void {
    this.memory.takeBack(seen);
  }

  adopt(memory: SequenceMemory): boolean {
    memory.cache.messages = this.memory.cache.messages;
    this.memory.dispose();
    this.memory = memory;
    return true;
  }

  fork(): CacheReader {
    return new CacheReader(this.scheduler, this.options, this.memory.fork());
  }

  resume(seen: number, newest: Int32Array): boolean {
    return seen === this.memory.seen && newest.length === 0;
  }

  dispose(): void {
    this.memory.dispose();
  }
}

/** The newest `budget` tokens are read as a text of their own, for every token. */
class RecomputeReader implements ContextReader {
  readonly sinks = 0;
  seen = 0;
  private readonly window: number;
  private readonly chunk: number;
  readonly memory: SequenceMemory;
  newest = new Int32Array(0);

  constructor(
    private readonly scheduler: Scheduler,
    private readonly options: ReaderOptions,
    forked?: SequenceMemory,
  ) {
    const { runner } = scheduler;
    this.window = options.policy.budget ?? 1;
    this.chunk = options.chunk;
    this.memory = forked ?? new SequenceMemory(runner.backend, runner.decoder.shapes, options);
  }

  get cacheBytes(): number {
    return this.memory.usedBytes;
  }
  get groups(): readonly CacheGroup[] {
    return this.memory.cache.usedGroups;
  }

  encode(ids: Int32Array, check: () => void): Promise<void> {
    return this.scheduler.runner.encode(this.memory, ids, check);
  }

  get kept(): number {
    return this.newest.length;
  }
  get newestRead(): number {
    return this.memory.cache.read;
  }
  get horizon(): number | null {
    return this.seen > this.newest.length ? this.newest.length : null;
  }

  /** Logits of every token need a run of their own. */
  limit(wanted: number): number {
    return wanted;
  }

  admit(): void {}

  async read<R>(ids: Int32Array, wanted: Wanted, use: UseLogits<R>): Promise<R> {
    if (wanted === "last") return this.append(ids, (logits) => use(logits, ids.length));
    const vocabulary = this.scheduler.runner.decoder.spec.vocabulary;
    const all = new Float32Array(ids.length * vocabulary);
    for (let row = 0; row < ids.length; row++) {
      await this.append(ids.subarray(row, row + 1), (logits) => all.set(logits, row * vocabulary));
    }
    return use(all, ids.length);
  }

  /** Reads the window that ends with `ids` from an empty cache. A failed run leaves the text as it was. */
  private async append<R>(ids: Int32Array, use: (logits: Float32Array) => R): Promise<R> {
    const both = new Int32Array(this.newest.length + ids.length);
    both.set(this.newest);
    both.set(ids, this.newest.length);
    const window = both.slice(-this.window);
    this.memory.clear();
    let at = 0;
    for (;;) {
      const count = this.memory.stepLimit(Math.min(this.chunk, window.length - at));
      const rows = window.subarray(at, at + count);
      at += count;
      if (at === window.length) {
        const result = await this.readRows(rows, use);
        this.newest = window;
        this.seen += ids.length;
        return result;
      }
      await this.readRows(rows, () => undefined);
    }
  }

  private readRows<R>(ids: Int32Array, use: (logits: Float32Array) => R): Promise<R> {
    return this.scheduler.read({ state: this.memory, ids, wanted: "last", use, most: this.chunk });
  }

  settle(): void {
    this.memory.clear();
  }

  /** A token costs the whole window, so nothing is won by reading ahead. */
  canTakeBack(): boolean {
    return false;
  }

  takeBack(): never {
    throw new InternalError("A text that is read again for every token goes on only.");
  }

  adopt(): boolean {
    return false;
  }

  fork(): RecomputeReader {
    const made = new RecomputeReader(this.scheduler, this.options, this.memory.fork());
    made.seen = this.seen;
    made.newest = this.newest;
    return made;
  }

  resume(seen: number, newest: Int32Array): boolean {
    this.seen = seen;
    this.newest = newest.slice();
    return this.memory.seen === 0 && newest.length === Math.min(seen, this.window);
  }

  dispose(): void {
    this.newest = new Int32Array(0);
    this.memory.dispose();
  }
}
