/**
 * The cache in 4 bits: value = scale * q with -8 <= q <= 7, one scale in f16 for a token and a block of at most 32 dims, whose
 * largest number in magnitude is q = -8 (as in ggml's Q4_0).
 *
 * Keys are rotated by a Hadamard matrix first, which spreads what is large in one dim over all: H / n before they are stored,
 * where n is the largest power of two that divides the width and H (entries of 1 and -1, H H = n) stands along the width as
 * often as it fits. A query meets them rotated by H: q k = (H q) (H k / n).
 */
import { roundToF16 } from "../f16.js";
import { firstNonFinite } from "../non-finite.js";
import type { KvFormat } from "./kv-format.js";

/** Dims that share a scale; the last block may have fewer. */
const BLOCK = 32;
/** Dims of a key in a word. */
const WORD = 8;
/** From here on a magnitude does not fit: where halves end, so that no scale does. */
const BEYOND = 65520;

const blocksOf = (width: number) => Math.ceil(width / BLOCK);

export const q4: KvFormat = {
  sections: (width, part) => [
    part === "keys" ? { count: Math.ceil(width / WORD), bytes: 4 } : { count: width, bytes: 0.5, order: "nibbles" },
    { count: blocksOf(width), bytes: 2, order: "columns" },
  ],
  round(vector, part) {
    if (!vector.every((x) => Math.abs(x) < BEYOND)) return vector.map(() => Number.NaN);
    if (part === "values") return roundBlocks(vector);
    const n = orderOf(vector.length);
    return rotated(roundBlocks(rotated(vector).map((x) => x / n)));
  },
  readable: (page, width) => firstNonFinite("f16", page.subarray(page.length - 32 * blocksOf(width))) < 0,
};

/** What is kept of numbers as they are. */
function roundBlocks(vector: Float32Array): Float32Array {
  const out = new Float32Array(vector.length);
  for (let start = 0; start < vector.length; start += BLOCK) {
    const block = vector.subarray(start, start + BLOCK);
    const [least, most] = [Math.min(...block), Math.max(...block)];
    const scale = roundToF16((most > -least ? most : least) / -8);
    // In f32 throughout, as the kernels do it: so a number near the middle of two steps goes the same way everywhere.
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    for (const [i, x] of block.entries()) out[start + i] = nearest(Math.fround(x * inverse)) * scale;
  }
  return out;
}

/** The nearest whole number within -8 to 7, the even one of two. */
function nearest(x: number): number {
  const low = Math.floor(x);
  const rounded = x - low === 0.5 ? low + (low & 1) : Math.round(x);
  return Math.max(-8, Math.min(7, rounded));
}

/** The largest power of two that divides a width. */
const orderOf = (width: number) => width & -width;

/** H times the vector, by butterflies in f32. */
function rotated(vector: Float32Array): Float32Array {
  const out = vector.slice();
  const n = orderOf(vector.length);
  for (let half = 1; half < n; half *= 2) {
    for (let i = 0; i < out.length; i++) {
      if (i & half) continue;
      const [a, b] = [out[i], out[i + half]];
      out[i] = a + b;
      out[i + half] = a - b;
    }
  }
  return out;
}
