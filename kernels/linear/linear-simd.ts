// What the matrix products share: half-precision loads, and sums across lanes.
// Half-precision infinities and NaN, and MXFP4's exponent 255, would read as large finite numbers: the loader lets no weight
// with them in (src/quant/non-finite.ts), so that no loop needs to look.

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

/** MXFP4's scale for doubled numbers: 2^(e - 128) for the byte e. The two least are subnormal. */
// @ts-ignore: decorator
@inline
export function loadExponent(ptr: usize): f32 {
  const e = <i32>load<u8>(ptr);
  return reinterpret<f32>(select<i32>(0x00200000 << e, (e - 1) << 23, e < 2));
}

/** Four halves, not yet multiplied by HALF_FACTOR. */
// @ts-ignore: decorator
@inline
export function loadHalvesUnscaled(ptr: usize): v128 {
  return v128.and(i32x4.shl(v128.load16x4_s(ptr), 13), i32x4.splat(HALF_MASK));
}

/** Lane sums of a, b, c, d as lanes 0 to 3; the order of the additions is fixed. */
// @ts-ignore: decorator
@inline
export function sumLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

// V8 makes a vector constant anew in every turn of a loop. Read from a variable before the loop, it stays in a register;
// being assigned by prepareConstants, these are variables to the compilers.

/** 15 in every 16-bit lane. */
export let nibbles16: v128 = i32x4.splat(0);
/** 15, 3, 48, 16, 4 in every byte. */
export let bytes15: v128 = i32x4.splat(0);
export let bytes3: v128 = i32x4.splat(0);
export let bytes48: v128 = i32x4.splat(0);
export let bytes16: v128 = i32x4.splat(0);
export let bytes4: v128 = i32x4.splat(0);
/** 1, 2, 4 .. 128, twice. */
export let bitOfByte: v128 = i32x4.splat(0);
/** 0 eight times, 1 eight times: spreads two bytes of bits; and the same for the next two. */
export let spreadLow: v128 = i32x4.splat(0);
export let spreadHigh: v128 = i32x4.splat(0);
/** The levels of IQ4_NL. */
export let codebook: v128 = i32x4.splat(0);
/** The doubled numbers of MXFP4. */
export let doubled: v128 = i32x4.splat(0);
/** HALF_MASK in every lane. */
export let halfMask: v128 = i32x4.splat(0);
/** HALF_FACTOR. */
export let halfFactor: f32 = 0;

/** Must run before the variables above are read. */
export function prepareConstants(): void {
  nibbles16 = i16x8.splat(15);
  bytes15 = i8x16.splat(15);
  bytes3 = i8x16.splat(3);
  bytes48 = i8x16.splat(48);
  bytes16 = i8x16.splat(16);
  bytes4 = i8x16.splat(4);
  bitOfByte = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  spreadLow = i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  spreadHigh = i8x16(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  codebook = i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  doubled = i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  halfMask = i32x4.splat(HALF_MASK);
  halfFactor = HALF_FACTOR;
}

/** table[indices], indices below 16. */
// @ts-ignore: decorator
@inline
export function lookUp(table: v128, indices: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_swizzle(table, indices);
  else return v128.swizzle(table, indices);
}

/** The half at ptr; `factor` is halfFactor. */
// @ts-ignore: decorator
@inline
export function loadHalfTimes(ptr: usize, factor: f32): f32 {
  return reinterpret<f32>(((<i32>load<i16>(ptr)) << 13) & HALF_MASK) * factor;
}
