/**
 * Q6_K, 210 bytes for 256 elements: 128 bytes of low nibbles, 64 bytes of upper 2 bits, 16 signed scales, f16 d.
 * x = d scale (q - 32). In each half of 128 elements, group k of 32 has its nibbles in bytes 32 (k mod 2).. of 64 (low
 * halves for k < 2) and its upper bits at bits 2k of 32 bytes.
 */
import { type BlockFormat, reciprocal, roundInto, signedMax } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";

const BLOCK = 256;
const BYTES = 210;
const UPPER = 128;
const SCALES = 192;
const D = 208;

const scales = new Float32Array(16);

/** First nibble byte of the 16 elements with scale j, relative to the block. */
function lowerAt(j: number): number {
  return 64 * (j >>> 3) + 32 * ((j >>> 1) & 1) + 16 * (j & 1);
}

/** First byte of their upper bits. */
function upperAt(j: number): number {
  return UPPER + 32 * (j >>> 3) + 16 * (j & 1);
}

export const q6_k: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block + D);
      for (let j = 0; j < 16; j++) {
        const scale = d * ((bytes[block + SCALES + j] << 24) >> 24);
        const lower = block + lowerAt(j);
        const upper = block + upperAt(j);
        for (let i = 0; i < 16; i++) {
          const low = (bytes[lower + i] >>> (j & 4)) & 15;
          const high = (bytes[upper + i] >>> (j & 6)) & 3;
          out[start + 16 * j + i] = scale * ((low | (high << 4)) - 32);
        }
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      for (let j = 0; j < 16; j++) scales[j] = signedMax(values, start + 16 * j, 16) / -32;
      writeHalf(signedMax(scales, 0, 16) / -128, bytes, block + D);
      const d = readHalf(bytes, block + D);
      bytes.fill(0, block, block + D);
      for (let j = 0; j < 16; j++) {
        const scale = roundInto(scales[j] * reciprocal(d), -128, 127);
        bytes[block + SCALES + j] = scale;
        const inverse = reciprocal(d * scale);
        for (let i = 0; i < 16; i++) {
          const level = roundInto(values[start + 16 * j + i] * inverse, -32, 31) + 32;
          bytes[block + lowerAt(j) + i] |= (level & 15) << (j & 4);
          bytes[block + upperAt(j) + i] |= (level >>> 4) << (j & 6);
        }
      }
    }
  },
};
