// The weights of attention once more, from the scores and the saved logs of the denominators, and their derivatives:
//   p = exp(score - log), ds = p (dp - delta).
// Operations come in neighbouring pairs, for engines that join them (see attention-wide.ts).
import { LOG2E } from "../attention/attention-softmax";
import { PAGE_STRIDE } from "./attend-tiles";
import { madd } from "../vector/simd";

// The memory that weighRows works with: eight lanes of every number, as in attention-softmax.ts. 1.5 * 2^23, whose
// addition rounds to an integer that then stands in the low bits; the same less 100: weights below 2^-100 are zero, for
// products of the least numbers of f32 are slow; then 2^r = 1 + r (C1 + r (C2 + ...)) for |r| <= 1/2; then a bit for each
// of a page's keys.
const UNIT: usize = 0;
const ROUNDING: usize = 32;
const LIMIT: usize = 64;
const POLYNOMIAL: usize = 96;
const KEY_BITS: usize = 288;
/** Bytes of that memory. */
// @ts-ignore: decorator
@inline
export const WEIGH_BYTES: usize = KEY_BITS + 64;

/** Writes that memory. */
export function writeWeighConstants(work: usize): void {
  store8(work + UNIT, LOG2E);
  store8(work + ROUNDING, 12582912);
  store8(work + LIMIT, 12582812);
  store8(work + POLYNOMIAL, 1);
  store8(work + POLYNOMIAL + 32, 0.6931470036506653);
  store8(work + POLYNOMIAL + 64, 0.24022242426872253);
  store8(work + POLYNOMIAL + 96, 0.05550733581185341);
  store8(work + POLYNOMIAL + 128, 0.009671512991189957);
  store8(work + POLYNOMIAL + 160, 0.001326472731307149);
  for (let key = 0; key < 16; key++) store<i32>(work + KEY_BITS + usize(key) * 4, 1 << key);
}

// @ts-ignore: decorator
@inline
function store8(at: usize, x: f32): void {
  v128.store(at, f32x4.splat(x));
  v128.store(at, f32x4.splat(x), 16);
}

/** The negative log of a denominator in powers of two; of a row that sees nothing any number will do. */
export function shiftOf(log: f32): f32 {
  return log > -Infinity ? -log * LOG2E : 0;
}

/**
 * Rows of a page: `scores` [rows][16] become weights in `weights`, dp in `derivatives` becomes ds. `shifts` and
 * `deltas` have a number for each row, `bits` (0: all is seen) a word. `work`: see writeWeighConstants.
 */
export function weighRows(
  rows: i32, scores: usize, shifts: usize, deltas: usize, bits: usize, weights: usize, derivatives: usize, work: usize,
): void {
  if (bits == 0) weigh(false, rows, scores, shifts, deltas, bits, weights, derivatives, work);
  else weigh(true, rows, scores, shifts, deltas, bits, weights, derivatives, work);
}

/** 2^x for x up to a little above 0 is exactly zero below -100 and for NaN. */
// @ts-ignore: decorator
@inline
function weigh(
  masked: bool, rows: i32, scores: usize, shifts: usize, deltas: usize, bits: usize, weights: usize,
  derivatives: usize, work: usize,
): void {
  const unit0 = v128.load(work, UNIT), unit1 = v128.load(work, UNIT + 16);
  const rounding0 = v128.load(work, ROUNDING), rounding1 = v128.load(work, ROUNDING + 16);
  const limit0 = v128.load(work, LIMIT), limit1 = v128.load(work, LIMIT + 16);
  const one0 = v128.load(work, POLYNOMIAL), one1 = v128.load(work, POLYNOMIAL + 16);
  const c10 = v128.load(work, POLYNOMIAL + 32), c11 = v128.load(work, POLYNOMIAL + 48);
  const c20 = v128.load(work, POLYNOMIAL + 64), c21 = v128.load(work, POLYNOMIAL + 80);
  const c30 = v128.load(work, POLYNOMIAL + 96), c31 = v128.load(work, POLYNOMIAL + 112);
  const c40 = v128.load(work, POLYNOMIAL + 128), c41 = v128.load(work, POLYNOMIAL + 144);
  const c50 = v128.load(work, POLYNOMIAL + 160), c51 = v128.load(work, POLYNOMIAL + 176);
  for (const end = scores + usize(rows) * PAGE_STRIDE; scores < end; ) {
    const shift = v128.load32_splat(shifts);
    const delta = v128.load32_splat(deltas);
    for (let half: usize = 0; half < 64; half += 32) {
      let x0 = madd(v128.load(scores), unit0, shift);
      let x1 = madd(v128.load(scores, 16), unit1, shift);
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
      let d0 = f32x4.sub(v128.load(derivatives), delta);
      let d1 = f32x4.sub(v128.load(derivatives, 16), delta);
      if (masked) {
        const seen = v128.load32_splat(bits);
        const keys0 = v128.load(work + half, KEY_BITS);
        const keys1 = v128.load(work + half, KEY_BITS + 16);
        const lanes0 = i32x4.eq(v128.and(seen, keys0), keys0);
        const lanes1 = i32x4.eq(v128.and(seen, keys1), keys1);
        p0 = v128.and(p0, lanes0);
        p1 = v128.and(p1, lanes1);
        // What no row sees may be any number: 0 times it need not be 0.
        d0 = v128.and(d0, lanes0);
        d1 = v128.and(d1, lanes1);
      }
      v128.store(weights, p0);
      v128.store(weights, p1, 16);
      v128.store(derivatives, f32x4.mul(p0, d0));
      v128.store(derivatives, f32x4.mul(p1, d1), 16);
      scores += 32;
      weights += 32;
      derivatives += 32;
    }
    shifts += 4;
    deltas += 4;
    if (masked) bits += 4;
  }
}

/** Through the soft cap, whose results are given: ds (1 - (score / cap)^2). */
export function throughCap(scores: usize, rows: i32, cap: f32, derivatives: usize): void {
  const inverse = f32x4.splat(1 / cap), one = f32x4.splat(1);
  for (const end = scores + usize(rows) * PAGE_STRIDE; scores < end; scores += 16) {
    const x = f32x4.mul(v128.load(scores), inverse);
    v128.store(derivatives, f32x4.mul(v128.load(derivatives), f32x4.sub(one, f32x4.mul(x, x))));
    derivatives += 16;
  }
}
