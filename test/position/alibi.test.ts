/** ALiBi's slopes against the paper (2108.12409) and the rule of its code for other numbers of heads. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alibi } from "../../src/position/alibi.js";

/** The geometric series of a power of two; else that of the next lower one, then every other slope of twice as many heads. */
function slopes(heads: number, most: number): number[] {
  if (Number.isInteger(Math.log2(heads))) {
    const ratio = 2 ** (-most / heads);
    return Array.from({ length: heads }, (_, i) => ratio ** (i + 1));
  }
  const lower = 2 ** Math.floor(Math.log2(heads));
  const more = slopes(2 * lower, most).filter((_, i) => i % 2 === 0);
  return [...slopes(lower, most), ...more.slice(0, heads - lower)];
}

describe("ALiBi", () => {
  it("has the slopes that the paper names for 8 and 16 heads", () => {
    expect([...alibi(8).slopes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((power) => 2 ** -power));
    const sixteen = alibi(16).slopes;
    expect(sixteen[0]).toBe(Math.fround(Math.SQRT1_2));
    expect(sixteen[1]).toBe(0.5);
    expect(sixteen[15]).toBe(2 ** -8);
  });

  it("has those of the paper's code for 6 and 12 heads", () => {
    expect([...alibi(6).slopes]).toEqual([2, 4, 6, 8, 1, 3].map((power) => 2 ** -power));
    const powers = [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5];
    expect([...alibi(12).slopes]).toEqual(powers.map((power) => Math.fround(2 ** -power)));
  });

  it("follows the rule for any number of heads and any largest exponent", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 130 }), fc.double({ min: 0.5, max: 16, noNaN: true }), (heads, most) => {
        const found = alibi(heads, most).slopes;
        expect(found).toHaveLength(heads);
        slopes(heads, most).forEach((slope, head) => {
          expect(Math.abs(found[head] / slope - 1)).toBeLessThan(1e-6);
        });
      }),
    );
  });
});
