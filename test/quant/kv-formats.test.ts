/** The cache types' definitions: sizes of pages, what is kept of a vector, which stored pages can be read. */
import { describe, expect, test } from "vitest";
import { pageBytes } from "../../src/backends/wasm/kv-layout.js";
import { KV_FORMATS } from "../../src/quant/kv/index.js";
import { blankPlaces, kvBytes } from "../../src/quant/kv/pages.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";

const { f32, f16, q8, q4 } = KV_FORMATS;

test("every type has a format", () => {
  expect(Object.keys(KV_FORMATS).sort()).toEqual([...KV_TYPES].sort());
});

describe("a page of 16 tokens", () => {
  test.each([
    ["f32", 128, 16 * 512],
    ["f16", 128, 16 * 256],
    ["q8", 128, 16 * (128 + 4 * 4)],
    // A last group of fewer than 32 dims has a scale too.
    ["q8", 36, 16 * (36 + 2 * 4)],
    ["q8", 4, 16 * (4 + 4)],
    // 4.5 bits a number.
    ["q4", 128, 16 * (64 + 4 * 2)],
    ["q4", 64, 16 * (32 + 2 * 2)],
    // Words of eight dims, the last half filled.
    ["q4", 36, 16 * (20 + 2 * 2)],
    ["q4", 4, 16 * (4 + 2)],
  ] as const)("in %s with %i dims has %i bytes", (type, width, bytes) => {
    expect(kvBytes(type, width, "keys")).toBe(bytes);
    const layout = { members: 3, keyWidth: width, valueWidth: 8, keyType: type, valueType: "f32" } as const;
    expect(pageBytes(layout)).toBe(3 * (bytes + 16 * 32));
  });
});

