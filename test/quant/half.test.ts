/** Half precision and bfloat16 at every value they have, and their rounding. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bfloatFromFloat, floatFromBfloat } from "../../src/quant/bf16.js";
import { floatFromHalf, halfFromFloat, roundToF16 } from "../../src/quant/f16.js";

/** The definition, written apart from the code under test. */
function halfByDefinition(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

const float = fc.float({ noNaN: true, noDefaultInfinity: true });

describe("half precision", () => {
  test("every one of the 65536 halves reads as defined and is written back as itself", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 65536; bits++) {
      const value = floatFromHalf(bits);
      if (!Object.is(value, halfByDefinition(bits))) wrong.push(bits);
      const back = halfFromFloat(value);
      if (Number.isNaN(value) ? !Number.isNaN(floatFromHalf(back)) : back !== bits) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test("midpoints of all neighbours go to the even one, and a step past them to the nearer", () => {
    const wrong: number[] = [];
    const floats = new Float32Array(1);
    const bitsOf = new Uint32Array(floats.buffer);
    for (let bits = 0; bits < 0x7bff; bits++) {
      const even = bits & 1 ? bits + 1 : bits;
      floats[0] = (floatFromHalf(bits) + floatFromHalf(bits + 1)) / 2;
      if (halfFromFloat(floats[0]) !== even || halfFromFloat(-floats[0]) !== (even | 0x8000)) wrong.push(bits);
      bitsOf[0] += 1;
      if (halfFromFloat(floats[0]) !== bits + 1) wrong.push(bits);
      bitsOf[0] -= 2;
      if (halfFromFloat(floats[0]) !== bits) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test("the limits", () => {
    expect(halfFromFloat(65504)).toBe(0x7bff);
    expect(halfFromFloat(65519.996)).toBe(0x7bff);
    expect(halfFromFloat(65520)).toBe(0x7c00);
    expect(halfFromFloat(-1e30)).toBe(0xfc00);
    expect(halfFromFloat(2 ** -25)).toBe(0);
    expect(halfFromFloat(-0)).toBe(0x8000);
    expect(floatFromHalf(halfFromFloat(Number.NaN))).toBeNaN();
    expect(roundToF16(0.1)).toBe(0.0999755859375);
  });
});

describe("bfloat16", () => {
  test("takes the upper half of a float32, nearest, ties to even", () => {
    const bits = new Uint32Array(1);
    const floats = new Float32Array(bits.buffer);
    fc.assert(
      fc.property(float, (x) => {
        const low = floatFromBfloat(bfloatFromFloat(x) - 1);
        const near = floatFromBfloat(bfloatFromFloat(x));
        const high = floatFromBfloat(bfloatFromFloat(x) + 1);
        const gap = Math.abs(near - x);
        if (!Number.isFinite(near)) return Math.abs(x) > 3.38e38;
        return !(Math.abs(low - x) < gap) && !(Math.abs(high - x) < gap);
      }),
    );
    bits[0] = 0x3f808000;
    expect(bfloatFromFloat(floats[0])).toBe(0x3f80);
    bits[0] = 0x3f818000;
    expect(bfloatFromFloat(floats[0])).toBe(0x3f82);
    expect(floatFromBfloat(bfloatFromFloat(Number.NaN))).toBeNaN();
    expect(bfloatFromFloat(Number.NEGATIVE_INFINITY)).toBe(0xff80);
  });
});
