/** XXH32 against values of the reference implementation, for every way through it. */
import { describe, expect, it } from "vitest";
import { xxhash32 } from "../../src/util/xxhash32.js";

describe("xxhash32", () => {
  it.each<[string, number, number]>([
    ["", 0, 0x02cc5d05],
    ["abc", 0, 0x32d153ff],
    ["Nobody inspects the spammish repetition", 0, 0xe2293b2f],
  ])("of %j with seed %i", (text, seed, expected) => {
    expect(xxhash32(new TextEncoder().encode(text), seed)).toBe(expected);
  });

  it("of any view of a buffer, whole stripes, words and single bytes", () => {
    const bytes = Uint8Array.from({ length: 101 }, (_, i) => i);
    expect(xxhash32(bytes, 7)).toBe(0x1bdcb693);
    const inside = new Uint8Array(105);
    inside.set(bytes, 3);
    expect(xxhash32(inside.subarray(3, 104), 7)).toBe(0x1bdcb693);
  });
});
