// The cache in f32: keys f32 [D][16], values f32 [16][Dv]; see kv-page.

/** Bits of f32 from which on a magnitude does not fit: infinity. */
// @ts-ignore: decorator
@inline
export const RANGE: i32 = 0x7f800000;

export function storeKey(keys: usize, width: i32, place: i32, row: usize): void {
  let at = keys + usize(place) * 4;
  for (let d = 0; d < width; d++) {
    store<f32>(at, load<f32>(row + (usize(d) << 2)));
    at += 64;
  }
}

export function storeValue(values: usize, width: i32, place: i32, row: usize): void {
  memory.copy(values + usize(place) * width * 4, row, usize(width) * 4);
}

export function loadKey(keys: usize, width: i32, place: i32, out: usize): void {
  for (let d = 0; d < width; d++) store<f32>(out + usize(d) * 4, load<f32>(keys + usize(d * 16 + place) * 4));
}

export function copyValue(from: usize, to: usize, width: i32, place: i32): void {
  const offset = usize(place * width * 4);
  memory.copy(to + offset, from + offset, usize(width * 4));
}
