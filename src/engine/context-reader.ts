/**
 * How a session reads tokens under its policy: into a cache, or (recompute) from scratch for every token. It tells what
 * is held and hands out logits.
 */
import { KvCache, type KvCacheOptions } from "../context/kv-cache.js";
import type { StepRunner, Wanted } from "./step-runner.js";

export interface ContextReader {
  readonly seen: number;
  readonly kept: number;
  readonly horizon: number | null;
  readonly cacheBytes: number;
  /** Most of `wanted` next tokens for one `read`. */
  limit(wanted: number): number;
  /** @throws ContextFullError when `count` more tokens cannot be held */
  admit(count: number): void;
  /** Reads ids; `use` sees the logits of the last or of all, [n, V], valid during the call only. */
  read<R>(ids: Int32Array, wanted: Wanted, use: (logits: Float32Array) => R): Promise<R>;
  dispose(): void;
}

export function contextReader(runner: StepRunner, options: KvCacheOptions): ContextReader {
  return options.policy.recompute ? new RecomputeReader(runner, options) : new CacheReader(runner, options);
}

/** Keys and values are kept as the policy says. */
class CacheReader implements ContextReader {
  private readonly cache: KvCache;

  constructor(
    private readonly runner: StepRunner,
    options: KvCacheOptions,
  ) {
    this.cache = new KvCache(runner.backend, runner.decoder.attentionShapes, options);
  }

  get seen(): number {
    return this.cache.seen;
  }
  get kept(): number {
    return this.cache.kept;
  }
  get horizon(): number | null {
    return this.cache.horizon;
  }
  get cacheBytes(): number {
    return this.cache.usedBytes;
  }

  limit(wanted: number): number {
    return this.cache.stepLimit(wanted);
  }

  admit(count: number): void {
    this.cache.admit(count);
  }

  read<R>(ids: Int32Array, wanted: Wanted, use: (logits: Float32Array) => R): Promise<R> {
    return this.runner.run(this.cache, ids, wanted, use);
  }

  dispose(): void {
    this.cache.dispose();
  }
}

/** The newest `budget` tokens are read as a text of their own, for every token. */
class RecomputeReader implements ContextReader {
  seen = 0;
  private readonly window: number;
  private readonly cache: KvCache;
  private readonly newest: number[] = [];

  constructor(
    private readonly runner: StepRunner,
    options: KvCacheOptions,
  ) {
    this.window = options.policy.budget ?? 1;
    this.cache = new KvCache(runner.backend, runner.decoder.attentionShapes, options);
  }

  get cacheBytes(): number {
    return this.cache.usedBytes;
  }

  get kept(): number {
    return this.newest.length;
  }
  get horizon(): number | null {
    return this.seen > this.newest.length ? this.newest.length : null;
  }

  /** Logits of every token need a run of their own. */
  limit(wanted: number): number {
    return wanted;
  }

  admit(): void {}

  async read<R>(ids: Int32Array, wanted: Wanted, use: (logits: Float32Array) => R): Promise<R> {
    if (wanted === "last") {
      for (const id of ids) this.push(id);
      return this.recompute(use);
    }
    const vocabulary = this.runner.decoder.spec.vocabulary;
    const all = new Float32Array(ids.length * vocabulary);
    for (let row = 0; row < ids.length; row++) {
      this.push(ids[row]);
      await this.recompute((logits) => all.set(logits, row * vocabulary));
    }
    return use(all);
  }

  private push(id: number): void {
    this.newest.push(id);
    if (this.newest.length > this.window) this.newest.shift();
    this.seen++;
  }

  /** The whole window from an empty cache. */
  private recompute<R>(use: (logits: Float32Array) => R): Promise<R> {
    this.cache.clear();
    return this.runner.run(this.cache, Int32Array.from(this.newest), "last", use);
  }

  dispose(): void {
    this.newest.length = 0;
    this.cache.dispose();
  }
}
