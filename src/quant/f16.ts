/**
 * IEEE half precision: 1 sign, 5 exponent, 10 mantissa bits. Exact both ways: subnormals, infinities and NaN; to half by
 * round to nearest, ties to even. Also the scales of the block formats.
 */
import type { BlockFormat } from "./block-format.js";

/** 2^(e - 25) for exponent fields e >= 1: a half is (1024 + mantissa) * this. */
const POWERS = Float64Array.from({ length: 32 }, (_, e) => 2 ** (Math.max(e, 1) - 25));

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** Bits of a float32 above which rounding to half overflows: 65520, halfway from the largest half to 65536. */
const OVERFLOW = 0x477ff000;
/** Bits of 2^-14, the smallest normal half. */
const SMALLEST_NORMAL = 0x38800000;
/** Adding and subtracting 2^52 rounds a double to an integer, ties to even. */
const TO_INTEGER = 2 ** 52;

/** The value of a half given as its 16 bits. */
export function floatFromHalf(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) {
    if (mantissa !== 0) return Number.NaN;
    return bits & 0x8000 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  const magnitude = (exponent === 0 ? mantissa : mantissa + 1024) * POWERS[exponent];
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The 16 bits of the half nearest to the float32 `value`. */
export function halfFromFloat(value: number): number {
  floatView[0] = value;
  const sign = (bitsView[0] >>> 16) & 0x8000;
  const magnitude = bitsView[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= OVERFLOW) return sign | 0x7c00;
  if (magnitude < SMALLEST_NORMAL) return sign | (Math.abs(floatView[0]) * 2 ** 24 + TO_INTEGER - TO_INTEGER);
  return sign | ((magnitude - (112 << 23) + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** The float32 nearest to `value` that a half can hold. */
export function roundToF16(value: number): number {
  return floatFromHalf(halfFromFloat(value));
}

/** The largest finite half. */
const LARGEST = 65504;

/** The smallest finite half that is not below the float32 `value`; 65504 for what is beyond it. */
export function ceilToF16(value: number): number {
  const bits = halfFromFloat(Math.min(value, LARGEST));
  if (floatFromHalf(bits) >= value || value > LARGEST) return floatFromHalf(bits);
  // Halves of one sign are in the order of their bits; after -0 comes the smallest that is positive.
  if (bits === 0x8000) return floatFromHalf(1);
  return floatFromHalf(bits & 0x8000 ? bits - 1 : bits + 1);
}

/** The largest finite half that is not above the float32 `value`; -65504 for what is beyond it. */
export function floorToF16(value: number): number {
  return -ceilToF16(-value);
}

export function readHalf(bytes: Uint8Array, offset: number): number {
  return floatFromHalf(bytes[offset] | (bytes[offset + 1] << 8));
}

export function writeHalf(value: number, bytes: Uint8Array, offset: number): void {
  const bits = halfFromFloat(value);
  bytes[offset] = bits;
  bytes[offset + 1] = bits >>> 8;
}

export const f16: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let i = 0; i < count; i++) out[i] = readHalf(bytes, offset + 2 * i);
  },
  quantise(values, bytes, offset, count) {
    for (let i = 0; i < count; i++) writeHalf(values[i], bytes, offset + 2 * i);
  },
};
