// The weights of a block of scores, with online softmax (Milakov and Gimelshein 2018). It works in powers of two:
// log2(e) is in `unit`, so that a weight is 2^(score * unit - maximum), whose integer part goes straight into the
// exponent. That made the softmax, a quarter of the kernel's time before, about three times as fast. Operations come in
// neighbouring pairs, for engines that join them (see attention-wide.ts).
import { TILE_ROWS } from "../abi";
import { SCORE_STRIDE } from "./attention-tile";
import { max4, madd, sum4 } from "../vector/simd";

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

// @ts-ignore: decorator
@inline
export const LOG2E: f32 = 1.4426950408889634;

/** Weights of half-float values carry 2^64, so that times 2^-112 (see kv-page.ts) they stay far from the ends of f32. */
// @ts-ignore: decorator
@inline
export const WEIGHT_SHIFT: f32 = 64;
// @ts-ignore: decorator
@inline
export const WEIGHT_UNIT: f32 = 1.8446744073709552e19;

/** From here on a maximum is rounded by more than half a power of two, which a fused multiply-add does not repeat. */
const COARSE: f32 = 16777216;

/** 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits. */
const ROUND: f32 = 12582912;

// 2^r = 1 + r (C1 + r (C2 + ...)) for |r| <= 1/2, minimax in relative error with the constant 1 fixed: 9.1e-8.
const C1: f32 = 0.6931470036506653;
const C2: f32 = 0.24022242426872253;
const C3: f32 = 0.05550733581185341;
const C4: f32 = 0.009671512991189957;
const C5: f32 = 0.001326472731307149;

// The memory that softmaxBlock works with: eight lanes of every number. V8 makes a vector constant anew in every turn of a
// loop, but keeps what was read before it; and where it joins pairs of vectors, it joins a lone one with itself in every
// turn, so these are pairs too.
const UNIT: usize = 0;
const ROUNDING: usize = 32;
const LIMIT: usize = 64;
const POLYNOMIAL: usize = 96;
/** For each row in turn: its maxima, its negative maximum, its sums. */
const LANES: usize = 288;
/** Bytes of that memory. */
// @ts-ignore: decorator
@inline
export const WORK_BYTES: usize = LANES + TILE_ROWS * 32;

function writeConstants(work: usize, unit: f32, round: f32): void {
  store8(work + UNIT, unit);
  store8(work + ROUNDING, round);
  store8(work + LIMIT, round - 126);
  store8(work + POLYNOMIAL, 1);
  store8(work + POLYNOMIAL + 32, C1);
  store8(work + POLYNOMIAL + 64, C2);
  store8(work + POLYNOMIAL + 96, C3);
  store8(work + POLYNOMIAL + 128, C4);
  store8(work + POLYNOMIAL + 160, C5);
}

// @ts-ignore: decorator
@inline
function store8(at: usize, x: f32): void {
  v128.store(at, f32x4.splat(x));
  v128.store(at, f32x4.splat(x), 16);
}

/** 2^x for x <= 0; exactly zero below -126; NaN for NaN. */
// @ts-ignore: decorator
@inline
export function exp2Below(x: f32): f32 {
  if (!(x > -126)) return x == x ? f32(0) : x;
  const n = nearest(x);
  const r = x - n;
  const p = f32(1) + r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * C5))));
  return p * reinterpret<f32>((i32(n) + 127) << 23);
}

/**
 * The rows' scores become weights 2^(score * unit - maximum + shift). A row of `scores` has `pages` * 16 slots; `state`
 * holds the rows' maxima and totals so far, and the factors by which what was summed before shrinks ([3][TILE_ROWS]).
 * `work` is WORK_BYTES of memory.
 */
export function softmaxBlock(
  scores: usize, rows: i32, pages: i32, unit: f32, shift: f32, state: usize, work: usize,
): void {
  writeConstants(work, unit, ROUND + shift);
  const end = usize(pages) * 64;
  // Passes over the rows, so that none waits for what it has just stored in narrower pieces.
  for (let row: usize = 0; row < usize(rows); row++) {
    const lanes = work + LANES + row * 32;
    const at = scores + row * SCORE_STRIDE;
    largest(at, at + end, lanes);
  }
  for (let row: usize = 0; row < usize(rows); row++) {
    const lanes = work + LANES + row * 32;
    const at = scores + row * SCORE_STRIDE;
    const maximum = rescale(state + row * 4, lanes, unit);
    if (abs(maximum) > COARSE && maximum != LEAST) lower(at, at + end, unit, maximum, lanes);
  }
  for (let row: usize = 0; row < usize(rows); row++) {
    const lanes = work + LANES + row * 32;
    const at = scores + row * SCORE_STRIDE;
    weigh(at, at + end, lanes, work);
  }
  for (let row: usize = 0; row < usize(rows); row++) {
    const lanes = work + LANES + row * 32;
    const at = state + row * 4;
    store<f32>(at, load<f32>(at, TOTALS) + sum4(f32x4.add(v128.load(lanes), v128.load(lanes, 16))), TOTALS);
  }
}

