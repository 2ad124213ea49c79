/**
 * T5's buckets against the formula of the paper's code (1910.10683), worked out in whole numbers: behind the exact buckets, a
 * distance is in the k-th of n further ones when (maximum/exact)^k <= (distance/exact)^n and not for k + 1.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RelativeSpec, relativeBucket, relativeBuckets } from "../../src/position/relative.js";

/** The bucket of a distance of at least 0 among `count`. */
function exactBucket(count: number, maximum: number, distance: number): number {
  const exact = Math.floor(count / 2);
  if (distance < exact) return distance;
  const further = count - exact;
  const power = (base: number, exponent: number) => BigInt(base) ** BigInt(exponent);
  let k = 0;
  while (k + 1 < further && power(maximum, k + 1) * power(exact, further - k - 1) <= power(distance, further)) {
    k++;
  }
  return exact + k;
}

function expected({ buckets, maximum, bidirectional }: RelativeSpec, distance: number): number {
  if (!bidirectional) return exactBucket(buckets, maximum, Math.max(0, distance));
  const half = buckets / 2;
  return (distance < 0 ? half : 0) + exactBucket(half, maximum, Math.abs(distance));
}

const T5: RelativeSpec = { buckets: 32, maximum: 128, bidirectional: false };
const SPECS = fc.record({
  buckets: fc.integer({ min: 2, max: 24 }).map((half) => 2 * half),
  maximum: fc.integer({ min: 26, max: 300 }),
  bidirectional: fc.boolean(),
});

describe("relative positions", () => {
  it.each([T5, { ...T5, bidirectional: true }])("of %j are those of the paper's code, near and far", (spec) => {
    for (let distance = -1000; distance <= 1000; distance++) {
      expect(relativeBucket(spec, distance), `distance ${distance}`).toBe(expected(spec, distance));
    }
  });

  it("of any number of buckets and any maximum are too", () => {
    fc.assert(
      fc.property(SPECS, fc.integer({ min: -700, max: 700 }), (spec, distance) => {
        expect(relativeBucket(spec, distance)).toBe(expected(spec, distance));
      }),
      // Distances at a border, which logarithms only come near to.
      {
        numRuns: 500,
        examples: [
          [{ buckets: 8, maximum: 36, bidirectional: false }, 12],
          [{ buckets: 18, maximum: 128, bidirectional: true }, -64],
        ],
      },
    );
  });

  it("never fall with the distance, use every bucket, and beyond the maximum only the last", () => {
    fc.assert(
      fc.property(SPECS, (spec) => {
        const count = spec.bidirectional ? spec.buckets / 2 : spec.buckets;
        const found = Array.from({ length: spec.maximum + 1 }, (_, distance) => relativeBucket(spec, distance));
        expect(found.every((bucket, i) => i === 0 || bucket >= found[i - 1])).toBe(true);
        expect(found[0]).toBe(0);
        expect(found[spec.maximum]).toBe(count - 1);
        expect(relativeBucket(spec, 1e9)).toBe(count - 1);
      }),
    );
    expect(new Set(Array.from({ length: 129 }, (_, distance) => relativeBucket(T5, distance))).size).toBe(32);
  });

  it("of both directions have a half each; of one, keys after the query are at distance 0", () => {
    fc.assert(
      fc.property(SPECS, fc.integer({ min: 1, max: 500 }), (spec, distance) => {
        const after = relativeBucket(spec, -distance);
        if (spec.bidirectional) expect(after).toBe(relativeBucket(spec, distance) + spec.buckets / 2);
        else expect(after).toBe(0);
      }),
    );
  });

  it("as a table hold every distance, and those at its ends all farther ones", () => {
    fc.assert(
      fc.property(SPECS, fc.integer({ min: -900, max: 900 }), (spec, distance) => {
        const table = relativeBuckets(spec);
        const { maximum } = spec;
        expect(table).toHaveLength(2 * maximum + 1);
        const index = maximum + Math.min(Math.max(distance, -maximum), maximum);
        expect(table[index]).toBe(relativeBucket(spec, distance));
      }),
    );
  });
});
