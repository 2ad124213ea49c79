// Matrix of floats (f32, f16, bf16) times one row of activations: four weight rows at once, any number of columns.

import { halfMask, loadHalf, sumLanes } from "./linear-simd";
import { madd } from "../vector/simd";
import { F16, F32 } from "../quantise/unpack";

/**
 * Halves lie 112 powers of two too low when their bits are moved into place (see linear-simd). The activations are
 * raised by 80 instead, once for four rows, and the sums by 32 at the end: no product overflows or underflows for
 * activations below 2^48.
 */
const HALF_INPUT: f32 = 1.2089258196146292e24;
const HALF_OUTPUT: f32 = 4294967296.0;

// @ts-ignore: decorator
@inline
function load4(dtype: i32, row: usize, k: usize, mask: v128): v128 {
  if (dtype == F32) return v128.load(row + (k << 2));
  else if (dtype == F16) return v128.and(i32x4.shl(v128.load16x4_s(row + (k << 1)), 13), mask);
  else return i32x4.shl(v128.load16x4_u(row + (k << 1)), 16);
}

// @ts-ignore: decorator
@inline
function load1(dtype: i32, row: usize, k: usize): f32 {
  if (dtype == F32) return load<f32>(row + (k << 2));
  else if (dtype == F16) return loadHalf(row + (k << 1));
  else return reinterpret<f32>((<u32>load<u16>(row + (k << 1))) << 16);
}

// @ts-ignore: decorator
@inline
function activations(dtype: i32, x: usize, k: usize): v128 {
  if (dtype == F16) return f32x4.mul(v128.load(x + (k << 2)), f32x4.splat(HALF_INPUT));
  else return v128.load(x + (k << 2));
}

// @ts-ignore: decorator
@inline
function rowsFloat(dtype: i32, w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  const count = <usize>columns;
  const mask = halfMask;
  const zero = f32x4.splat(0);
  let a0 = zero;
  let a1 = zero;
  let a2 = zero;
  let a3 = zero;
  let b0 = zero;
  let b1 = zero;
  let b2 = zero;
  let b3 = zero;
  let k: usize = 0;
  // f32 needs eight chains to hide the latency of multiply-add; halves spend that time converting, in fewer registers.
  if (dtype == F32) {
    for (; k + 8 <= count; k += 8) {
      const xa = v128.load(x + (k << 2));
      const xb = v128.load(x + (k << 2), 16);
      a0 = madd(load4(dtype, w0, k, mask), xa, a0);
      a1 = madd(load4(dtype, w1, k, mask), xa, a1);
      a2 = madd(load4(dtype, w2, k, mask), xa, a2);
      a3 = madd(load4(dtype, w3, k, mask), xa, a3);
      b0 = madd(load4(dtype, w0, k + 4, mask), xb, b0);
      b1 = madd(load4(dtype, w1, k + 4, mask), xb, b1);
      b2 = madd(load4(dtype, w2, k + 4, mask), xb, b2);
      b3 = madd(load4(dtype, w3, k + 4, mask), xb, b3);
    }
  }
  for (; k + 4 <= count; k += 4) {
    const xa = activations(dtype, x, k);
    a0 = madd(load4(dtype, w0, k, mask), xa, a0);
    a1 = madd(load4(dtype, w1, k, mask), xa, a1);
    a2 = madd(load4(dtype, w2, k, mask), xa, a2);
    a3 = madd(load4(dtype, w3, k, mask), xa, a3);
  }
  let sum = sumLanes(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3));
  if (dtype == F16) sum = f32x4.mul(sum, f32x4.splat(HALF_OUTPUT));
  for (; k < count; k++) {
    const column = f32x4(load1(dtype, w0, k), load1(dtype, w1, k), load1(dtype, w2, k), load1(dtype, w3, k));
    sum = madd(column, v128.load32_splat(x + (k << 2)), sum);
  }
  return sum;
}

export function rowsF32(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  return rowsFloat(0, w0, w1, w2, w3, columns, x);
}

export function rowsF16(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  return rowsFloat(1, w0, w1, w2, w3, columns, x);
}

export function rowsBf16(w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize): v128 {
  return rowsFloat(30, w0, w1, w2, w3, columns, x);
}
