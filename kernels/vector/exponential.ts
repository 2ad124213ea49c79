// e^x of four numbers at a time. Apart from simd.ts, because the wide module, which shares that file, must have no constants in
// memory: they would lie where this module's do.
import { madd } from "./simd";

// Numbers of exp4, four lanes of each, in memory: V8 makes a vector constant anew wherever it stands, in four instructions.
const EXP: usize = memory.data<f32>([
  -87.3, -87.3, -87.3, -87.3, 88.3, 88.3, 88.3, 88.3,
  1.44269504088896341, 1.44269504088896341, 1.44269504088896341, 1.44269504088896341,
  // 1.5 * 2^23 added rounds to an integer, which then stands in the low bits.
  12582912, 12582912, 12582912, 12582912,
  // ln 2 in two parts.
  0.693359375, 0.693359375, 0.693359375, 0.693359375,
  -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4,
  1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4,
  1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3,
  8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3,
  4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2,
  1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1,
  5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1, 5.0000001201e-1,
  1, 1, 1, 1,
], 16);

/**
 * e^x to about 1e-7 relative, for x clamped to [-87.3, 88.3]: x = n ln 2 + r, a polynomial in r (Cephes' expf), and n
 * added to the exponent. ln 2 is taken in two parts so that n ln 2 is exact.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  x = f32x4.min(f32x4.max(x, v128.load(EXP)), v128.load(EXP, 16));
  const rounding = v128.load(EXP, 48);
  const shifted = f32x4.add(f32x4.mul(x, v128.load(EXP, 32)), rounding);
  const n = f32x4.sub(shifted, rounding);
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, v128.load(EXP, 64))), f32x4.mul(n, v128.load(EXP, 80)));
  let p = madd(v128.load(EXP, 96), r, v128.load(EXP, 112));
  p = madd(p, r, v128.load(EXP, 128));
  p = madd(p, r, v128.load(EXP, 144));
  p = madd(p, r, v128.load(EXP, 160));
  p = madd(p, r, v128.load(EXP, 176));
  const one = v128.load(EXP, 192);
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), one);
  // The bits of 1 are 127 in the exponent's place.
  return f32x4.mul(p, i32x4.add(i32x4.shl(shifted, 23), one));
}
