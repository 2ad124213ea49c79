import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Sampler } from "../../src/engine/sampling/sampling.js";
import { logprobsOf } from "../../src/engine/sampling/sampling-logprobs.js";
import type { SamplingOptions } from "../../src/engine/sampling/sampling-options.js";
import { TopIds } from "../../src/engine/sampling/top-ids.js";
import { ArgumentError, NumericError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { distribution } from "./sampling-oracle.js";

const V = 40;
const OFF: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** Logits with a spread like a model's; no two alike, so that no cut falls between equals. */
function randomLogits(seed: number, count = V): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => 8 * (random.double() + random.double() + random.double() - 1.5));
}

function draws(logits: Float32Array, options: SamplingOptions, count: number, history: number[] = []): number[] {
  const sampler = new Sampler({ seed: 1, ...options }, logits.length);
  return Array.from({ length: count }, () => sampler.sample(logits, history).id);
}

/** Pearson's statistic in standard deviations of its distribution, rare ids pooled. */
function chiSquareSigmas(drawn: readonly number[], expected: ReadonlyMap<number, number>): number {
  const counts = new Map<number, number>();
  for (const id of drawn) counts.set(id, (counts.get(id) ?? 0) + 1);
  let statistic = 0;
  let cells = 0;
  let rare = { seen: 0, expected: 0 };
  for (const [id, p] of expected) {
    const mean = p * drawn.length;
    const seen = counts.get(id) ?? 0;
    if (mean < 5) {
      rare = { seen: rare.seen + seen, expected: rare.expected + mean };
      continue;
    }
    statistic += (seen - mean) ** 2 / mean;
    cells++;
  }
  if (rare.expected >= 1) {
    statistic += (rare.seen - rare.expected) ** 2 / rare.expected;
    cells++;
  }
  const freedom = Math.max(1, cells - 1);
  return (statistic - freedom) / Math.sqrt(2 * freedom);
}

/** Probability of the ids above `id`. */
function mass(expected: ReadonlyMap<number, number>, id: number): number {
  let sum = 0;
  for (const [other, p] of expected) if (other > id) sum += p;
  return sum;
}

const CASES: Record<string, SamplingOptions> = {
  defaults: {},
  "no filter": OFF,
  hot: { ...OFF, temperature: 2.5 },
  cold: { ...OFF, temperature: 0.3 },
  "top-k": { ...OFF, topK: 5 },
  "top-k of everything": { ...OFF, topK: 1000 },
  "top-p": { ...OFF, topP: 0.7 },
  "min-p": { ...OFF, minP: 0.1 },
  "top-k and top-p": { ...OFF, topK: 10, topP: 0.8 },
  "top-p and min-p": { ...OFF, temperature: 2, topP: 0.9, minP: 0.2 },
  "all filters": { temperature: 1.5, topK: 12, topP: 0.9, minP: 0.03 },
  bias: { ...OFF, logitBias: { 3: 4, 7: -4, 9: Number.NEGATIVE_INFINITY } },
  repetition: { ...OFF, repetitionPenalty: 1.5 },
  presence: { ...OFF, presencePenalty: 2 },
  frequency: { ...OFF, frequencyPenalty: 0.7 },
  "all penalties, short window": {
    ...OFF,
    repetitionPenalty: 1.2,
    presencePenalty: 0.5,
    frequencyPenalty: 0.5,
    penaltyWindow: 6,
  },
  "a window of nothing": { ...OFF, presencePenalty: 50, penaltyWindow: 0 },
};
const HISTORY = [1, 2, 3, 3, 3, 39, 0, 20, 21, 21, 5, 3];

