import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/util/errors.js";
import { Random, randomSeed } from "../../src/util/random.js";

/** xoshiro128** on BigInt, straight from its definition. */
function* reference(words: readonly number[]): Generator<number> {
  const mask = (1n << 32n) - 1n;
  const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  let [a, b, c, d] = words.map(BigInt);
  for (;;) {
    yield Number((rotate((b * 5n) & mask, 7n) * 9n) & mask);
    const shifted = (b << 9n) & mask;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11n);
  }
}

describe("Random", () => {
  it("gives the published sequence of xoshiro128** for the state 1, 2, 3, 4", () => {
    const random = Random.fromState([1, 2, 3, 4]);
    const draws = Array.from({ length: 6 }, () => random.uint32());
    expect(draws).toEqual([11520, 0, 5927040, 70819200, 2031721883, 1637235492]);
  });

  it("agrees with the definition on BigInt for any seed", () => {
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (seed) => {
        const random = new Random(seed);
        const expected = reference(Array.from(random.state()));
        for (let i = 0; i < 50; i++) expect(random.uint32()).toBe(expected.next().value);
      }),
    );
  });

  it("never changes what a seed means", () => {
    const draws = (seed: number) => {
      const random = new Random(seed);
      return [random.uint32(), random.uint32(), random.double()];
    };
    expect([0, 1, 42, 2 ** 53 - 1].map(draws)).toMatchInlineSnapshot(`
      [
        [
          3198579509,
          1151178975,
          0.9494367716614289,
        ],
        [
          1388572949,
          3427719637,
          0.9265835734885182,
        ],
        [
          487571580,
          3822238370,
          0.9193529818064416,
        ],
        [
          1059171324,
          675731634,
          0.6073468709652342,
        ],
      ]
    `);
  });

  it("tells seeds apart that differ in one bit, low or high", () => {
    const firsts = new Set<number>();
    for (let bit = 0; bit < 53; bit++) firsts.add(new Random(2 ** bit).double());
    expect(firsts.size).toBe(53);
  });

  it("draws doubles evenly from [0, 1)", () => {
    const random = new Random(7);
    const buckets = new Array(20).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const x = random.double();
      expect(x >= 0 && x < 1).toBe(true);
      buckets[Math.floor(x * 20)]++;
    }
    const chiSquare = buckets.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(43.8); // 19 degrees of freedom, p = 0.001
  });

  it("draws integers below a bound evenly", () => {
    const random = new Random(8);
    const counts = new Array(7).fill(0);
    for (let i = 0; i < 7000; i++) counts[random.below(7)]++;
    const chiSquare = counts.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(22.5); // 6 degrees of freedom, p = 0.001
  });

  it("refuses what is no seed", () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => new Random(seed)).toThrow(ArgumentError);
    expect(() => Random.fromState([0, 0, 0, 0])).toThrow(ArgumentError);
    expect(() => Random.fromState([1, 2])).toThrow(ArgumentError);
  });

  it("makes seeds of its own that are in range", () => {
    for (let i = 0; i < 100; i++) expect(() => new Random(randomSeed())).not.toThrow();
  });
});
