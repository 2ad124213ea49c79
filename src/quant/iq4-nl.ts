/**
 * IQ4_NL, 18 bytes for 32 elements: f16 scale d, then 16 bytes of nibbles q as in Q4_0. x = d CODEBOOK[q]: sixteen
 * levels that lie closer together near zero, where most weights are.
 */
import { type BlockFormat, reciprocal, signedMax } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";
import { writeNibbles } from "./nibbles.js";

const BLOCK = 32;
const BYTES = 18;

/** kvalues_iq4nl of ggml-common.h. */
export const CODEBOOK = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

function nearestLevel(x: number): number {
  let best = 0;
  while (best < 15 && x - CODEBOOK[best] > CODEBOOK[best + 1] - x) best++;
  return best;
}

export const iq4_nl: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[block + 2 + i];
        out[start + i] = d * CODEBOOK[pair & 15];
        out[start + 16 + i] = d * CODEBOOK[pair >>> 4];
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = Math.fround(signedMax(values, start, BLOCK) / CODEBOOK[0]);
      const inverse = reciprocal(d);
      writeHalf(d, bytes, block);
      for (let i = 0; i < 16; i++) {
        const low = nearestLevel(values[start + i] * inverse);
        const high = nearestLevel(values[start + 16 + i] * inverse);
        writeNibbles(low, high, bytes, block + 2 + i);
      }
    }
  },
};
