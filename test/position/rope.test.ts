/** Rotations against their formula (2104.09864), in double precision at any position of an endless text. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RopeSpec, ropeFrequencies, writeAngles } from "../../src/position/rope.js";

const SPEC: RopeSpec = { layout: "halves", dims: 16, base: 10_000, scaling: { kind: "none" } };

/** [cosine, sine] of every pair, written behind a row that must stay as it is. */
function angles(spec: RopeSpec, position: number, length?: number): [number, number][] {
  const frequencies = ropeFrequencies(spec, length);
  const out = new Float32Array(2 * spec.dims).fill(9);
  writeAngles(frequencies, position, out, 1);
  expect(out.subarray(0, spec.dims).every((value) => value === 9)).toBe(true);
  return Array.from({ length: spec.dims / 2 }, (_, i) => [out[spec.dims + 2 * i], out[spec.dims + 2 * i + 1]]);
}

/** cos and sin of n f by squaring e^(i f): no large angle is ever formed, so none is rounded. */
function power(frequency: number, n: number): [number, number] {
  let [re, im] = [1, 0];
  let [a, b] = [Math.cos(frequency), Math.sin(frequency)];
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) [re, im] = [re * a - im * b, re * b + im * a];
    [a, b] = [a * a - b * b, 2 * a * b];
  }
  return [re, im];
}

describe("rotary positions", () => {
  it("turn pair i by position x base^(-2i/dims), exactly also at positions of millions", () => {
    const cases = fc.record({
      position: fc.nat(50_000_000),
      pairs: fc.integer({ min: 1, max: 64 }),
      base: fc.constantFrom(100, 10_000, 500_000, 1_000_000),
    });
    fc.assert(
      fc.property(cases, ({ position, pairs, base }) => {
        const dims = 2 * pairs;
        const found = angles({ ...SPEC, dims, base }, position);
        found.forEach(([cos, sin], i) => {
          const [re, im] = power(base ** ((-2 * i) / dims), position);
          // Half a unit in the last place of a float32, and the double's error of the product.
          expect(Math.abs(cos - re)).toBeLessThan(2e-7);
          expect(Math.abs(sin - im)).toBeLessThan(2e-7);
        });
      }),
    );
  });

  it("give scores that depend on the distance alone, at the start and after millions of tokens", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000_000 }), fc.nat(5000), (position, distance) => {
        const score = (at: number) => {
          const [query, key] = [angles(SPEC, at + distance), angles(SPEC, at)];
          // Of a query and a key that are both (1, 0) in every pair.
          return query.reduce((sum, [cos, sin], i) => sum + cos * key[i][0] + sin * key[i][1], 0);
        };
        expect(Math.abs(score(position) - score(0))).toBeLessThan(2e-6);
      }),
    );
  });

  it("divide the angle of a pair by its divisor, under any scaling", () => {
    const divisors = Float32Array.from({ length: 8 }, (_, i) => 1 + i / 2);
    for (const scaling of [SPEC.scaling, { kind: "linear", factor: 4 } as const]) {
      const plain = ropeFrequencies({ ...SPEC, scaling }).inverse;
      const divided = ropeFrequencies({ ...SPEC, scaling, divisors });
      expect([...divided.inverse]).toEqual([...plain].map((f, i) => f / divisors[i]));
      expect(divided.magnitude).toBe(1);
    }
  });

  it("multiply cosine and sine by the scaling's magnitude", () => {
    const yarn: RopeSpec = { ...SPEC, scaling: { kind: "yarn", factor: 8, originalContext: 64 } };
    const { inverse, magnitude } = ropeFrequencies(yarn);
    expect(magnitude).toBeCloseTo(1 + 0.1 * Math.log(8), 12);
    angles(yarn, 777).forEach(([cos, sin], i) => {
      expect(Math.hypot(cos, sin)).toBeCloseTo(magnitude, 6);
      expect(cos).toBe(Math.fround(Math.cos(777 * inverse[i]) * magnitude));
    });
  });
});
