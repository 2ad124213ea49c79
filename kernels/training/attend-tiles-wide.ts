// The products of attend-tiles.ts in register tiles of four rows x 16 lanes, in neighbouring pairs of operations for
// engines that join them (see attention-tile-wide.ts). What rows are left over is done by twos and ones.
import { addQuad, addToRows, PAGE_STRIDE, scoreRows } from "./attend-tiles";
import { SCORE_STRIDE, scorePage, store4 } from "../attention/attention-tile";
import { score4 } from "../attention/attention-tile-wide";
import { madd } from "../vector/simd";

/** As scorePage of attention-tile.ts, over whole blocks of scores: no row beyond the given ones is touched. */
export function scoreBlockWide(x: usize, rows: i32, width: i32, columns: usize, scores: usize): void {
  const stride = usize(width) * 4;
  for (; rows >= 4; rows -= 4) {
    score4(x, stride, columns, scores, SCORE_STRIDE);
    x += 4 * stride;
    scores += 4 * SCORE_STRIDE;
  }
  if (rows > 0) scorePage(x, rows, width, columns, scores);
}

export function scoreRowsWide(x: usize, rows: i32, width: i32, columns: usize, scores: usize): void {
  const stride = usize(width) * 4;
  for (; rows >= 4; rows -= 4) {
    score4(x, stride, columns, scores, PAGE_STRIDE);
    x += 4 * stride;
    scores += 4 * PAGE_STRIDE;
  }
  if (rows > 0) scoreRows(x, rows, width, columns, scores);
}

export function addToRowsWide(out: usize, rows: i32, width: i32, weights: usize, x: usize): void {
  const stride = usize(width) * 4;
  const end = x + 16 * stride;
  const columns = stride & ~63;
  for (; rows >= 4; rows -= 4) {
    for (let d: usize = 0; d < columns; d += 64) addFour(out + d, stride, weights, PAGE_STRIDE, 4, x + d, end + d);
    for (let d = columns; d < stride; d += 16) addRest(out + d, stride, weights, PAGE_STRIDE, 4, x + d, end + d);
    out += 4 * stride;
    weights += 4 * PAGE_STRIDE;
  }
  if (rows > 0) addToRows(out, rows, width, weights, x);
}

export function addToKeysWide(out: usize, rows: i32, width: i32, weights: usize, x: usize): void {
  const stride = usize(width) * 4;
  const end = x + usize(rows) * stride;
  const columns = stride & ~63;
  for (const last = weights + 64; weights < last; weights += 16) {
    for (let d: usize = 0; d < columns; d += 64) addFour(out + d, stride, weights, 4, PAGE_STRIDE, x + d, end + d);
    for (let d = columns; d < stride; d += 16) addRest(out + d, stride, weights, 4, PAGE_STRIDE, x + d, end + d);
    out += 4 * stride;
  }
}

/** Four dims of four rows: what is left of widths that are not multiples of 16. */
// @ts-ignore: decorator
@inline
function addRest(out: usize, stride: usize, weights: usize, apart: usize, step: usize, x: usize, end: usize): void {
  for (let i: usize = 0; i < 4; i++) addQuad(out + i * stride, weights + i * apart, step, stride, x, end);
}

/** Four rows of `out`, 16 dims; their weights lie `apart`, the next ones `step` bytes further. */
// @ts-ignore: decorator
@inline
function addFour(out: usize, stride: usize, weights: usize, apart: usize, step: usize, x: usize, end: usize): void {
  const second = out + stride;
  const third = second + stride;
  const fourth = third + stride;
  let a0 = v128.load(out), a1 = v128.load(out, 16), a2 = v128.load(out, 32), a3 = v128.load(out, 48);
  let b0 = v128.load(second), b1 = v128.load(second, 16), b2 = v128.load(second, 32), b3 = v128.load(second, 48);
  let c0 = v128.load(third), c1 = v128.load(third, 16), c2 = v128.load(third, 32), c3 = v128.load(third, 48);
  let d0 = v128.load(fourth), d1 = v128.load(fourth, 16), d2 = v128.load(fourth, 32), d3 = v128.load(fourth, 48);
  for (; x < end; x += stride) {
    const v0 = v128.load(x);
    const v1 = v128.load(x, 16);
    const v2 = v128.load(x, 32);
    const v3 = v128.load(x, 48);
    const p = v128.load32_splat(weights);
    a0 = madd(p, v0, a0);
    a1 = madd(p, v1, a1);
    a2 = madd(p, v2, a2);
    a3 = madd(p, v3, a3);
    const q = v128.load32_splat(weights + apart);
    b0 = madd(q, v0, b0);
    b1 = madd(q, v1, b1);
    b2 = madd(q, v2, b2);
    b3 = madd(q, v3, b3);
    const r = v128.load32_splat(weights + 2 * apart);
    c0 = madd(r, v0, c0);
    c1 = madd(r, v1, c1);
    c2 = madd(r, v2, c2);
    c3 = madd(r, v3, c3);
    const s = v128.load32_splat(weights + 3 * apart);
    d0 = madd(s, v0, d0);
    d1 = madd(s, v1, d1);
    d2 = madd(s, v2, d2);
    d3 = madd(s, v3, d3);
    weights += step;
  }
  store4(out, a0, a1, a2, a3);
  store4(second, b0, b1, b2, b3);
  store4(third, c0, c1, c2, c3);
  store4(fourth, d0, d1, d2, d3);
}
