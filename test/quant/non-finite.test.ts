/** Infinities and NaN in stored weights: found wherever a format can hold one, and never where there is none. */
import { describe, expect, it } from "vitest";
import { BLOCK_FORMATS, dequantiseRow } from "../../src/quant/index.js";
import { firstNonFinite, firstNonFiniteNumber } from "../../src/quant/non-finite.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";

const TYPES = Object.keys(BLOCK_FORMATS) as DType[];

/** Little-endian bytes of the numbers that must be found, and of the nearest ones that must not. */
const HALVES = { bad: [0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xffff], good: [0x7bff, 0xfbff, 0x8000, 1, 0x03ff] };
const BRAIN_FLOATS = { bad: [0x7f80, 0xff80, 0x7f81, 0x7fc0, 0xffff], good: [0x7f7f, 0xff7f, 0x8000, 1, 0x007f] };
const FLOATS = {
  bad: [0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffffffff],
  good: [0x7f7fffff, 0xff7fffff, 0x80000000, 1, 0x007fffff],
};
const EXPONENTS = { bad: [255], good: [254, 0, 1, 127] };

/** Where such numbers stand in a block: what of it is multiplied by or added to its elements. */
const PLACES: Readonly<Record<DType, readonly number[]>> = {
  f32: [0],
  f16: [0],
  bf16: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q8_0: [0],
  q2_k: [80, 82],
  q3_k: [108],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
  iq4_nl: [0],
  mxfp4: [0],
};

function numbersOf(dtype: DType) {
  if (dtype === "f32") return { ...FLOATS, size: 4 };
  if (dtype === "bf16") return { ...BRAIN_FLOATS, size: 2 };
  return dtype === "mxfp4" ? { ...EXPONENTS, size: 1 } : { ...HALVES, size: 2 };
}

function put(bytes: Uint8Array, at: number, bits: number, size: number): void {
  for (let i = 0; i < size; i++) bytes[at + i] = bits >>> (8 * i);
}

const COUNT = 2500;
/** Blocks whose every other byte is all ones; `shift`: where they begin in their buffer. */
function blocks(dtype: DType, good: number, size: number, shift = 0): Uint8Array {
  const { blockBytes } = DTYPES[dtype];
  const bytes = new Uint8Array(COUNT * blockBytes + shift).subarray(shift).fill(255);
  for (let block = 0; block < COUNT; block++) {
    for (const place of PLACES[dtype]) put(bytes, block * blockBytes + place, good, size);
  }
  return bytes;
}

it.each(["f32", "f16", "bf16"] as const)(
  "tensors of %s of any length are looked through to their last number",
  (dtype) => {
    const { bad, good, size } = numbersOf(dtype);
    for (let count = 1; count <= 11; count++) {
      for (let at = 0; at < count; at++) {
        const bytes = new Uint8Array(count * size);
        for (let i = 0; i < count; i++) put(bytes, i * size, good[0], size);
        expect(firstNonFinite(dtype, bytes)).toBe(-1);
        put(bytes, at * size, bad[0], size);
        expect(firstNonFinite(dtype, bytes), `${at} of ${count}`).toBe(at);
      }
    }
  },
);

describe.each(TYPES)("%s", (dtype) => {
  const { bad, good, size } = numbersOf(dtype);
  const { blockBytes, blockSize } = DTYPES[dtype];

  it("has none where numbers are large, tiny or minus zero, whatever the other bits", () => {
    for (const bits of good) expect(firstNonFinite(dtype, blocks(dtype, bits, size)), bits.toString(16)).toBe(-1);
    expect(firstNonFinite(dtype, new Uint8Array(0))).toBe(-1);
  });

  it("is found at any block, the first of several, at any offset of the bytes", () => {
    for (const bits of bad) {
      for (const place of PLACES[dtype]) {
        for (const block of [0, 1, 2, 3, 1023, 1024, 1027, COUNT - 1]) {
          for (const shift of [0, 1, 2]) {
            const bytes = blocks(dtype, good[0], size, shift);
            put(bytes, block * blockBytes + place, bits, size);
            put(bytes, (COUNT - 1) * blockBytes + place, bits, size);
            expect(firstNonFinite(dtype, bytes), `${bits.toString(16)} in ${block}`).toBe(block);
          }
        }
      }
    }
  });

  it.skipIf(dtype === "mxfp4")("is what the exact reader makes infinities and NaN of", () => {
    for (const [bits, expected] of [...bad.map((b) => [b, 0] as const), ...good.map((b) => [b, -1] as const)]) {
      for (const place of PLACES[dtype]) {
        const block = new Uint8Array(blockBytes);
        put(block, place, bits, size);
        const out = new Float32Array(blockSize);
        dequantiseRow(dtype, block, 0, blockSize, out);
        expect(firstNonFinite(dtype, block)).toBe(expected);
        expect(out.every(Number.isFinite)).toBe(expected === -1);
      }
    }
  });

  it.runIf(blockBytes > 1)("asks for whole blocks", () => {
    expect(() => firstNonFinite(dtype, new Uint8Array(blockBytes + 1))).toThrow(/blocks|Blocks/);
  });
});

it("numbers: the index of the first", () => {
  expect(firstNonFiniteNumber(Float32Array.of(1, -0, 3.4e38, 1e-45))).toBe(-1);
  const shifted = new Float32Array(9).subarray(2);
  shifted[5] = Number.NaN;
  shifted[6] = Number.POSITIVE_INFINITY;
  expect(firstNonFiniteNumber(shifted)).toBe(5);
});
