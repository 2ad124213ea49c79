/**
 * The shape of every file in this folder: one element format, read and written as whole rows of blocks. Layouts are those
 * of ggml (ggml-common.h, ggml-quants.c). Reading is exact; writing is round-to-nearest per block, without the searches
 * that llama.cpp's quantiser makes for the k-quants, so files made here are valid but not the best ones possible.
 */
export interface BlockFormat {
  /** Expands `count` elements (a multiple of the block size), stored from `bytes[offset]`, into out[0, count). */
  dequantise(bytes: Uint8Array, offset: number, out: Float32Array, count: number): void;
  /** Stores values[0, count) (a multiple of the block size, finite) from `bytes[offset]` on. */
  quantise(values: Float32Array, bytes: Uint8Array, offset: number, count: number): void;
}

/** The element with the largest magnitude among values[start, start + count), with its sign. */
export function signedMax(values: Float32Array, start: number, count: number): number {
  let max = 0;
  for (let i = start; i < start + count; i++) {
    if (Math.abs(values[i]) > Math.abs(max)) max = values[i];
  }
  return max;
}

/** 1/x in float32, and 0 for 0: scales of all-zero blocks. */
export function reciprocal(x: number): number {
  return x === 0 ? 0 : Math.fround(1 / x);
}

/** Nearest integer, halves away from zero (C's roundf; Math.round takes -0.5 to 0). */
export function roundAway(x: number): number {
  return x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5);
}

/** Nearest integer within [low, high]. */
export function roundInto(x: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, roundAway(x)));
}
