/** Q4_0, 18 bytes for 32 elements: f16 scale d, then 16 bytes of nibbles q. x = d (q - 8). */
import { type BlockFormat, reciprocal, signedMax } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";
import { level, writeNibbles } from "./nibbles.js";

const BLOCK = 32;
const BYTES = 18;

export const q4_0: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[block + 2 + i];
        out[start + i] = d * ((pair & 15) - 8);
        out[start + 16 + i] = d * ((pair >>> 4) - 8);
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      // The largest element lands on level 0 = -8, the one side of the range with a level more.
      const d = Math.fround(signedMax(values, start, BLOCK) / -8);
      const inverse = reciprocal(d);
      writeHalf(d, bytes, block);
      for (let i = 0; i < 16; i++) {
        const low = level(values[start + i], inverse, 8.5, 15);
        const high = level(values[start + 16 + i], inverse, 8.5, 15);
        writeNibbles(low, high, bytes, block + 2 + i);
      }
    }
  },
};
