/** IEEE single precision, little-endian, at any byte offset. Every platform that runs Sluice is little-endian. */
import type { BlockFormat } from "./block-format.js";

export const f32: BlockFormat = {
  dequantise(bytes, offset, out, count) {
    new Uint8Array(out.buffer, out.byteOffset, 4 * count).set(bytes.subarray(offset, offset + 4 * count));
  },
  quantise(values, bytes, offset, count) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, 4 * count), offset);
  },
};
