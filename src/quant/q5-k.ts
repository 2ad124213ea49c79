/**
 * Q5_K, 176 bytes for 256 elements: as Q4_K, with 32 bytes of fifth bits before the nibbles; bit j of byte i belongs to
 * element 32 j + i. x = d scale q - dmin minimum.
 */
import type { BlockFormat } from "./block-format.js";
import { readHalf } from "./f16.js";
import { minimumOf, quantiseWithMinima, scaleOf } from "./k-scales.js";

const BLOCK = 256;
const BYTES = 176;
const SCALES = 4;
const FIFTH = 16;
const QUANTS = 48;

const levels = new Uint8Array(BLOCK);

export const q5_k: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      const dmin = readHalf(bytes, block + 2);
      for (let j = 0; j < 8; j++) {
        const scale = d * scaleOf(bytes, block + SCALES, j);
        const minimum = dmin * minimumOf(bytes, block + SCALES, j);
        const quants = block + QUANTS + 32 * (j >>> 1);
        const shift = 4 * (j & 1);
        for (let i = 0; i < 32; i++) {
          const fifth = (bytes[block + FIFTH + i] >>> j) & 1;
          out[start + 32 * j + i] = scale * (((bytes[quants + i] >>> shift) & 15) | (fifth << 4)) - minimum;
        }
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      quantiseWithMinima(values, start, 31, bytes, block, levels);
      bytes.fill(0, block + FIFTH, block + QUANTS);
      for (let i = 0; i < BLOCK; i++) bytes[block + FIFTH + (i & 31)] |= (levels[i] >>> 4) << (i >>> 5);
      for (let i = 0; i < 128; i++) {
        const first = 64 * (i >>> 5) + (i & 31);
        bytes[block + QUANTS + i] = (levels[first] & 15) | ((levels[first + 32] & 15) << 4);
      }
    }
  },
};
