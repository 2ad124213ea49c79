/** Q4_1, 20 bytes for 32 elements: f16 scale d, f16 minimum m, then 16 bytes of nibbles q. x = d q + m. */
import { type BlockFormat, reciprocal } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";
import { level, writeNibbles } from "./nibbles.js";

const BLOCK = 32;
const BYTES = 20;

export const q4_1: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      const m = readHalf(bytes, block + 2);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[block + 4 + i];
        out[start + i] = d * (pair & 15) + m;
        out[start + 16 + i] = d * (pair >>> 4) + m;
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      let min = values[start];
      let max = min;
      for (let i = start; i < start + BLOCK; i++) {
        min = Math.min(min, values[i]);
        max = Math.max(max, values[i]);
      }
      const d = Math.fround(Math.fround(max - min) / 15);
      const inverse = reciprocal(d);
      writeHalf(d, bytes, block);
      writeHalf(min, bytes, block + 2);
      for (let i = 0; i < 16; i++) {
        const low = level(Math.fround(values[start + i] - min), inverse, 0.5, 15);
        const high = level(Math.fround(values[start + 16 + i] - min), inverse, 0.5, 15);
        writeNibbles(low, high, bytes, block + 4 + i);
      }
    }
  },
};
