/** Sinusoidal embeddings against their formula (1706.03762, section 3.5). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeSinusoid } from "../../src/position/sinusoidal.js";

/** The embedding of one position, written behind a row that must stay as it is. */
function sinusoid(position: number, width: number): Float32Array {
  const out = new Float32Array(2 * width).fill(9);
  writeSinusoid(position, width, out, 1);
  expect(out.subarray(0, width).every((value) => value === 9)).toBe(true);
  return out.subarray(width);
}

describe("sinusoidal positions", () => {
  it("are sine and cosine of t / 10000^(2i/C), in turn, also at positions of millions", () => {
    const cases = fc.record({ position: fc.nat(5_000_000), pairs: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(cases, ({ position, pairs }) => {
        const width = 2 * pairs;
        const out = sinusoid(position, width);
        for (let i = 0; i < pairs; i++) {
          const angle = position / 10000 ** ((2 * i) / width);
          expect(out[2 * i]).toBe(Math.fround(Math.sin(angle)));
          expect(out[2 * i + 1]).toBe(Math.fround(Math.cos(angle)));
        }
      }),
    );
  });

  it("at position 0 are 0 and 1, and their wavelengths go from 2 pi to 10000 times 2 pi", () => {
    expect([...sinusoid(0, 6)]).toEqual([0, 1, 0, 1, 0, 1]);
    const width = 512;
    expect(sinusoid(1, width)[0]).toBeCloseTo(Math.sin(1), 7);
    expect(sinusoid(10000, width)[width - 2]).toBeCloseTo(Math.sin(10000 ** (2 / width)), 6);
  });

  it("of two positions have a product that depends on their distance alone", () => {
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(1000), (position, distance) => {
        const far = dot(sinusoid(position, 32), sinusoid(position + distance, 32));
        expect(far).toBeCloseTo(dot(sinusoid(0, 32), sinusoid(distance, 32)), 4);
      }),
    );
  });

  it("of an odd width end with a sine", () => {
    expect(sinusoid(3, 5)[4]).toBe(Math.fround(Math.sin(3 / 10000 ** (4 / 5))));
  });
});
