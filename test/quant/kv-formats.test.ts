/** The cache types' definitions: sizes of pages, what is kept of a vector, which stored pages can be read. */
import { describe, expect, test } from "vitest";
import { pageBytes } from "../../src/backends/wasm/kv-layout.js";
import { KV_FORMATS } from "../../src/quant/kv/index.js";
import { kvBytes } from "../../src/quant/kv/pages.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";

const { f32, f16, q8 } = KV_FORMATS;

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
