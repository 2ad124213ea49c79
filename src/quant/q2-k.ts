/**
 * Q2_K, 84 bytes for 256 elements: 16 bytes of (scale low half, minimum high half), one for each 16 elements; 64 bytes of
 * 2-bit q; f16 d and dmin. x = d scale q - dmin minimum. In each half of 128 elements, bits 2k of its 32 bytes hold
 * elements 32k..32k+31.
 */
import { type BlockFormat, reciprocal, roundInto } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";
import { fitSubBlocks, subBlocks } from "./k-scales.js";

const BLOCK = 256;
const BYTES = 84;
const QUANTS = 16;
const D = 80;

const fitted = subBlocks(16);

export const q2_k: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block + D);
      const dmin = readHalf(bytes, block + D + 2);
      for (let j = 0; j < 16; j++) {
        const scale = d * (bytes[block + j] & 15);
        const minimum = dmin * (bytes[block + j] >>> 4);
        const shift = j & 6;
        const quants = block + QUANTS + 32 * (j >>> 3) + 16 * (j & 1);
        for (let i = 0; i < 16; i++) out[start + 16 * j + i] = scale * ((bytes[quants + i] >>> shift) & 3) - minimum;
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      fitSubBlocks(fitted, values, start, 3);
      writeHalf(fitted.maxScale / 15, bytes, block + D);
      writeHalf(fitted.maxMinimum / 15, bytes, block + D + 2);
      const d = readHalf(bytes, block + D);
      const dmin = readHalf(bytes, block + D + 2);
      bytes.fill(0, block + QUANTS, block + QUANTS + 64);
      for (let j = 0; j < 16; j++) {
        const scale = roundInto(fitted.scales[j] * reciprocal(d), 0, 15);
        const minimum = roundInto(fitted.minima[j] * reciprocal(dmin), 0, 15);
        bytes[block + j] = scale | (minimum << 4);
        const inverse = reciprocal(d * scale);
        const quants = block + QUANTS + 32 * (j >>> 3) + 16 * (j & 1);
        for (let i = 0; i < 16; i++) {
          bytes[quants + i] |= roundInto((values[start + 16 * j + i] + dmin * minimum) * inverse, 0, 3) << (j & 6);
        }
      }
    }
  },
};
