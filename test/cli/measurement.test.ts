import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Measurement } from "../../src/cli/stream/measurement.js";
import { trailingPerplexity } from "../../src/cli/stream/perplexity-plot.js";
import { resultTable } from "../../src/cli/stream/report.js";
import type { Usage } from "../../src/engine/api.js";

const USAGE: Usage = {
  seen: 0,
  kept: 0,
  evicted: 0,
  read: 0,
  horizon: null,
  sinks: 0,
  cacheBytes: 0,
  groups: [],
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  prefillTokensPerSecond: null,
  decodeTokensPerSecond: null,
};

function measured(logprobs: readonly number[], cuts: readonly number[], cost = (_start: number) => 1): Measurement {
  const run = new Measurement("full", logprobs.length);
  let start = 0;
  for (const count of cuts) {
    const part = Float32Array.from(logprobs.slice(start, start + count));
    if (part.length === 0) break;
    run.add({ start, count: part.length, logprobs: part, elapsedMs: part.length * cost(start), usage: USAGE });
    start += part.length;
  }
  return run;
}

describe("Measurement", () => {
  test("perplexities do not depend on how the text is cut into parts", () => {
    const text = fc.array(fc.double({ min: -10, max: 0, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 50 }), (logprobs, count) => {
        const cuts = new Array<number>(logprobs.length).fill(count);
        const result = measured(logprobs, cuts).result({ complete: true, error: null });
        const rounded = Array.from(Float32Array.from(logprobs));
        const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
        expect(result.tokens).toBe(logprobs.length);
        expect(Math.log(result.perplexity)).toBeCloseTo(-mean(rounded), 6);
        const quarter = rounded.slice(Math.floor(rounded.length * 0.75));
        expect(Math.log(result.perplexityLastQuarter)).toBeCloseTo(-mean(quarter), 6);
        expect(result.curve.at(-1)?.tokens).toBe(logprobs.length);
        expect(result.curve.length).toBeLessThanOrEqual(200);
      }),
    );
  });

  test("costs are medians of the first tenth without the first tokens, and of the last tenth", () => {
    const cost = (start: number) => {
      if (start === 0) return 1000;
      if (start === 40) return 500;
      return start < 100 ? 2 : start < 900 ? 7 : start === 950 ? 900 : 5;
    };
    const run = measured(new Array<number>(1000).fill(-1), new Array<number>(100).fill(10), cost);
    const result = run.result({ complete: true, error: null });
    expect(result.msPerTokenStart).toBe(2);
    expect(result.msPerTokenEnd).toBe(5);
  });

  test("in a short text the first part, which pays for the warm-up, is left out", () => {
    const run = measured(new Array<number>(100).fill(-1), new Array<number>(20).fill(5), (start) =>
      start < 5 ? 1000 : 2,
    );
    expect(run.result({ complete: true, error: null }).msPerTokenStart).toBe(2);
  });

  test("a start at the second token (no start token) leaves that token out", () => {
    const run = new Measurement("full", 3);
    run.add({ start: 1, count: 2, logprobs: Float32Array.of(-1, -1), elapsedMs: 2, usage: USAGE });
    const result = run.result({ complete: true, error: null });
    expect(result.tokens).toBe(3);
    expect(result.perplexity).toBeCloseTo(Math.E, 6);
    expect(result.perplexityLastQuarter).toBeCloseTo(Math.E, 6);
  });

  test("a token that was read and not scored has no perplexity, not even in the last quarter", () => {
    const run = new Measurement("full", 1);
    run.add({ start: 1, count: 0, logprobs: new Float32Array(0), elapsedMs: 2, usage: { ...USAGE, kept: 1 } });
    expect(run.result({ complete: true, error: null })).toMatchObject({
      tokens: 1,
      kept: 1,
      elapsedMs: 2,
      perplexity: Number.NaN,
      perplexityLastQuarter: Number.NaN,
      curve: [],
    });
  });

  test("groups of heads are told at the end, what was read all along", () => {
    const run = new Measurement("duo:g", 2);
    const groups = [
      { keeps: "everything", layers: [0, 1], heads: 3, kept: 40, bytes: 4000 },
      { keeps: "the newest 9 tokens", layers: [1], heads: 1, kept: 9, bytes: 900 },
    ];
    for (const [start, read] of [7, 5].entries()) {
      const usage = { ...USAGE, kept: 40, read, groups };
      run.add({ start, count: 1, logprobs: Float32Array.of(-1), elapsedMs: 1, usage });
    }
    const result = run.result({ complete: true, error: null });
    expect(result.groups).toEqual(groups);
    expect(result.curve.map(({ read }) => read)).toEqual([7, 5]);
    expect(resultTable([{ ...result, notes: [], lateNotes: ["late"] }]).slice(-3)).toEqual([
      "duo:g: 4.00 kB for 3 KV heads of layers 0, 1, which keep everything",
      "duo:g: 900 B for 1 KV head of layer 1, which keeps the newest 9 tokens",
      "duo:g: late",
    ]);
  });

  test("a last part without a score changes the state at the end, not the costs", () => {
    const run = measured([-1, -1, -1, -1], [2, 2]);
    run.add({ start: 4, count: 0, logprobs: new Float32Array(0), elapsedMs: 9, usage: { ...USAGE, kept: 5 } });
    const result = run.result({ complete: true, error: null });
    expect(result).toMatchObject({ tokens: 4, kept: 5, elapsedMs: 13, msPerTokenEnd: 1 });
    expect(result.curve).toHaveLength(2);
    expect(result.curve.at(-1)?.msPerToken).toBe(1);
  });

  test("nothing measured is no figure", () => {
    const result = new Measurement("full", 10).result({ complete: false, error: "x" });
    expect(result).toMatchObject({ tokens: 0, perplexity: Number.NaN, msPerTokenStart: Number.NaN, curve: [] });
  });

  test("perplexity over ranges counts each scored token of them once, and what was not read not at all", () => {
    const run = measured([-1, -2, -3, -4, -5, -6], [2, 1, 1]);
    const mean = (start: number, end: number) => Math.log(run.perplexityOver([{ start, end }]));
    expect(mean(0, 4)).toBeCloseTo(2.5, 6);
    expect(mean(1, 3)).toBeCloseTo(2.5, 6);
    expect(mean(3, 6)).toBeCloseTo(4, 6);
    expect(run.perplexityOver([{ start: 4, end: 6 }])).toBeNaN();
    const apart = [
      { start: 0, end: 1 },
      { start: 2, end: 4 },
    ];
    expect(Math.log(run.perplexityOver(apart))).toBeCloseTo(8 / 3, 6);
    expect(Math.log(run.perplexityOfLast(2))).toBeCloseTo(3.5, 6);
    expect(Math.log(run.perplexityOfLast(100))).toBeCloseTo(2.5, 6);
  });
});

describe("trailingPerplexity", () => {
  const curve = (logs: readonly number[]) =>
    logs.map((log, at) => ({ tokens: 10 * (at + 1), perplexity: Math.exp(log) }));
  const logs = (points: readonly (readonly [number, number])[]) =>
    points.map(([tokens, y]) => [tokens, Number(Math.log(y).toFixed(6))]);

  test("is of the stretches that reach back a window, and begins at half of one", () => {
    const points = trailingPerplexity(curve([1, 2, 3, 4, 5]), 30);
    expect(logs(points)).toEqual([
      [20, 1.5],
      [30, 2],
      [40, 3],
      [50, 4],
    ]);
  });

  test("a text shorter than the window has points from its middle on; an infinite stretch spoils no later window", () => {
    expect(logs(trailingPerplexity(curve([1, 3]), 1000))).toEqual([
      [10, 1],
      [20, 2],
    ]);
    const points = trailingPerplexity(curve([1, Number.POSITIVE_INFINITY, 1, 1]), 20);
    expect(points.map(([, y]) => Number.isFinite(y))).toEqual([true, false, false, true]);
    expect(trailingPerplexity([], 10)).toEqual([]);
  });
});
