/** Every scaling of RoPE against the formula of its source, and what its authors say that it does. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  dynamicBase,
  inverseFrequencies,
  type RopeScaling,
  scaledFrequencies,
} from "../../src/position/rope-scaling.js";

const BASE = 10_000;
const SIZES = fc.record({
  pairs: fc.integer({ min: 2, max: 64 }),
  base: fc.constantFrom(100, BASE, 500_000),
  factor: fc.double({ min: 1.01, max: 64, noNaN: true }),
});

/** |a/b - 1| for every pair. */
function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value / b[i] - 1)), 0);
}

describe("scalings of rotary positions", () => {
  it("none and linear: the angle of position t is that of t / factor", () => {
    fc.assert(
      fc.property(SIZES, ({ pairs, base, factor }) => {
        const dims = 2 * pairs;
        const plain = Array.from({ length: pairs }, (_, i) => Math.exp(((-2 * i) / dims) * Math.log(base)));
        expect(worst(scaledFrequencies(dims, base, { kind: "none" }).inverse, plain)).toBeLessThan(1e-12);
        const { inverse, magnitude } = scaledFrequencies(dims, base, { kind: "linear", factor });
        expect(
          worst(
            inverse,
            plain.map((f) => f / factor),
          ),
        ).toBeLessThan(1e-12);
        expect(magnitude).toBe(1);
      }),
    );
  });

  it("NTK-aware: the fastest pair stays, the slowest is interpolated by the factor, those between by its powers", () => {
    fc.assert(
      fc.property(SIZES, ({ pairs, base, factor }) => {
        const dims = 2 * pairs;
        const plain = inverseFrequencies(dims, base);
        const { inverse } = scaledFrequencies(dims, base, { kind: "ntk", factor });
        const expected = Array.from(plain, (f, i) => f / factor ** (i / (pairs - 1)));
        expect(worst(inverse, expected)).toBeLessThan(1e-9);
      }),
    );
  });

  it("dynamic NTK: nothing within the trained length; at length l the NTK of (s l / L) - (s - 1), growing steadily", () => {
    fc.assert(
      fc.property(
        SIZES,
        fc.integer({ min: 8, max: 4096 }),
        fc.nat(20_000),
        ({ pairs, base, factor }, trained, more) => {
          const dims = 2 * pairs;
          const scaling: RopeScaling = { kind: "dynamic", factor, originalContext: trained };
          const plain = inverseFrequencies(dims, base);
          expect([...scaledFrequencies(dims, base, scaling, trained).inverse]).toEqual([...plain]);
          const length = trained + 1 + more;
          const ratio = (factor * length) / trained - (factor - 1);
          const asNtk = scaledFrequencies(dims, base, { kind: "ntk", factor: ratio });
          expect(worst(scaledFrequencies(dims, base, scaling, length).inverse, asNtk.inverse)).toBeLessThan(1e-12);
          const next = dynamicBase(base, dims, factor, trained, length + 1);
          expect(next).toBeGreaterThan(dynamicBase(base, dims, factor, trained, length));
        },
      ),
    );
  });

  it("YaRN: pairs of many turns stay, those of less than one are interpolated, a ramp over the index between them", () => {
    const contexts = fc.integer({ min: 64, max: 32_768 });
    fc.assert(
      fc.property(SIZES, contexts, ({ pairs, base, factor }, originalContext) => {
        const dims = 2 * pairs;
        const plain = inverseFrequencies(dims, base);
        const { inverse, magnitude } = scaledFrequencies(dims, base, { kind: "yarn", factor, originalContext });
        expect(magnitude).toBeCloseTo(0.1 * Math.log(factor) + 1, 12);
        // The index at which a pair turns so often within the original context: turns = L base^(-2i/d) / 2 pi.
        const indexOf = (turns: number) =>
          (dims / 2) * (Math.log(originalContext / (2 * Math.PI * turns)) / Math.log(base));
        const [low, high] = [Math.max(0, Math.floor(indexOf(32))), Math.min(dims - 1, Math.ceil(indexOf(1)))];
        inverse.forEach((frequency, i) => {
          const share = low === high ? Number(i > low) : Math.min(1, Math.max(0, (i - low) / (high - low)));
          const expected = plain[i] * (1 - share) + (plain[i] / factor) * share;
          expect(Math.abs(frequency / expected - 1)).toBeLessThan(1e-9);
        });
      }),
    );
  });

  it("YaRN: its bounds in turns and the factor of its magnitude can be set", () => {
    const yarn = { kind: "yarn", factor: 4, originalContext: 4096 } as const;
    const usual = scaledFrequencies(128, BASE, yarn);
    expect(scaledFrequencies(128, BASE, { ...yarn, betaFast: 32, betaSlow: 1, attentionFactor: 1 })).toEqual(usual);
    const other = scaledFrequencies(128, BASE, { ...yarn, betaFast: 8, betaSlow: 2, attentionFactor: 1.5 });
    expect(other.magnitude).toBeCloseTo(1.5 * usual.magnitude, 12);
    const kept = ({ inverse }: typeof usual) =>
      inverse.findIndex((f, i) => f < inverseFrequencies(128, BASE)[i] * 0.999999);
    expect(kept(other)).toBeGreaterThan(kept(usual));
  });

  it("llama3: by wavelength, kept below L/high, divided beyond L/low, blended between, without a jump", () => {
    const [low, high, originalContext] = [1, 4, 8192];
    fc.assert(
      fc.property(SIZES, ({ pairs, base, factor }) => {
        const dims = 2 * pairs;
        const plain = inverseFrequencies(dims, base);
        const scaling = {
          kind: "llama3",
          factor,
          originalContext,
          lowFrequencyFactor: low,
          highFrequencyFactor: high,
        } as const;
        const { inverse, magnitude } = scaledFrequencies(dims, base, scaling);
        expect(magnitude).toBe(1);
        plain.forEach((frequency, i) => {
          // Turns of the pair within the original context.
          const turns = (originalContext * frequency) / (2 * Math.PI);
          const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
          const expected = frequency * (kept + (1 - kept) / factor);
          expect(Math.abs(inverse[i] / expected - 1)).toBeLessThan(1e-9);
        });
      }),
    );
  });

  it("LongRoPE: the short divisors up to the original context, the long ones for every longer one, and its magnitude", () => {
    const dims = 8;
    const short = Float32Array.of(1, 1.25, 1.5, 2);
    const long = Float32Array.of(1, 4, 16, 64);
    const scaling: RopeScaling = { kind: "longrope", short, long, originalContext: 256, magnitude: 1.19 };
    const plain = inverseFrequencies(dims, BASE);
    for (const [length, divisors] of [
      [0, short],
      [256, short],
      [257, long],
      [Number.POSITIVE_INFINITY, long],
    ] as const) {
      const { inverse, magnitude } = scaledFrequencies(dims, BASE, scaling, length);
      expect([...inverse]).toEqual([...plain].map((f, i) => f / divisors[i]));
      expect(magnitude).toBe(1.19);
    }
  });
});

