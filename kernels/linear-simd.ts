// What the matrix products share: half-precision loads, and sums across lanes.
// Half-precision infinities and NaN read as large finite numbers: they mean a damaged file, and nothing here depends on them.

/**
 * A half's bits moved to a float's places leave its exponent 112 too low; this factor corrects it, subnormals included.
 * Sign-extended halves shifted by 13 have the sign in the top four bits: the mask keeps one.
 */
// @ts-ignore: decorator
@inline
export const HALF_FACTOR: f32 = 5.192296858534828e33;
// @ts-ignore: decorator
@inline
export const HALF_MASK: i32 = 0x8fffe000;

// @ts-ignore: decorator
@inline
export function loadHalf(ptr: usize): f32 {
  return reinterpret<f32>(((<i32>load<i16>(ptr)) << 13) & HALF_MASK) * HALF_FACTOR;
}

/** Four halves, not yet multiplied by HALF_FACTOR. */
// @ts-ignore: decorator
@inline
export function loadHalvesUnscaled(ptr: usize): v128 {
  return v128.and(i32x4.shl(v128.load16x4_s(ptr), 13), i32x4.splat(HALF_MASK));
}

/** The halves at the four addresses, as floats in lanes 0 to 3: the scales of four rows. */
// @ts-ignore: decorator
@inline
export function gatherHalves(p0: usize, p1: usize, p2: usize, p3: usize): v128 {
  let bits = i32x4.splat(0);
  bits = v128.load16_lane(p0, bits, 1);
  bits = v128.load16_lane(p1, bits, 3);
  bits = v128.load16_lane(p2, bits, 5);
  bits = v128.load16_lane(p3, bits, 7);
  bits = v128.and(i32x4.shr_s(bits, 3), i32x4.splat(HALF_MASK));
  return f32x4.mul(bits, f32x4.splat(HALF_FACTOR));
}

/** Lane sums of a, b, c, d as lanes 0 to 3; the order of the additions is fixed. */
// @ts-ignore: decorator
@inline
export function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}