/** A row's new maximum, the factor by which its sums shrink, its total so far; `lanes`: of eight maxima, the negative one. */
// @ts-ignore: decorator
@inline
function rescale(state: usize, lanes: usize, unit: f32): f32 {
  const before = load<f32>(state);
  const maximum = max(before, max4(f32x4.pmax(v128.load(lanes), v128.load(lanes, 16))) * unit);
  const factor: f32 = before == maximum ? f32(1) : exp2Below(before - maximum);
  store8(lanes, -maximum);
  store<f32>(state, maximum);
  store<f32>(state, load<f32>(state, TOTALS) * factor, TOTALS);
  store<f32>(state, factor, FACTORS);
  return maximum;
}

/** Takes the maximum from a row's scores, each product rounded as the maximum's was, and makes it zero in `lanes`. */
function lower(at: usize, end: usize, unit: f32, maximum: f32, lanes: usize): void {
  const units = f32x4.splat(unit), highest = f32x4.splat(maximum), inverse = f32x4.splat(1 / unit);
  for (; at < end; at += 16) {
    const below = f32x4.sub(f32x4.mul(v128.load(at), units), highest);
    v128.store(at, f32x4.mul(below, inverse));
  }
  store8(lanes, 0);
}

/** Eight maxima of one row's scores. */
function largest(at: usize, end: usize, lanes: usize): void {
  let a0 = v128.load(at), a1 = v128.load(at, 16);
  let b0 = v128.load(at, 32), b1 = v128.load(at, 48);
  for (at += 64; at < end; at += 64) {
    a0 = f32x4.pmax(a0, v128.load(at));
    a1 = f32x4.pmax(a1, v128.load(at, 16));
    b0 = f32x4.pmax(b0, v128.load(at, 32));
    b1 = f32x4.pmax(b1, v128.load(at, 48));
  }
  v128.store(lanes, f32x4.pmax(a0, b0));
  v128.store(lanes, f32x4.pmax(a1, b1), 16);
}

/**
 * Turns one row's scores into weights and sums them in eight lanes; `lanes` holds the negative maximum before. Below 2^-125
 * of the maximum a weight is exactly zero, as masked slots need. The weight of NaN is NaN, which is not below anything: its
 * low bits, which would go to the exponent, are zero.
 */
function weigh(at: usize, end: usize, lanes: usize, work: usize): void {
  const unit0 = v128.load(work, UNIT), unit1 = v128.load(work, UNIT + 16);
  const shift0 = v128.load(lanes), shift1 = v128.load(lanes, 16);
  const rounding0 = v128.load(work, ROUNDING), rounding1 = v128.load(work, ROUNDING + 16);
  const limit0 = v128.load(work, LIMIT), limit1 = v128.load(work, LIMIT + 16);
  const one0 = v128.load(work, POLYNOMIAL), one1 = v128.load(work, POLYNOMIAL + 16);
  const c10 = v128.load(work, POLYNOMIAL + 32), c11 = v128.load(work, POLYNOMIAL + 48);
  const c20 = v128.load(work, POLYNOMIAL + 64), c21 = v128.load(work, POLYNOMIAL + 80);
  const c30 = v128.load(work, POLYNOMIAL + 96), c31 = v128.load(work, POLYNOMIAL + 112);
  const c40 = v128.load(work, POLYNOMIAL + 128), c41 = v128.load(work, POLYNOMIAL + 144);
  const c50 = v128.load(work, POLYNOMIAL + 160), c51 = v128.load(work, POLYNOMIAL + 176);
  let total0 = f32x4.splat(0), total1 = total0;
  for (; at < end; at += 32) {
    let x0 = madd(v128.load(at), unit0, shift0);
    let x1 = madd(v128.load(at, 16), unit1, shift1);
    const n0 = f32x4.add(x0, rounding0);
    const n1 = f32x4.add(x1, rounding1);
    x0 = f32x4.sub(x0, f32x4.sub(n0, rounding0));
    x1 = f32x4.sub(x1, f32x4.sub(n1, rounding1));
    let p0 = madd(c50, x0, c40);
    let p1 = madd(c51, x1, c41);
    p0 = madd(p0, x0, c30);
    p1 = madd(p1, x1, c31);
    p0 = madd(p0, x0, c20);
    p1 = madd(p1, x1, c21);
    p0 = madd(p0, x0, c10);
    p1 = madd(p1, x1, c11);
    p0 = madd(p0, x0, one0);
    p1 = madd(p1, x1, one1);
    p0 = v128.andnot(i32x4.add(p0, i32x4.shl(n0, 23)), f32x4.le(n0, limit0));
    p1 = v128.andnot(i32x4.add(p1, i32x4.shl(n1, 23)), f32x4.le(n1, limit1));
    total0 = f32x4.add(total0, p0);
    total1 = f32x4.add(total1, p1);
    v128.store(at, p0);
    v128.store(at, p1, 16);
  }
  v128.store(lanes, total0);
  v128.store(lanes, total1, 16);
}
