// The two products of attention-tile.ts in register tiles of four rows x 16 lanes, in neighbouring pairs of operations: an
// engine that joins each pair into one of 256 bits holds the 16 sums in eight registers. Elsewhere they would be spilled.
import { addQuad, scaled, SCORE_STRIDE, store4 } from "./attention-tile";
import { madd } from "../vector/simd";

/** scores[row][0..16) = q[row] . keys; rows are rounded up to a multiple of four. */
export function scorePage4(q: usize, rows: i32, width: i32, keys: usize, scores: usize): void {
  const stride = usize(width) * 4;
  for (; rows > 0; rows -= 4) {
    score4(q, stride, keys, scores, SCORE_STRIDE);
    q += 4 * stride;
    scores += 4 * SCORE_STRIDE;
  }
}

/** `apart`: bytes from row to row of the scores. */
export function score4(q: usize, stride: usize, keys: usize, scores: usize, apart: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  let third = q + 2 * stride;
  for (const end = q + stride; q < end; q += 4) {
    const k0 = v128.load(keys);
    const k1 = v128.load(keys, 16);
    const k2 = v128.load(keys, 32);
    const k3 = v128.load(keys, 48);
    const a = v128.load32_splat(q);
    a0 = madd(a, k0, a0);
    a1 = madd(a, k1, a1);
    a2 = madd(a, k2, a2);
    a3 = madd(a, k3, a3);
    const b = v128.load32_splat(q + stride);
    b0 = madd(b, k0, b0);
    b1 = madd(b, k1, b1);
    b2 = madd(b, k2, b2);
    b3 = madd(b, k3, b3);
    const c = v128.load32_splat(third);
    c0 = madd(c, k0, c0);
    c1 = madd(c, k1, c1);
    c2 = madd(c, k2, c2);
    c3 = madd(c, k3, c3);
    const d = v128.load32_splat(third + stride);
    d0 = madd(d, k0, d0);
    d1 = madd(d, k1, d1);
    d2 = madd(d, k2, d2);
    d3 = madd(d, k3, d3);
    keys += 64;
    third += 4;
  }
  store4(scores, a0, a1, a2, a3);
  store4(scores + apart, b0, b1, b2, b3);
  store4(scores + 2 * apart, c0, c1, c2, c3);
  store4(scores + 3 * apart, d0, d1, d2, d3);
}

/** As addValues in attention-tile.ts; rows are rounded up to a multiple of four. */
export function addValues4(
  out: usize, rows: i32, width: i32, weights: usize, factors: usize, values: usize, first: i32, last: i32,
): void {
  const stride = usize(width) * 4;
  const columns = stride & ~63;
  weights += usize(first) * 4;
  values += usize(first) * stride;
  const end = values + usize(last - first) * stride;
  for (; rows > 0; rows -= 4) {
    for (let d: usize = 0; d < columns; d += 64) add4(out + d, stride, weights, factors, values + d, end + d);
    if (columns < stride) addRest(out, stride, columns, min(rows, 4), weights, factors, values, end);
    out += 4 * stride;
    weights += 4 * SCORE_STRIDE;
    factors += 16;
  }
}

/** Dims from `columns` on, which are fewer than 16. */
function addRest(
  out: usize, stride: usize, columns: usize, rows: i32, weights: usize, factors: usize, values: usize, end: usize,
): void {
  for (; rows > 0; rows--) {
    for (let d = columns; d < stride; d += 16) addQuad(out + d, stride, weights, factors, values + d, end + d);
    out += stride;
    weights += SCORE_STRIDE;
    factors += 4;
  }
}

function add4(out: usize, stride: usize, weights: usize, factors: usize, values: usize, end: usize): void {
  const second = out + stride;
  const third = second + stride;
  const fourth = third + stride;
  const a = v128.load32_splat(factors);
  let a0 = scaled(out, a), a1 = scaled(out + 16, a), a2 = scaled(out + 32, a), a3 = scaled(out + 48, a);
  const b = v128.load32_splat(factors, 4);
  let b0 = scaled(second, b), b1 = scaled(second + 16, b), b2 = scaled(second + 32, b), b3 = scaled(second + 48, b);
  const c = v128.load32_splat(factors, 8);
  let c0 = scaled(third, c), c1 = scaled(third + 16, c), c2 = scaled(third + 32, c), c3 = scaled(third + 48, c);
  const d = v128.load32_splat(factors, 12);
  let d0 = scaled(fourth, d), d1 = scaled(fourth + 16, d), d2 = scaled(fourth + 32, d), d3 = scaled(fourth + 48, d);
  for (; values < end; values += stride) {
    const v0 = v128.load(values);
    const v1 = v128.load(values, 16);
    const v2 = v128.load(values, 32);
    const v3 = v128.load(values, 48);
    const x = v128.load32_splat(weights);
    a0 = madd(x, v0, a0);
    a1 = madd(x, v1, a1);
    a2 = madd(x, v2, a2);
    a3 = madd(x, v3, a3);
    const y = v128.load32_splat(weights, SCORE_STRIDE);
    b0 = madd(y, v0, b0);
    b1 = madd(y, v1, b1);
    b2 = madd(y, v2, b2);
    b3 = madd(y, v3, b3);
    const z = v128.load32_splat(weights, 2 * SCORE_STRIDE);
    c0 = madd(z, v0, c0);
    c1 = madd(z, v1, c1);
    c2 = madd(z, v2, c2);
    c3 = madd(z, v3, c3);
    const w = v128.load32_splat(weights, 3 * SCORE_STRIDE);
    d0 = madd(w, v0, d0);
    d1 = madd(w, v1, d1);
    d2 = madd(w, v2, d2);
    d3 = madd(w, v3, d3);
    weights += 4;
  }
  store4(out, a0, a1, a2, a3);
  store4(second, b0, b1, b2, b3);
  store4(third, c0, c1, c2, c3);
  store4(fourth, d0, d1, d2, d3);
}
