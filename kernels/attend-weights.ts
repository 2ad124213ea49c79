// The weights of attention once more, from the scores and the saved logs of the denominators, and their derivatives:
//   p = exp(score - log), ds = p (dp - delta).
import { LOG2E } from "./attention-softmax";
import { PAGE_STRIDE } from "./attend-tiles";
import { lanesOf } from "./attend-seen";
import { madd } from "./simd";

// Four lanes each, in memory: V8 makes a vector constant anew wherever it stands. log2(e); 1.5 * 2^23, whose addition
// rounds to an integer that then stands in the low bits; the same less 100: weights below 2^-100 are zero, for products
// of the least numbers of f32 are slow; then 2^r = 1 + r (C1 + r (C2 + ...)) for |r| <= 1/2, as in
// attention-softmax.ts.
const CONSTANTS: usize = memory.data<f32>([
  1.44269504088896341, 1.44269504088896341, 1.44269504088896341, 1.44269504088896341,
  12582912, 12582912, 12582912, 12582912,
  12582812, 12582812, 12582812, 12582812,
  1, 1, 1, 1,
  0.6931470036506653, 0.6931470036506653, 0.6931470036506653, 0.6931470036506653,
  0.24022242426872253, 0.24022242426872253, 0.24022242426872253, 0.24022242426872253,
  0.05550733581185341, 0.05550733581185341, 0.05550733581185341, 0.05550733581185341,
  0.009671512991189957, 0.009671512991189957, 0.009671512991189957, 0.009671512991189957,
  0.001326472731307149, 0.001326472731307149, 0.001326472731307149, 0.001326472731307149,
], 16);

/** 2^x for x up to a little above 0; exactly zero below -100 and for NaN. */
// @ts-ignore: decorator
@inline
function exp2(x: v128): v128 {
  const rounding = v128.load(CONSTANTS, 16);
  const n = f32x4.add(x, rounding);
  const r = f32x4.sub(x, f32x4.sub(n, rounding));
  let p = madd(v128.load(CONSTANTS, 128), r, v128.load(CONSTANTS, 112));
  p = madd(p, r, v128.load(CONSTANTS, 96));
  p = madd(p, r, v128.load(CONSTANTS, 80));
  p = madd(p, r, v128.load(CONSTANTS, 64));
  p = madd(p, r, v128.load(CONSTANTS, 48));
  return v128.and(i32x4.add(p, i32x4.shl(n, 23)), f32x4.gt(n, v128.load(CONSTANTS, 32)));
}

/** The negative log of a denominator in powers of two; of a row that sees nothing any number will do. */
export function shiftOf(log: f32): f32 {
  return log > -Infinity ? -log * LOG2E : 0;
}

/**
 * Rows of a page: `scores` [rows][16] become weights in `weights`, dp in `derivatives` becomes ds. `shifts` and
 * `deltas` have a number for each row, `bits` (0: all is seen) a word.
 */
export function weighRows(
  rows: i32, scores: usize, shifts: usize, deltas: usize, bits: usize, weights: usize, derivatives: usize,
): void {
  const end = scores + usize(rows) * PAGE_STRIDE;
  while (scores < end) {
    const shift = v128.load32_splat(shifts), delta = v128.load32_splat(deltas);
    weigh4(scores, weights, derivatives, shift, delta);
    weigh4(scores + 16, weights + 16, derivatives + 16, shift, delta);
    weigh4(scores + 32, weights + 32, derivatives + 32, shift, delta);
    weigh4(scores + 48, weights + 48, derivatives + 48, shift, delta);
    if (bits != 0) {
      const seen = v128.load32_splat(bits);
      for (let i: usize = 0; i < 64; i += 16) {
        const lanes = lanesOf(seen, i32(i >> 2));
        v128.store(weights + i, v128.and(v128.load(weights + i), lanes));
        v128.store(derivatives + i, v128.and(v128.load(derivatives + i), lanes));
      }
      bits += 4;
    }
    scores += PAGE_STRIDE;
    weights += PAGE_STRIDE;
    derivatives += PAGE_STRIDE;
    shifts += 4;
    deltas += 4;
  }
}

// @ts-ignore: decorator
@inline
function weigh4(score: usize, weight: usize, derivative: usize, shift: v128, delta: v128): void {
  const p = exp2(madd(v128.load(score), v128.load(CONSTANTS), shift));
  v128.store(weight, p);
  v128.store(derivative, f32x4.mul(p, f32x4.sub(v128.load(derivative), delta)));
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
