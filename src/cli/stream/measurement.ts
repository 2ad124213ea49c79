/**
 * What one policy did on a text: perplexity and cost, gathered part by part from `session.score`. Figures are medians and
 * sums over parts, so a single slow moment (compilation, another process) does not move them.
 */
import type { CacheGroup } from "../../context/cache-groups.js";
import type { ScorePart, Usage } from "../../engine/api.js";
import type { Range } from "../../util/ranges.js";

/** Share of the text that "start" and "end" of the cost mean. */
const EDGE_SHARE = 0.1;
/** First tokens left out of the cost at the start: they pay for compilation and first allocation. */
const WARM_UP_TOKENS = 8;
const CURVE_POINTS = 200;

interface PartFigures {
  readonly start: number;
  readonly count: number;
  readonly logprobSum: number;
  readonly elapsedMs: number;
  readonly usage: Usage;
}

/** A stretch of the text on the curve of a policy. */
export interface CurvePoint {
  /** Tokens of the text up to the end of the stretch. */
  readonly tokens: number;
  /** Perplexity of the stretch alone, and of everything up to its end. */
  readonly perplexity: number;
  readonly runningPerplexity: number;
  readonly msPerToken: number;
  readonly cacheBytes: number;
  readonly kept: number;
  /** Of those kept, by the last token of the stretch. */
  readonly read: number;
}

export interface PolicyResult {
  /** The policy in its canonical text form. */
  readonly context: string;
  /** Tokens of the text that were read; fewer than asked for after an interruption or an error. */
  readonly tokens: number;
  readonly complete: boolean;
  /** Why it stopped early; null when it did not, or was interrupted. */
  readonly error: string | null;
  readonly perplexity: number;
  readonly perplexityLastQuarter: number;
  /** Medians over the first and the last tenth of the tokens. */
  readonly msPerTokenStart: number;
  readonly msPerTokenEnd: number;
  readonly elapsedMs: number;
  /** The most that the cache held at the end of any part. */
  readonly cacheBytes: number;
  readonly kept: number;
  /** Of those kept, by the last token. */
  readonly read: number;
  readonly evicted: number;
  readonly horizon: number | null;
  readonly sinks: number;
  /** At the end, by what heads keep. */
  readonly groups: readonly CacheGroup[];
  readonly curve: readonly CurvePoint[];
}

export class Measurement {
  private parts: PartFigures[] = [];
  private logprobs: Float32Array;
  /** Where the scores begin: at 1 where there is no start token, from which the first token could be predicted. */
  private scoredFrom = 0;
  private end = 0;
  private lastUsage: Usage | undefined;
  private count = 0;
  private logprobSum = 0;
  private readingMs = 0;

  /** @param total tokens of the whole text */
  constructor(
    readonly context: string,
    readonly total: number,
  ) {
    this.logprobs = new Float32Array(total);
  }

  /** Tokens read so far. */
  get tokens(): number {
    return this.end;
  }

  get elapsedMs(): number {
    return this.readingMs;
  }

  get perplexity(): number {
    return perplexityOf(this.logprobSum, this.count);
  }

  /** What the session held when the newest part ended; undefined before there is one. */
  get usage(): Usage | undefined {
    return this.lastUsage;
  }

  /** Of what was scored within the ranges; NaN where that is nothing. */
  perplexityOver(ranges: readonly Range[]): number {
    let sum = 0;
    let count = 0;
    for (const { start, end } of ranges) {
      const logprobs = this.logprobs.subarray(Math.max(start, this.scoredFrom), Math.min(end, this.end));
      for (const logprob of logprobs) sum += logprob;
      count += logprobs.length;
    }
    return perplexityOf(sum, count);
  }

  /** The scores of the text's tokens within the ranges, one after the other. */
  logprobsOver(ranges: readonly Range[]): number[] {
    return ranges.flatMap(({ start, end }) => [
      ...this.logprobs.subarray(Math.max(start, this.scoredFrom), Math.min(end, this.end)),
    ]);
  }

  /** Of the newest tokens. */
  perplexityOfLast(tokens: number): number {
    return this.perplexityOver([{ start: Math.max(0, this.end - tokens), end: this.end }]);
  }

  /** Tokens per second over the last parts, null before there are any. */
  get recentRate(): number | null {
    const last = this.parts.slice(-8);
    const ms = last.reduce((sum, part) => sum + part.elapsedMs, 0);
    return ms > 0 ? (1000 * last.reduce((sum, part) => sum + part.count, 0)) / ms : null;
  }

