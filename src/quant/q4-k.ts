/**
 * Q4_K, 144 bytes for 256 elements: f16 d and dmin, 12 bytes of 8 scales and minima (see k-scales.ts), 128 bytes of
 * nibbles q. x = d scale q - dmin minimum. Each 32 bytes hold 64 elements, the first 32 in the low halves.
 */
import type { BlockFormat } from "./block-format.js";
import { readHalf } from "./f16.js";
import { minimumOf, quantiseWithMinima, scaleOf } from "./k-scales.js";

const BLOCK = 256;
const BYTES = 144;
const SCALES = 4;
const QUANTS = 16;

const levels = new Uint8Array(BLOCK);

export const q4_k: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      const dmin = readHalf(bytes, block + 2);
      for (let j = 0; j < 8; j++) {
        const scale = d * scaleOf(bytes, block + SCALES, j);
        const minimum = dmin * minimumOf(bytes, block + SCALES, j);
        const quants = block + QUANTS + 32 * (j >>> 1);
        const shift = 4 * (j & 1);
        for (let i = 0; i < 32; i++) out[start + 32 * j + i] = scale * ((bytes[quants + i] >>> shift) & 15) - minimum;
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      quantiseWithMinima(values, start, 15, bytes, block, levels);
      for (let i = 0; i < 128; i++) {
        const first = 64 * (i >>> 5) + (i & 31);
        bytes[block + QUANTS + i] = levels[first] | (levels[first + 32] << 4);
      }
    }
  },
};
