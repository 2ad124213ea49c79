/** Q8_0, 34 bytes for 32 elements: f16 scale d, then 32 signed bytes q. x = d q. */
import { type BlockFormat, reciprocal, roundAway } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";

const BLOCK = 32;
const BYTES = 34;

export const q8_0: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      for (let i = 0; i < BLOCK; i++) out[start + i] = d * ((bytes[block + 2 + i] << 24) >> 24);
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      let largest = 0;
      for (let i = start; i < start + BLOCK; i++) largest = Math.max(largest, Math.abs(values[i]));
      const d = Math.fround(largest / 127);
      const inverse = reciprocal(d);
      writeHalf(d, bytes, block);
      for (let i = 0; i < BLOCK; i++) bytes[block + 2 + i] = roundAway(Math.fround(values[start + i] * inverse));
    }
  },
};
