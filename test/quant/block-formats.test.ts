/**
 * Block formats against digests of ggml's own numbers (made with llama.cpp's `gguf` Python package over the same seeded
 * bytes and values), and round trips within bounds derived from each format's definition.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_FORMATS, dequantiseRow, quantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { ArgumentError } from "../../src/util/errors.js";

const ALL = Object.keys(BLOCK_FORMATS) as DType[];

/** FNV-1a of what ggml reads from the seeded bytes: 1024 elements, NaN and -0 counted as 0. */
const READ_DIGESTS: Partial<Record<DType, number>> = {
  f16: 0x5072549e,
  bf16: 0xdd979c6b,
  q4_0: 0x4ce63147,
  q4_1: 0x45824de4,
  q5_0: 0xfba782e4,
  q5_1: 0x5f7aea13,
  q8_0: 0x61114fc6,
  q2_k: 0x39150787,
  q3_k: 0xdb469eb4,
  q4_k: 0xc6ea7dfd,
  q5_k: 0x64f12d30,
  q6_k: 0xfeeb1126,
  iq4_nl: 0x04046c9b,
  mxfp4: 0xc4ce3d4c,
};

/** FNV-1a of the bytes that ggml writes for 1024 seeded values. Types whose writer searches are not comparable. */
const WRITE_DIGESTS: Partial<Record<DType, number>> = {
  f16: 0xf710133b,
  bf16: 0x400e293f,
  q4_0: 0x47371deb,
  q4_1: 0xde8b4510,
  q5_0: 0xf64758d3,
  q5_1: 0xba1d5721,
  q8_0: 0x2c7bafc2,
  mxfp4: 0xd764a930,
};

/**
 * Largest error as a share of the row's largest magnitude, before the rounding of f16 fields. Half a step,
 * or a whole one where the range has a level more on one side; k-quants: plus what 4 to 8 bits for a scale (K levels)
 * lose, n/2K of a step and 1/2K for the minimum.
 */
const BOUNDS: Record<DType, number> = {
  f32: 0,
  f16: 0,
  bf16: 2 ** -8,
  q8_0: 1 / 254,
  q4_0: 1 / 8,
  q5_0: 1 / 16,
  q4_1: 1 / 15,
  q5_1: 1 / 31,
  iq4_nl: 14 / 127,
  // Up to 8 is cut to 6.
  mxfp4: 1 / 4,
  q2_k: 1 / 3 + 1.5 / 15,
  q3_k: 1 / 4 + 1 / 32,
  q4_k: 1 / 15 + 1.5 / 63,
  q5_k: 1 / 31 + 1.5 / 63,
  q6_k: 1 / 32 + 1 / 128,
};

/** Rounding of f16 fields, 2^-11 each: the scale spans up to twice the magnitude where there is a minimum beside it. */
function halfRounding(dtype: DType): number {
  if (dtype === "f32" || dtype === "bf16" || dtype === "mxfp4") return 0;
  return ["q4_1", "q5_1", "q2_k", "q4_k", "q5_k"].includes(dtype) ? 3 * 2 ** -11 : 2 ** -11;
}

function seededBytes(count: number): Uint8Array {
  let state = 7;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

describe("reading equals ggml bit for bit", () => {
  test.each(Object.entries(READ_DIGESTS) as [DType, number][])("%s", (dtype, digest) => {
    const out = new Float32Array(1024);
    dequantiseRow(dtype, seededBytes(rowBytes(dtype, 1024)), 0, 1024, out);
    expect(fnv1a(bytesOf(out.map((x) => (x === 0 || Number.isNaN(x) ? 0 : x))))).toBe(digest);
  });
});

describe("writing equals ggml byte for byte", () => {
  test.each(Object.entries(WRITE_DIGESTS) as [DType, number][])("%s", (dtype, digest) => {
    const words = new Uint32Array(seededBytes(4096).buffer);
    const values = Float32Array.from(words, (word) => word / 2 ** 31 - 1);
    const bytes = new Uint8Array(rowBytes(dtype, 1024));
    quantiseRow(dtype, values, bytes, 0, 1024);
    expect(fnv1a(bytes)).toBe(digest);
  });
});

describe.each(ALL)("%s", (dtype) => {
  const row = fc
    .record({
      magnitude: fc.double({ min: 1, max: 100, noNaN: true }),
      values: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 511, maxLength: 511 }),
      offset: fc.integer({ min: 0, max: 9 }),
    })
    .map(({ magnitude, values, offset }) => ({
      offset,
      values: Float32Array.from([1, ...values], (x) => x * magnitude),
    }));

  test("a round trip stays within the format's error at any byte offset, and touches nothing else", () => {
    fc.assert(
      fc.property(row, ({ values, offset }) => {
        const length = rowBytes(dtype, values.length);
        const bytes = new Uint8Array(offset + length + 3).fill(0xa5);
        quantiseRow(dtype, values, bytes, offset, values.length);
        expect([...bytes.subarray(0, offset), ...bytes.subarray(offset + length)]).toEqual(
          Array(offset + 3).fill(0xa5),
        );
        const out = new Float32Array(values.length + 1).fill(77);
        dequantiseRow(dtype, bytes, offset, values.length, out);
        expect(out[values.length]).toBe(77);
        const largest = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
        const allowed = (BOUNDS[dtype] + halfRounding(dtype)) * largest;
        const error = values.reduce((max, x, i) => Math.max(max, Math.abs(x - out[i])), 0);
        expect(error).toBeLessThanOrEqual(allowed);
      }),
      { numRuns: 30 },
    );
  });

  test("zeros stay zeros", () => {
    const bytes = new Uint8Array(rowBytes(dtype, 256)).fill(0xff);
    quantiseRow(dtype, new Float32Array(256), bytes, 0, 256);
    const out = new Float32Array(256).fill(1);
    dequantiseRow(dtype, bytes, 0, 256, out);
    expect(out.every((x) => x === 0)).toBe(true);
  });

  test("refuses rows that do not lie in the bytes, or do not fit the output", () => {
    const bytes = new Uint8Array(rowBytes(dtype, 256));
    const out = new Float32Array(256);
    expect(() => dequantiseRow(dtype, bytes, 1, 256, out)).toThrow(ArgumentError);
    expect(() => dequantiseRow(dtype, bytes, 0, 256, out.subarray(1))).toThrow(ArgumentError);
    expect(() => dequantiseRow(dtype, bytes, 0, -256, out)).toThrow(ArgumentError);
    if (DTYPES[dtype].blockSize > 1) {
      expect(() => dequantiseRow(dtype, bytes, 0, 255, out)).toThrow(/multiple of/);
    }
  });
});