describe("Sampler", () => {
  it.each(Object.entries(CASES))("draws as often as the definition says: %s", (_name, options) => {
    for (const seed of [11, 12]) {
      const logits = randomLogits(seed);
      const expected = distribution(logits, options, HISTORY);
      const drawn = draws(logits, options, 20_000, HISTORY);
      expect(new Set(drawn.filter((id) => !expected.has(id)))).toEqual(new Set());
      expect(chiSquareSigmas(drawn, expected)).toBeLessThan(4);
    }
  });

  it("never draws what the filters drop, and keeps the best, for any options", () => {
    fc.assert(
      fc.property(
        fc.record({
          temperature: fc.constantFrom(0, 0.2, 1, 3),
          topK: fc.nat(50),
          topP: fc.double({ min: 0.01, max: 1, noNaN: true }),
          minP: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.nat(1000),
        fc.integer({ min: 1, max: 700 }),
        (options, seed, count) => {
          const logits = randomLogits(seed, count);
          const expected = distribution(logits, options);
          for (const id of draws(logits, { ...options, seed }, 30)) expect(expected.has(id)).toBe(true);
        },
      ),
    );
  });

  it("finds a wide nucleus beyond the first candidates", () => {
    const logits = new Float32Array(3000).map((_, id) => -id / 3000);
    const expected = distribution(logits, { ...OFF, topP: 0.9 });
    expect(expected.size).toBeGreaterThan(2000);
    const drawn = draws(logits, { ...OFF, topP: 0.9 }, 1000);
    expect(drawn.every((id) => expected.has(id))).toBe(true);
    expect(drawn.filter((id) => id > 1024).length / 1000).toBeCloseTo(mass(expected, 1024), 1);
  });

  it("takes the lowest id of equals when greedy", () => {
    const logits = Float32Array.from([0, 3, 1, 3, 3]);
    expect(new Sampler({ temperature: 0 }, 5).sample(logits, []).id).toBe(1);
  });

  it("keeps the lowest ids of equals under top-k", () => {
    const logits = Float32Array.from([0, 3, 1, 3, 3, 3]);
    expect(new Set(draws(logits, { ...OFF, topK: 2 }, 200))).toEqual(new Set([1, 3]));
  });

  it("applies bias and penalties when greedy too", () => {
    const logits = Float32Array.from([5, 4, 3]);
    const greedy = (options: SamplingOptions, history: number[]) =>
      new Sampler({ temperature: 0, ...options }, 3).sample(logits, history).id;
    expect(greedy({ logitBias: { 2: 10 } }, [])).toBe(2);
    expect(greedy({ frequencyPenalty: 0.6 }, [0, 0])).toBe(1);
    expect(greedy({ presencePenalty: 0.6 }, [0, 0])).toBe(0);
    expect(greedy({ repetitionPenalty: 2 }, [0])).toBe(1);
  });

  it("leaves the logits as they are", () => {
    const logits = randomLogits(3);
    const before = logits.slice();
    draws(logits, { ...(CASES["all penalties, short window"] ?? {}), logitBias: { 1: 2 } }, 5, HISTORY);
    expect(logits).toEqual(before);
  });

  it("gives the same draws for the same seed, and others for another", () => {
    const logits = randomLogits(4);
    expect(draws(logits, { seed: 5 }, 50)).toEqual(draws(logits, { seed: 5 }, 50));
    expect(draws(logits, { seed: 5 }, 50)).not.toEqual(draws(logits, { seed: 6 }, 50));
    const unseeded = new Sampler({}, V);
    const again = new Sampler({ seed: unseeded.seed }, V);
    for (let i = 0; i < 50; i++) expect(again.sample(logits, []).id).toBe(unseeded.sample(logits, []).id);
  });

  it("survives tiny temperatures and huge logits", () => {
    const logits = Float32Array.from([-3e38, 3e38, 2.9e38]);
    expect(draws(logits, { ...OFF, temperature: 1e-30 }, 20).every((id) => id === 1)).toBe(true);
  });

  it("never draws a banned token, even as the last one", () => {
    const logits = new Float32Array([0, 0, Number.NEGATIVE_INFINITY]);
    expect(draws(logits, OFF, 500)).not.toContain(2);
    expect(draws(logits, { ...OFF, topK: 3, topP: 0.999 }, 500)).not.toContain(2);
  });

  it("tells damaged logits apart", () => {
    const sample = (values: number[], options: SamplingOptions = {}) =>
      new Sampler(options, values.length).sample(Float32Array.from(values), []);
    expect(() => sample([1, Number.NaN, 2])).toThrow(NumericError);
    expect(() => sample([Number.NaN, Number.NaN])).toThrow(/token 0 is not a number/);
    expect(() => sample([1, Number.POSITIVE_INFINITY], { temperature: 0 })).toThrow(/token 1 is infinite/);
    expect(() => sample([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY])).toThrow(/No token is possible/);
    expect(() => sample([1], { logitBias: { 0: Number.NEGATIVE_INFINITY } })).toThrow(NumericError);
    expect(() => new Sampler({}, 3).sample(new Float32Array(2), [])).toThrow(ArgumentError);
  });

  it.each<[SamplingOptions, RegExp]>([
    [{ temperature: -1 }, /temperature must be a number from 0 to 100; found -1/],
    [{ temperature: Number.NaN }, /temperature/],
    [{ topK: 1.5 }, /topK must be an integer/],
    [{ topK: -1 }, /topK/],
    [{ topP: 0 }, /topP must be a number above 0 to 1/],
    [{ topP: 1.01 }, /topP/],
    [{ minP: 2 }, /minP/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty/],
    [{ presencePenalty: 1e9 }, /presencePenalty/],
    [{ frequencyPenalty: Number.POSITIVE_INFINITY }, /frequencyPenalty/],
    [{ penaltyWindow: -2 }, /penaltyWindow/],
    [{ seed: 1.5 }, /seed/],
    [{ logitBias: { [V]: 1 } }, /logitBias: ids must be integers from 0 to 39; found '40'/],
    [{ logitBias: { 1: Number.NaN } }, /logitBias of id 1/],
    [{ logitBias: { [-1]: 1 } }, /logitBias/],
  ])("refuses %j", (options, message) => {
    expect(() => new Sampler(options, V)).toThrow(ArgumentError);
    expect(() => new Sampler(options, V)).toThrow(message);
  });
});

describe("TopIds", () => {
  it("selects what sorting selects, equals by id, when used again and again", () => {
    const top = new TopIds();
    const numbers = fc.array(fc.constantFrom(-1, 0, 1, 2, Number.NEGATIVE_INFINITY), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(numbers, fc.nat(35), (numbers, k) => {
        const values = Float32Array.from(numbers);
        const sorted = numbers.map((value, id) => ({ value, id }));
        sorted.sort((a, b) => (a.value === b.value ? a.id - b.id : b.value - a.value));
        top.select(values, k);
        expect(Array.from(top.ids.subarray(0, top.count))).toEqual(sorted.slice(0, k).map(({ id }) => id));
      }),
      { numRuns: 500 },
    );
  });
});

describe("logprobsOf", () => {
  it("equals log-softmax by definition, and lists the best", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: 1, max: 60 }), fc.nat(10), (seed, count, n) => {
        const logits = randomLogits(seed, count);
        const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
        const expected = Array.from(logits, (logit, id) => ({ id, logprob: Math.log(Math.exp(logit) / sum) }));
        const { logprob, top } = logprobsOf(logits, seed % count, n);
        expect(logprob).toBeCloseTo(expected[seed % count].logprob, 10);
        expected.sort((a, b) => b.logprob - a.logprob);
        expect(top.map(({ id }) => id)).toEqual(expected.slice(0, n).map(({ id }) => id));
        top.forEach((entry, i) => {
          expect(entry.logprob).toBeCloseTo(expected[i].logprob, 10);
        });
      }),
    );
  });

  it("does not overflow", () => {
    const { logprob, top } = logprobsOf(Float32Array.from([3e38, 3e38, -3e38]), 0, 1);
    expect(logprob).toBeCloseTo(-Math.LN2, 12);
    expect(top).toEqual([{ id: 0, logprob }]);
  });

  it("refuses ids and counts that make no sense", () => {
    expect(() => logprobsOf(new Float32Array(3), 3, 0)).toThrow(ArgumentError);
    expect(() => logprobsOf(new Float32Array(3), -1, 0)).toThrow(ArgumentError);
    expect(() => logprobsOf(new Float32Array(3), 0, -1)).toThrow(ArgumentError);
  });
});
