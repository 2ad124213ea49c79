/**
 * What the k-quants share. Q4_K and Q5_K keep 8 scales and 8 minima of 6 bits in 12 bytes: those of sub-blocks 0-3 in the
 * low 6 bits of bytes 0-3 and 4-7; of 4-7 the low 4 bits in bytes 8-11 (scale low half, minimum high half) and
 * the upper 2 bits on top of bytes 0-3 and 4-7.
 */
import { reciprocal, roundInto } from "./block-format.js";
import { readHalf, writeHalf } from "./f16.js";

/** The 6-bit scale of sub-block j, from the 12 bytes at `at`. */
export function scaleOf(bytes: Uint8Array, at: number, j: number): number {
  if (j < 4) return bytes[at + j] & 63;
  return (bytes[at + j + 4] & 15) | ((bytes[at + j - 4] >>> 6) << 4);
}

/** The 6-bit minimum of sub-block j. */
export function minimumOf(bytes: Uint8Array, at: number, j: number): number {
  if (j < 4) return bytes[at + j + 4] & 63;
  return (bytes[at + j + 4] >>> 4) | ((bytes[at + j] >>> 6) << 4);
}

function packScales(scales: Uint8Array, minima: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let j = 0; j < 4; j++) {
    bytes[at + j] = scales[j] | ((scales[j + 4] >>> 4) << 6);
    bytes[at + j + 4] = minima[j] | ((minima[j + 4] >>> 4) << 6);
    bytes[at + j + 8] = (scales[j + 4] & 15) | ((minima[j + 4] & 15) << 4);
  }
}

/** Scales and minima of a super-block of 256, chosen from the extremes of its sub-blocks. x is about scale q - minimum. */
export interface SubBlocks {
  readonly scales: Float32Array;
  readonly minima: Float32Array;
  maxScale: number;
  maxMinimum: number;
}

export function subBlocks(count: number): SubBlocks {
  return { scales: new Float32Array(count), minima: new Float32Array(count), maxScale: 0, maxMinimum: 0 };
}

/** Fills `into` for levels 0..highest. Minima are at least 0: a sub-block of positive numbers starts at 0. */
export function fitSubBlocks(into: SubBlocks, values: Float32Array, start: number, highest: number): void {
  const { scales, minima } = into;
  const size = 256 / scales.length;
  into.maxScale = 0;
  into.maxMinimum = 0;
  for (let j = 0; j < scales.length; j++) {
    let min = 0;
    let max = 0;
    for (let i = start + j * size; i < start + (j + 1) * size; i++) {
      min = Math.min(min, values[i]);
      max = Math.max(max, values[i]);
    }
    scales[j] = (max - min) / highest;
    minima[j] = -min;
    into.maxScale = Math.max(into.maxScale, scales[j]);
    into.maxMinimum = Math.max(into.maxMinimum, minima[j]);
  }
}

const fitted = subBlocks(8);
const scaleLevels = new Uint8Array(8);
const minimumLevels = new Uint8Array(8);

/**
 * Writes d, dmin and the 12 bytes of scales of a Q4_K or Q5_K super-block at `block`, and the 256 levels (0..highest)
 * that go with them into `levels`.
 */
export function quantiseWithMinima(
  values: Float32Array,
  start: number,
  highest: number,
  bytes: Uint8Array,
  block: number,
  levels: Uint8Array,
): void {
  fitSubBlocks(fitted, values, start, highest);
  writeHalf(fitted.maxScale / 63, bytes, block);
  writeHalf(fitted.maxMinimum / 63, bytes, block + 2);
  const d = readHalf(bytes, block);
  const dmin = readHalf(bytes, block + 2);
  for (let j = 0; j < 8; j++) {
    scaleLevels[j] = roundInto(fitted.scales[j] * reciprocal(d), 0, 63);
    minimumLevels[j] = roundInto(fitted.minima[j] * reciprocal(dmin), 0, 63);
    const inverse = reciprocal(d * scaleLevels[j]);
    const minimum = dmin * minimumLevels[j];
    for (let i = 32 * j; i < 32 * (j + 1); i++) {
      levels[i] = roundInto((values[start + i] + minimum) * inverse, 0, highest);
    }
  }
  packScales(scaleLevels, minimumLevels, bytes, block + 4);
}
