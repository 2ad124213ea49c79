// Small vector functions that all kernels share: multiply-add, half floats.

/** a * b + c; fused where relaxed SIMD is compiled in. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  else return f32x4.add(f32x4.mul(a, b), c);
}

/** Sum of the four lanes. */
// @ts-ignore: decorator
@inline
export function sum4(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}

/** Largest of the four lanes. */
// @ts-ignore: decorator
@inline
export function max4(x: v128): f32 {
  return max(
    max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  );
}

/** Four finite half floats, sign-extended to 32 bits, as f32: the bits are moved into place, the exponent rebased by 2^112. */
// @ts-ignore: decorator
@inline
export function f16Bits(h: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(h, 13), i32x4.splat(0x8fffe000)), f32x4.splat(5.192296858534828e33));
}

/**
 * Four f32 as half floats in the low 16 bits of each lane, rounded to nearest even. Beyond 65504 they saturate, and so does
 * NaN: no half with the exponent 31 is ever made, which f16Bits would read as a large number. Who must know looks for such
 * numbers first (append.ts).
 */
// @ts-ignore: decorator
@inline
export function toF16(x: v128): v128 {
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000));
  const bits = f32x4.pmin(f32x4.splat(65504), f32x4.abs(x));
  const odd = v128.and(i32x4.shr_u(bits, 13), i32x4.splat(1));
  // Rebases the exponent by -112 and adds just under half a unit of the last place that stays.
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(<i32>0xc8000fff)), odd), 13);
  // Below 2^-14, adding 0.5 aligns the mantissa with the result's and lets the addition do the rounding.
  const tiny = i32x4.sub(f32x4.add(bits, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  const isTiny = i32x4.lt_s(bits, i32x4.splat(0x38800000));
  return v128.or(sign, v128.bitselect(tiny, normal, isTiny));
}

/** One to four floats, zeros after them: nothing behind them is read. `count` may be more. */
// @ts-ignore: decorator
@inline
export function loadSome(at: usize, count: i32): v128 {
  return count >= 4 ? v128.load(at) : loadFew(at, count);
}

function loadFew(at: usize, count: i32): v128 {
  let x = v128.load32_zero(at);
  if (count > 1) x = v128.load32_lane(at + 4, x, 1);
  if (count > 2) x = v128.load32_lane(at + 8, x, 2);
  return x;
}

/** The first `count` of the lanes, at most four. */
// @ts-ignore: decorator
@inline
export function storeSome(at: usize, x: v128, count: i32): void {
  if (count >= 4) v128.store(at, x);
  else storeFew(at, x, count);
}

function storeFew(at: usize, x: v128, count: i32): void {
  v128.store32_lane(at, x, 0);
  if (count > 1) v128.store32_lane(at + 4, x, 1);
  if (count > 2) v128.store32_lane(at + 8, x, 2);
}

/** The first item of this thread's even share of `items`. */
// @ts-ignore: decorator
@inline
export function share(items: i32, thread: i32, threads: i32): i32 {
  return i32((i64(items) * thread) / threads);
}
