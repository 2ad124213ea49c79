// The two products at the heart of attention, in register tiles of rows x 16 lanes: scores of a page (lanes are tokens)
// and the weighted sum of its values (lanes are dims). Two rows x four vectors are 8 accumulators; with four loads and two
// factors that stays within the 16 vector registers. (Three rows do not: their spills cost a third of the speed.)
import { BLOCK_SLOTS } from "../abi";
import { madd } from "../vector/simd";

/** Bytes of a row of the score block. */
// @ts-ignore: decorator
@inline
export const SCORE_STRIDE: usize = BLOCK_SLOTS * 4;

/** scores[row][0..16) = q[row] . keys for all rows; keys is f32 [D][16], q is [rows][D]. */
export function scorePage(q: usize, rows: i32, width: i32, keys: usize, scores: usize): void {
  const stride = usize(width) * 4;
  for (; rows >= 2; rows -= 2) {
    score2(q, stride, keys, scores);
    q += 2 * stride;
    scores += 2 * SCORE_STRIDE;
  }
  if (rows == 1) score1(q, stride, keys, scores);
}

function score2(q: usize, stride: usize, keys: usize, scores: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const end = q + stride;
  for (; q < end; q += 4) {
    const x = v128.load32_splat(q);
    const y = v128.load32_splat(q + stride);
    let k = v128.load(keys);
    a0 = madd(x, k, a0);
    b0 = madd(y, k, b0);
    k = v128.load(keys, 16);
    a1 = madd(x, k, a1);
    b1 = madd(y, k, b1);
    k = v128.load(keys, 32);
    a2 = madd(x, k, a2);
    b2 = madd(y, k, b2);
    k = v128.load(keys, 48);
    a3 = madd(x, k, a3);
    b3 = madd(y, k, b3);
    keys += 64;
  }
  store4(scores, a0, a1, a2, a3);
  store4(scores + SCORE_STRIDE, b0, b1, b2, b3);
}

/** One row: two steps of d at once, so that eight sums hide the latency of the additions. */
function score1(q: usize, stride: usize, keys: usize, scores: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const end = q + stride;
  for (; q < end; q += 8) {
    const x = v128.load32_splat(q);
    const y = v128.load32_splat(q, 4);
    a0 = madd(x, v128.load(keys), a0);
    a1 = madd(x, v128.load(keys, 16), a1);
    a2 = madd(x, v128.load(keys, 32), a2);
    a3 = madd(x, v128.load(keys, 48), a3);
    b0 = madd(y, v128.load(keys, 64), b0);
    b1 = madd(y, v128.load(keys, 80), b1);
    b2 = madd(y, v128.load(keys, 96), b2);
    b3 = madd(y, v128.load(keys, 112), b3);
    keys += 128;
  }
  store4(scores, f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3));
}

/** Sixteen neighbouring lanes. */
// @ts-ignore: decorator
@inline
export function store4(at: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(at, a);
  v128.store(at, b, 16);
  v128.store(at, c, 32);
  v128.store(at, d, 48);
}

/**
 * out[row] = out[row] * factors[row] + sum over places [first, last) of weights[row][place] * values[place].
 * out is [rows][Dv], values f32 [16][Dv].
 */
export function addValues(
  out: usize, rows: i32, width: i32, weights: usize, factors: usize, values: usize, first: i32, last: i32,
): void {
  const stride = usize(width) * 4;
  const columns = stride & ~63;
  weights += usize(first) * 4;
  values += usize(first) * stride;
  const end = values + usize(last - first) * stride;
  while (rows > 0) {
    const step = min(rows, 2);
    for (let d: usize = 0; d < columns; d += 64) {
      if (step == 2) add2(out + d, stride, weights, factors, values + d, end + d);
      else add1(out + d, stride, weights, factors, values + d, end + d);
    }
    for (let i: usize = 0; i < usize(step); i++) {
      for (let d = columns; d < stride; d += 16) {
        addQuad(out + i * stride + d, stride, weights + i * SCORE_STRIDE, factors + i * 4, values + d, end + d);
      }
    }
    out += usize(step) * stride;
    weights += usize(step) * SCORE_STRIDE;
    factors += usize(step) * 4;
    rows -= step;
  }
}

/** Four sums so far, times the factor by which they shrink. */
// @ts-ignore: decorator
@inline
export function scaled(at: usize, factor: v128): v128 {
  return f32x4.mul(v128.load(at), factor);
}

function add2(out: usize, stride: usize, weights: usize, factors: usize, values: usize, end: usize): void {
  const second = out + stride;
  let f = v128.load32_splat(factors);
  let a0 = scaled(out, f), a1 = scaled(out + 16, f), a2 = scaled(out + 32, f), a3 = scaled(out + 48, f);
  f = v128.load32_splat(factors, 4);
  let b0 = scaled(second, f), b1 = scaled(second + 16, f), b2 = scaled(second + 32, f), b3 = scaled(second + 48, f);
  for (; values < end; values += stride) {
    const x = v128.load32_splat(weights);
    const y = v128.load32_splat(weights + SCORE_STRIDE);
    let v = v128.load(values);
    a0 = madd(x, v, a0);
    b0 = madd(y, v, b0);
    v = v128.load(values, 16);
    a1 = madd(x, v, a1);
    b1 = madd(y, v, b1);
    v = v128.load(values, 32);
    a2 = madd(x, v, a2);
    b2 = madd(y, v, b2);
    v = v128.load(values, 48);
    a3 = madd(x, v, a3);
    b3 = madd(y, v, b3);
    weights += 4;
  }
  store4(out, a0, a1, a2, a3);
  store4(second, b0, b1, b2, b3);
}

function add1(out: usize, stride: usize, weights: usize, factors: usize, values: usize, end: usize): void {
  const f = v128.load32_splat(factors);
  let a0 = scaled(out, f), a1 = scaled(out + 16, f), a2 = scaled(out + 32, f), a3 = scaled(out + 48, f);
  for (; values < end; values += stride) {
    const x = v128.load32_splat(weights);
    a0 = madd(x, v128.load(values), a0);
    a1 = madd(x, v128.load(values, 16), a1);
    a2 = madd(x, v128.load(values, 32), a2);
    a3 = madd(x, v128.load(values, 48), a3);
    weights += 4;
  }
  store4(out, a0, a1, a2, a3);
}

/** One row, four dims: what is left of widths that are not multiples of 16. */
export function addQuad(out: usize, stride: usize, weights: usize, factors: usize, values: usize, end: usize): void {
  let even = scaled(out, v128.load32_splat(factors));
  let odd = f32x4.splat(0);
  for (; values + stride < end; values += 2 * stride) {
    even = madd(v128.load32_splat(weights), v128.load(values), even);
    odd = madd(v128.load32_splat(weights, 4), v128.load(values + stride), odd);
    weights += 8;
  }
  if (values < end) even = madd(v128.load32_splat(weights), v128.load(values), even);
  v128.store(out, f32x4.add(even, odd));
}
