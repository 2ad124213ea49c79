/** Q5_0, 22 bytes for 32 elements: f16 scale d, u32 of fifth bits, 16 bytes of nibbles. x = d (q - 16). */
import { type BlockFormat, reciprocal, signedMax } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";
import { level, readU32, writeNibbles, writeU32 } from "./nibbles.js";

const BLOCK = 32;
const BYTES = 22;

export const q5_0: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      const fifth = readU32(bytes, block + 2);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[block + 6 + i];
        out[start + i] = d * (((pair & 15) | (((fifth >>> i) & 1) << 4)) - 16);
        out[start + 16 + i] = d * (((pair >>> 4) | (((fifth >>> (i + 16)) & 1) << 4)) - 16);
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = Math.fround(signedMax(values, start, BLOCK) / -16);
      const inverse = reciprocal(d);
      writeHalf(d, bytes, block);
      let fifth = 0;
      for (let i = 0; i < 16; i++) {
        const low = level(values[start + i], inverse, 16.5, 31);
        const high = level(values[start + 16 + i], inverse, 16.5, 31);
        fifth |= ((low >>> 4) << i) | ((high >>> 4) << (i + 16));
        writeNibbles(low, high, bytes, block + 6 + i);
      }
      writeU32(fifth, bytes, block + 2);
    }
  },
};