describe("of a vector is kept", () => {
  test("all in f32", () => {
    const vector = Float32Array.of(0.1, -3e38, 1e-40, 7);
    expect(f32.round(vector, "keys")).toEqual(vector);
  });

  test("in f16 the nearest half, infinite from 65520 on", () => {
    const kept = f16.round(Float32Array.of(1 / 3, 2049, 2051, 65519, 65520, -1e-8), "keys");
    expect([...kept]).toEqual([0.333251953125, 2048, 2052, 65504, Number.POSITIVE_INFINITY, -0]);
  });

  test("in q8 a multiple of the 127th part of the largest of its 32 dims", () => {
    const vector = new Float32Array(36);
    vector.set([127, -127, 63.4, 63.6, 0.4], 0);
    vector.set([2.54, 1.27, 0.013, 0], 32);
    const kept = q8.round(vector, "keys");
    expect([...kept.subarray(0, 6)]).toEqual([127, -127, 63, 64, 0, 0]);
    const scale = Math.fround(Math.fround(2.54) / 127);
    expect([...kept.subarray(32)]).toEqual([127, 64, 1, 0].map((q) => Math.fround(q * scale)));
  });

  test("of values in q4 a multiple of the 8th part of the largest of their 32 dims, which is -8 of them", () => {
    const vector = new Float32Array(36);
    vector.set([-16, 16, 14, 3.1, 2.9, 0.9, -9], 0);
    vector.set([8, 0.49, -4.6, -8.5], 32);
    const kept = q4.round(vector, "values");
    expect([...kept.subarray(0, 8)]).toEqual([-16, 14, 14, 4, 2, 0, -8, 0]);
    // The scale of the last four is -8.5 / -8, in f16.
    expect([...kept.subarray(32)]).toEqual([7 * 1.0625, 0, -4 * 1.0625, -8.5]);
  });

  test.each([
    [4, 4],
    [36, 4],
    [80, 16],
    [64, 64],
    [96, 32],
    [256, 256],
  ])("of keys in q4 the same of the key rotated by a Hadamard matrix, rotated back: %i dims, by %i", (width, n) => {
    const key = Float32Array.from({ length: width }, (_, d) => Math.sin(d * d) + (d === 3 ? 9 : 0));
    const sign = (i: number, j: number) => ((i & j).toString(2).replaceAll("0", "").length % 2 ? -1 : 1);
    const rotate = (x: Float32Array) =>
      x.map((_, i) => {
        const start = i - (i % n);
        return x.subarray(start, start + n).reduce((sum, y, j) => sum + sign(i % n, j) * y, 0);
      });
    const kept = q4.round(key, "keys");
    const rotated = rotate(key).map((x) => x / n);
    const expected = rotate(q4.round(rotated, "values"));
    for (let d = 0; d < width; d++) expect(kept[d]).toBeCloseTo(expected[d], 4);
    // An error is at most half a step of its block, or a whole one above 7 steps, and rotating back adds up n of them.
    rotate(kept).forEach((x, i) => {
      const block = rotated.subarray(i - (i % 32), i - (i % 32) + 32);
      const step = block.reduce((most, y) => Math.max(most, Math.abs(y)), 0) / 8;
      expect(Math.abs(x / n - rotated[i])).toBeLessThanOrEqual(1.01 * step);
    });
  });

  test.each(["keys", "values"] as const)(
    "of %s in q4 zeros of zeros, the smallest numbers, nothing beyond halves",
    (part) => {
      expect(q4.round(new Float32Array(40), part).every((x) => x === 0)).toBe(true);
      // Less than half of the smallest scale times 8.
      expect(q4.round(new Float32Array(40).fill(1e-8), part).every((x) => x === 0)).toBe(true);
      const small = q4.round(Float32Array.of(2 ** -19, 0, 0, 0), part);
      expect(small[0]).toBe(2 ** -19);
      const large = q4.round(new Float32Array(512).fill(-65504), part);
      expect(large.every((x, d) => (part === "values" || d % 512 === 0 ? x === -65504 : Math.abs(x) <= 65504))).toBe(
        true,
      );
      for (const beyond of [65520, -1e30, Number.POSITIVE_INFINITY, Number.NaN]) {
        expect(q4.round(Float32Array.of(1, beyond, 2, 3), part).some(Number.isFinite)).toBe(false);
      }
    },
  );

  test("in q8 zeros of a group of zeros", () => {
    expect(q8.round(new Float32Array(40), "values")).toEqual(new Float32Array(40));
  });
});

test("halves that are no finite numbers cannot be read, other pages can", () => {
  const page = new Uint8Array(16 * 8 * 2);
  expect(f16.readable(page, 8, "keys")).toBe(true);
  for (const bits of [0x7c00, 0xfc00, 0x7e01]) {
    new DataView(page.buffer).setUint16(100, bits, true);
    expect(f16.readable(page, 8, "keys")).toBe(false);
    expect(f32.readable(page, 8, "keys")).toBe(true);
    expect(q8.readable(page, 8, "keys")).toBe(true);
  }
});

test("places of a page are blanked in every type: of q4 values a nibble of every word", () => {
  for (const valueType of KV_TYPES) {
    const layout = { members: 2, keyWidth: 12, valueWidth: 36, keyType: "q4", valueType } as const;
    for (let from = 0; from <= 16; from++) {
      const page = new Uint8Array(pageBytes(layout)).fill(0xff);
      blankPlaces(layout, page, from);
      const ones = page.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
      expect(ones, `${valueType} from ${from}`).toBe((page.length * 8 * from) / 16);
    }
  }
  const layout = { members: 1, keyWidth: 8, valueWidth: 4, keyType: "f32", valueType: "q4" } as const;
  const page = new Uint8Array(pageBytes(layout)).fill(0xff);
  blankPlaces(layout, page, 9);
  // Words of the tokens 0 to 3 and 8 to 11, then of 4 to 7 and 12 to 15.
  const words = new Uint32Array(page.buffer, 16 * 8 * 4, 8);
  expect([...words]).toEqual([...Array(4).fill(0x000fffff), ...Array(4).fill(0x0000ffff)]);
});