  /** @param part with `start` counted in the text, without a start token */
  add(part: ScorePart): void {
    // Says only that the run was cancelled.
    if (part.finish === "cancelled" && part.count === 0) return;
    const logprobSum = part.logprobs.reduce((sum, value) => sum + value, 0);
    const { start, count, elapsedMs, usage } = part;
    if (this.lastUsage === undefined) this.scoredFrom = start;
    this.lastUsage = usage;
    // A text's last token is read without a score; where that is a part of its own, there is no cost per token.
    if (count > 0) this.parts.push({ start, count, logprobSum, elapsedMs, usage });
    this.logprobs.set(part.logprobs.subarray(0, Math.max(0, this.total - start)), Math.min(start, this.total));
    this.end = start + count;
    this.count += count;
    this.logprobSum += logprobSum;
    this.readingMs += elapsedMs;
  }

  result(outcome: { readonly complete: boolean; readonly error: string | null }): PolicyResult {
    const usage = this.lastUsage;
    return {
      context: this.context,
      tokens: this.tokens,
      ...outcome,
      perplexity: this.perplexity,
      perplexityLastQuarter: this.perplexityOver([{ start: Math.floor(this.tokens * 0.75), end: this.tokens }]),
      ...this.edges(),
      elapsedMs: this.readingMs,
      cacheBytes: this.parts.reduce((most, part) => Math.max(most, part.usage.cacheBytes), usage?.cacheBytes ?? 0),
      kept: usage?.kept ?? 0,
      read: usage?.read ?? 0,
      evicted: usage?.evicted ?? 0,
      horizon: usage?.horizon ?? null,
      sinks: usage?.sinks ?? 0,
      groups: usage?.groups ?? [],
      curve: this.curve(),
    };
  }

  private edges(): { msPerTokenStart: number; msPerTokenEnd: number } {
    const parts = this.parts;
    const startEnd = Math.max(this.tokens * EDGE_SHARE, 1);
    const endStart = this.tokens - startEnd;
    const warm = parts.filter((part) => part.start >= WARM_UP_TOKENS && part.start < startEnd);
    // A text of one or two parts has no warm stretch: better the first than nothing.
    const first = warm.length > 0 ? warm : parts.filter((part) => part.start + part.count > WARM_UP_TOKENS).slice(0, 1);
    const last = parts.filter((part) => part.start + part.count > endStart);
    return { msPerTokenStart: medianCost(first), msPerTokenEnd: medianCost(last) };
  }

  private curve(): CurvePoint[] {
    const points: CurvePoint[] = [];
    const stretch = Math.ceil(this.parts.length / CURVE_POINTS);
    let sum = 0;
    let count = 0;
    for (let at = 0; at < this.parts.length; at += stretch) {
      const parts = this.parts.slice(at, at + stretch);
      const last = parts[parts.length - 1];
      const stretchCount = total(parts, "count");
      const stretchSum = total(parts, "logprobSum");
      sum += stretchSum;
      count += stretchCount;
      points.push({
        tokens: last.start + last.count,
        perplexity: perplexityOf(stretchSum, stretchCount),
        runningPerplexity: perplexityOf(sum, count),
        msPerToken: total(parts, "elapsedMs") / stretchCount,
        cacheBytes: last.usage.cacheBytes,
        kept: last.usage.kept,
        read: last.usage.read,
      });
    }
    return points;
  }
}

/** Tokens of a part: some hundreds of parts in a short text, so that medians and curves have something to stand on. */
export function partLength(tokens: number, batch: number): number {
  return Math.max(batch, Math.min(64, Math.max(1, Math.round(tokens / 400))));
}

function total(parts: readonly PartFigures[], figure: "count" | "logprobSum" | "elapsedMs"): number {
  return parts.reduce((sum, part) => sum + part[figure], 0);
}

function perplexityOf(logprobSum: number, count: number): number {
  return count > 0 ? Math.exp(-logprobSum / count) : Number.NaN;
}

/** Median of the parts' ms per token; NaN for none. */
function medianCost(parts: readonly PartFigures[]): number {
  const costs = parts.map((part) => part.elapsedMs / part.count).sort((a, b) => a - b);
  if (costs.length === 0) return Number.NaN;
  const middle = Math.floor(costs.length / 2);
  return costs.length % 2 === 1 ? costs[middle] : (costs[middle - 1] + costs[middle]) / 2;
}
