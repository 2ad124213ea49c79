/**
 * MXFP4 (OCP Microscaling Formats 1.0), 17 bytes for 32 elements: an exponent e of 8 bits, then 16 bytes of nibbles q as in
 * Q4_0. x = 2^(e - 127) times a float of 4 bits (one of sign, two of exponent, one of mantissa): kept here as its double,
 * which is an integer.
 */
import type { BlockFormat } from "./block-format.js";
import { writeNibbles } from "./nibbles.js";

const BLOCK = 32;
const BYTES = 17;

/** Twice 0, 0.5, 1, 1.5, 2, 3, 4, 6, then the same below zero. */
export const DOUBLED = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** What the doubled numbers of a block are multiplied by. */
const halfScale = (exponent: number): number => 2 ** (exponent - 128);

/** The first of the nearest. */
function nearest(x: number): number {
  let best = 0;
  for (let q = 1; q < 16; q++) if (Math.abs(DOUBLED[q] - x) < Math.abs(DOUBLED[best] - x)) best = q;
  return best;
}

/** The exponent for which the largest magnitude lies from 4 to 8, of which 6 can be told: ggml's choice. */
function exponentFor(values: Float32Array, start: number): number {
  let largest = 0;
  for (let i = start; i < start + BLOCK; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest > 0 ? Math.min(254, Math.max(0, Math.floor(Math.log2(largest)) - 2 + 127)) : 0;
}

export const mxfp4: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const scale = halfScale(bytes[block]);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[block + 1 + i];
        out[start + i] = scale * DOUBLED[pair & 15];
        out[start + 16 + i] = scale * DOUBLED[pair >>> 4];
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const exponent = exponentFor(values, start);
      const scale = halfScale(exponent);
      bytes[block] = exponent;
      for (let i = 0; i < 16; i++) {
        const low = nearest(values[start + i] / scale);
        const high = nearest(values[start + 16 + i] / scale);
        writeNibbles(low, high, bytes, block + 1 + i);
      }
    }
  },
};
