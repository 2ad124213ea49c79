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
  /** First tokens that are kept for ever. */
  readonly sinks: number;
  readonly cacheBytes: number;
  /** Most of `wanted` next tokens for one `read`. */
  limit(wanted: number): number;
  /** @throws ContextFullError when `count` more tokens cannot be held */
  admit(count: number): void;
  /** Reads ids; `use` sees the logits of the last or of all, [n, V], valid during the call only. */
  read<R>(ids: Int32Array, wanted: Wanted, use: (logits: Float32Array) => R): Promise<R>;
  dispose(): void;
}

export interface ReaderOptions extends KvCacheOptions {
  /** Most tokens of a step. */
  readonly chunk: number;
}

export function contextReader(runner: StepRunner, options: ReaderOptions): ContextReader {
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
  get sinks(): number {
    return this.cache.sinks;
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
  readonly sinks = 0;
  seen = 0;
  private readonly window: number;
  private readonly chunk: number;
  private readonly cache: KvCache;
  private newest = new Int32Array(0);

  constructor(
    private readonly runner: StepRunner,
    options: ReaderOptions,
  ) {
    this.window = options.policy.budget ?? 1;
    this.chunk = options.chunk;
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
    if (wanted === "last") return this.append(ids, use);
    const vocabulary = this.runner.decoder.spec.vocabulary;
    const all = new Float32Array(ids.length * vocabulary);
    for (let row = 0; row < ids.length; row++) {
      await this.append(ids.subarray(row, row + 1), (logits) => all.set(logits, row * vocabulary));
    }
    return use(all);
  }

  /** Reads the window that ends with `ids` from an empty cache. A failed run leaves the text as it was. */
  private async append<R>(ids: Int32Array, use: (logits: Float32Array) => R): Promise<R> {
    const both = new Int32Array(this.newest.length + ids.length);
    both.set(this.newest);
    both.set(ids, this.newest.length);
    const window = both.slice(-this.window);
    this.cache.clear();
    let at = 0;
    for (;;) {
      const count = this.cache.stepLimit(Math.min(this.chunk, window.length - at));
      const rows = window.subarray(at, at + count);
      at += count;
      if (at === window.length) {
        const result = await this.runner.run(this.cache, rows, "last", use);
        this.newest = window;
        this.seen += ids.length;
        return result;
      }
      await this.runner.run(this.cache, rows, "last", () => undefined);
    }
  }

  dispose(): void {
    this.newest = new Int32Array(0);
    this.cache.dispose();
  }
}
