// The weights of a block of scores, with online softmax (Milakov and Gimelshein 2018). Scores arrive in powers of two:
// log2(e) is in the queries' scale, so that a weight is 2^(score - maximum), whose integer part goes straight into the
// exponent. That made the softmax, a quarter of the kernel's time before, about three times as fast.
import { max4, madd, sum4 } from "./simd";
import { SCORE_STRIDE, TILE_ROWS } from "./attention-tile";

// Where the rows' totals and factors lie behind their maxima.
// @ts-ignore: decorator
@inline
export const TOTALS: usize = usize(TILE_ROWS) * 4;
// @ts-ignore: decorator
@inline
export const FACTORS: usize = usize(TILE_ROWS) * 8;

/** The maximum before any slot was seen: finite, so that -inf - LEAST is still -inf and not a NaN. */
// @ts-ignore: decorator
@inline
export const LEAST: f32 = -1e30;

/** Weights of half-float values carry 2^64, so that times 2^-112 (see kv-page.ts) they stay far from the ends of f32. */
// @ts-ignore: decorator
@inline
export const WEIGHT_SHIFT: f32 = 64;
// @ts-ignore: decorator
@inline
export const WEIGHT_UNIT: f32 = 1.8446744073709552e19;

/** 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits. */
const ROUND: f32 = 12582912;

// 2^r = 1 + r (C1 + r (C2 + ...)) for |r| <= 1/2, minimax in relative error with the constant 1 fixed: 9.1e-8.
const C1: f32 = 0.6931470036506653;
const C2: f32 = 0.24022242426872253;
const C3: f32 = 0.05550733581185341;
const C4: f32 = 0.009671512991189957;
const C5: f32 = 0.001326472731307149;

// V8 makes a vector constant anew in every turn of a loop; what is read from a variable before the loop stays in a register.
let one: v128 = i32x4.splat(0), c1: v128 = i32x4.splat(0), c2: v128 = i32x4.splat(0), c3: v128 = i32x4.splat(0);
let c4: v128 = i32x4.splat(0), c5: v128 = i32x4.splat(0);

/** Must run before softmaxBlock. */
export function prepareSoftmax(): void {
  one = f32x4.splat(1);
  c1 = f32x4.splat(C1);
  c2 = f32x4.splat(C2);
  c3 = f32x4.splat(C3);
  c4 = f32x4.splat(C4);
  c5 = f32x4.splat(C5);
}

/** 2^x for x <= 0; exactly zero below -126 and for NaN, as masked slots need. */
// @ts-ignore: decorator
@inline
export function exp2Below(x: f32): f32 {
  if (!(x > -126)) return 0;
  const n = nearest(x);
  const r = x - n;
  const p = f32(1) + r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * C5))));
  return p * reinterpret<f32>((i32(n) + 127) << 23);
}

/**
 * The rows' scores become weights 2^(score * unit - maximum + shift). A row of `scores` has `pages` * 16 slots; `state`
 * holds the rows' maxima and totals so far, and the factors by which what was summed before shrinks ([3][TILE_ROWS]).
 */
export function softmaxBlock(scores: usize, rows: i32, pages: i32, unit: f32, shift: f32, state: usize): void {
  for (const last = state + (usize(rows) << 2); state < last; state += 4) {
    const end = scores + usize(pages) * 64;
    let even = v128.load(scores);
    let odd = v128.load(scores, 16);
    for (let at = scores + 32; at < end; at += 32) {
      even = f32x4.pmax(even, v128.load(at));
      odd = f32x4.pmax(odd, v128.load(at, 16));
    }
    const before = load<f32>(state);
    const maximum = max(before, max4(f32x4.pmax(even, odd)) * unit);
    const factor: f32 = before == maximum ? f32(1) : exp2Below(before - maximum);
    const total = weigh(scores, end, unit, maximum, ROUND + shift);
    store<f32>(state, maximum);
    store<f32>(state, load<f32>(state, TOTALS) * factor + total, TOTALS);
    store<f32>(state, factor, FACTORS);
    scores += SCORE_STRIDE;
  }
}

/** Turns one row's scores into weights and sums them. `round` is ROUND plus the binary logarithm of the weights' unit. */
function weigh(at: usize, end: usize, unit: f32, maximum: f32, round: f32): f32 {
  const units = f32x4.splat(unit);
  const shift = f32x4.splat(-maximum);
  const rounding = f32x4.splat(round);
  const limit = f32x4.splat(round - 126);
  const k0 = one, k1 = c1, k2 = c2, k3 = c3, k4 = c4, k5 = c5;
  let total = f32x4.splat(0);
  for (; at < end; at += 16) {
    let x = madd(v128.load(at), units, shift);
    const n = f32x4.add(x, rounding);
    x = f32x4.sub(x, f32x4.sub(n, rounding));
    let p = madd(k5, x, k4);
    p = madd(p, x, k3);
    p = madd(p, x, k2);
    p = madd(p, x, k1);
    p = madd(p, x, k0);
    p = v128.and(i32x4.add(p, i32x4.shl(n, 23)), f32x4.gt(n, limit));
    total = f32x4.add(total, p);
    v128.store(at, p);
  }
  return sum4(total);
}
