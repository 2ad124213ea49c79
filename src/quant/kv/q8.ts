/** The cache in 8 bits: one f32 scale for a token and a group of at most 32 dims, value = scale * q with |q| <= 127. */
import type { KvFormat } from "./kv-format.js";

/** Dims that share a scale; the last group may have fewer. */
const GROUP = 32;
const LARGEST = 127;

export const q8: KvFormat = {
  sections: (width) => [
    { count: width, bytes: 1 },
    { count: Math.ceil(width / GROUP), bytes: 4 },
  ],
  round(vector) {
    const out = new Float32Array(vector.length);
    for (let start = 0; start < vector.length; start += GROUP) {
      const group = vector.subarray(start, start + GROUP);
      const scale = Math.fround(group.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / LARGEST);
      // In f32 throughout, as the kernels do it: so a number near the middle of two steps goes the same way everywhere.
      const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
      for (const [i, x] of group.entries()) out[start + i] = nearest(Math.fround(x * inverse)) * scale;
    }
    return out;
  },
  readable: () => true,
};

/** The nearest whole number within the range, the even one of two. */
function nearest(x: number): number {
  if (Math.abs(x) > LARGEST) return Math.sign(x) * LARGEST;
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}
