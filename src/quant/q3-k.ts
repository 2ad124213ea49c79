/**
 * Q3_K, 110 bytes for 256 elements: 32 bytes of third bits (bit 32-group number), 64 bytes of 2-bit q laid out as in
 * Q2_K, 12 bytes of 16 6-bit scales, f16 d. x = d (scale - 32) (q - 4), with the third bit of q worth 4.
 */
import { type BlockFormat, reciprocal, roundInto, signedMax } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";

const BLOCK = 256;
const BYTES = 110;
const QUANTS = 32;
const SCALES = 96;
const D = 108;

/** Low 4 bits of scale j in a half of byte j mod 8, upper 2 bits in byte 8 + j mod 4. */
function scaleOf(bytes: Uint8Array, at: number, j: number): number {
  const low = (bytes[at + (j & 7)] >>> (j < 8 ? 0 : 4)) & 15;
  const high = (bytes[at + 8 + (j & 3)] >>> (2 * (j >>> 2))) & 3;
  return (low | (high << 4)) - 32;
}

function writeScale(scale: number, bytes: Uint8Array, at: number, j: number): void {
  const level = scale + 32;
  bytes[at + (j & 7)] |= (level & 15) << (j < 8 ? 0 : 4);
  bytes[at + 8 + (j & 3)] |= (level >>> 4) << (2 * (j >>> 2));
}

const scales = new Float32Array(16);

export const q3_k: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      const d = readHalf(bytes, block + D);
      for (let j = 0; j < 16; j++) {
        const scale = d * scaleOf(bytes, block + SCALES, j);
        const half = 16 * (j & 1);
        const quants = block + QUANTS + 32 * (j >>> 3) + half;
        for (let i = 0; i < 16; i++) {
          const third = (bytes[block + half + i] >>> (j >>> 1)) & 1;
          out[start + 16 * j + i] = scale * (((bytes[quants + i] >>> (j & 6)) & 3) + 4 * third - 4);
        }
      }
    }
  },
  quantise(values, bytes, offset, count) {
    for (let start = 0, block = offset; start < count; start += BLOCK, block += BYTES) {
      for (let j = 0; j < 16; j++) scales[j] = signedMax(values, start + 16 * j, 16) / -4;
      // The largest scale becomes -32: the one side of 6 signed bits with a level more.
      writeHalf(signedMax(scales, 0, 16) / -32, bytes, block + D);
      const d = readHalf(bytes, block + D);
      bytes.fill(0, block, block + D);
      for (let j = 0; j < 16; j++) {
        const scale = roundInto(scales[j] * reciprocal(d), -32, 31);
        writeScale(scale, bytes, block + SCALES, j);
        const inverse = reciprocal(d * scale);
        const half = 16 * (j & 1);
        const quants = block + QUANTS + 32 * (j >>> 3) + half;
        for (let i = 0; i < 16; i++) {
          const level = roundInto(values[start + 16 * j + i] * inverse, -4, 3) + 4;
          bytes[quants + i] |= (level & 3) << (j & 6);
          bytes[block + half + i] |= (level >>> 2) << (j >>> 1);
        }
      }
    }
  },
};