describe("YaRN whose ramp does not begin and end at whole pairs", () => {
  // Worked out by hand for 64 dims of base 150000 and an original context of 4096, as gpt-oss has them: the pair that turns
  // r times is 64 ln(4096 / (2 pi r)) / (2 ln 150000), so 8.0928 for r = 32 and 17.3980 for r = 1.
  const scaling: RopeScaling = { kind: "yarn", factor: 32, originalContext: 4096 };
  const share = (truncate: boolean, pair: number) => {
    const plain = 150_000 ** (-pair / 32);
    const { inverse } = scaledFrequencies(64, 150_000, { ...scaling, truncate });
    // f (1 - m) + f m / 32 = f (1 - 31 m / 32)
    return ((1 - inverse[pair] / plain) * 32) / 31;
  };

  it("is the share (pair - 8.0928) / 9.3051 of the interpolated angle", () => {
    for (const pair of [9, 12, 17]) expect(share(false, pair)).toBeCloseTo((pair - 8.0928) / 9.3051, 3);
    expect(share(false, 8)).toBeCloseTo(0, 12);
    expect(share(false, 18)).toBeCloseTo(1, 12);
  });

  it("and by default (pair - 8) / 10", () => {
    for (const pair of [9, 12, 17]) expect(share(true, pair)).toBeCloseTo((pair - 8) / 10, 12);
    const plain = scaledFrequencies(64, 150_000, scaling);
    expect([...plain.inverse]).toEqual([...scaledFrequencies(64, 150_000, { ...scaling, truncate: true }).inverse]);
  });
});
