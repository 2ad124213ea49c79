/** bfloat16: the upper half of a float32. Exact to read; written by round to nearest, ties to even. */
import type { BlockFormat } from "./block-format.js";

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** The 16 bits of the bfloat16 nearest to the float32 `value`. NaN stays NaN. */
export function bfloatFromFloat(value: number): number {
  floatView[0] = value;
  const bits = bitsView[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 64;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of a bfloat16 given as its 16 bits. */
export function floatFromBfloat(bits: number): number {
  bitsView[0] = bits << 16;
  return floatView[0];
}

export const bf16: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    const outBits = new Uint32Array(out.buffer, out.byteOffset, count);
    for (let i = 0; i < count; i++) {
      const at = offset + 2 * i;
      outBits[i] = (bytes[at] << 16) | (bytes[at + 1] << 24);
    }
  },
  quantise(values, bytes, offset, count) {
    for (let i = 0; i < count; i++) {
      const bits = bfloatFromFloat(values[i]);
      bytes[offset + 2 * i] = bits;
      bytes[offset + 2 * i + 1] = bits >>> 8;
    }
  },
};
