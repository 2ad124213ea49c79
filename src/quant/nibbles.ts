/**
 * Packing that the 4- and 5-bit formats share: 16 bytes for 32 elements, element i in the low half of byte i, element
 * i + 16 in the high half; the fifth bits of all 32 in one little-endian u32.
 */

/** Stores the 4-bit values of element i and of element i + 16. */
export function writeNibbles(low: number, high: number, bytes: Uint8Array, at: number): void {
  bytes[at] = (low & 15) | ((high & 15) << 4);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

export function writeU32(value: number, bytes: Uint8Array, at: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** trunc(value * inverse + shift) within [0, highest], in float32 steps as ggml takes them. */
export function level(value: number, inverse: number, shift: number, highest: number): number {
  const scaled = Math.trunc(Math.fround(Math.fround(value * inverse) + shift));
  return Math.max(0, Math.min(highest, scaled));
}
