// Products with a Hadamard matrix (entries of 1 and -1, not normalised), by butterflies: what keys of 4 bits and the queries
// that meet them are rotated by. Its order is the largest power of two that divides the width; it stands along the width as
// often as it fits. Each sum is rounded once, so the order of the steps is part of the definition (src/quant/kv/q4.ts).

/** In place, f32 [width][lanes]; width is a multiple of 4, and lanes 1 or a multiple of 4. */
export function hadamard(x: usize, width: i32, lanes: i32): void {
  const n = width & -width;
  const end = x + usize(width * lanes) * 4;
  let half = 1;
  if (lanes == 1) {
    for (let at = x; at < end; at += 16) v128.store(at, ofFour(v128.load(at)));
    half = 4;
  }
  for (; half < n; half *= 2) {
    const bytes = usize(half * lanes) * 4;
    for (let block = x; block < end; block += 2 * bytes) {
      for (let at = block; at < block + bytes; at += 16) {
        const a = v128.load(at), b = v128.load(at + bytes);
        v128.store(at, f32x4.add(a, b));
        v128.store(at + bytes, f32x4.sub(a, b));
      }
    }
  }
}

/** Four neighbours: butterflies of one and of two. */
// @ts-ignore: decorator
@inline
function ofFour(x: v128): v128 {
  const ones = f32x4.add(v128.shuffle<i32>(x, x, 1, 0, 3, 2), f32x4.mul(x, f32x4(1, -1, 1, -1)));
  return f32x4.add(v128.shuffle<i32>(ones, ones, 2, 3, 0, 1), f32x4.mul(ones, f32x4(1, 1, -1, -1)));
}
