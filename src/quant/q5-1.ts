/** Q5_1, 24 bytes for 32 elements: f16 scale d, f16 minimum m, u32 of fifth bits, 16 bytes of nibbles. x = d q + m. */
import { type BlockFormat, reciprocal } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";
import { level, readU32, writeNibbles, writeU32 } from "./nibbles.js";

const BLOCK = 32;
const BYTES = 24;

export const q5_1: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      const m = readHalf(bytes, block + 2);
      const fifth = readU32(bytes, block + 4);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[block + 8 + i];
        out[start + i] = d * ((pair & 15) | (((fifth >>> i) & 1) << 4)) + m;
        out[start + 16 + i] = d * ((pair >>> 4) | (((fifth >>> (i + 16)) & 1) << 4)) + m;
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
      const d = Math.fround(Math.fround(max - min) / 31);
      const inverse = reciprocal(d);
      writeHalf(d, bytes, block);
      writeHalf(min, bytes, block + 2);
      let fifth = 0;
      for (let i = 0; i < 16; i++) {
        const low = level(Math.fround(values[start + i] - min), inverse, 0.5, 31);
        const high = level(Math.fround(values[start + 16 + i] - min), inverse, 0.5, 31);
        fifth |= ((low >>> 4) << i) | ((high >>> 4) << (i + 16));
        writeNibbles(low, high, bytes, block + 8 + i);
      }
      writeU32(fifth, bytes, block + 4);
    }
  },
};
