// The products of attention's derivatives, in register tiles of two rows x 16 lanes as in attention-tile.ts. What is
// between them, weights and their derivatives of a tile's rows for one page of keys, is f32 [rows][16].
import { store4 } from "../attention/attention-tile";
import { madd } from "../vector/simd";

/** Bytes of a row of weights. */
// @ts-ignore: decorator
@inline
export const PAGE_STRIDE: usize = 64;

/** scores[row][0..16) = x[row] . columns; x is [rows][width], columns [width][16]. */
export function scoreRows(x: usize, rows: i32, width: i32, columns: usize, scores: usize): void {
  const stride = usize(width) * 4;
  for (; rows >= 2; rows -= 2) {
    score2(x, stride, columns, scores);
    x += 2 * stride;
    scores += 2 * PAGE_STRIDE;
  }
  if (rows == 1) score1(x, stride, columns, scores);
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
  store4(scores + PAGE_STRIDE, b0, b1, b2, b3);
}

function score1(q: usize, stride: usize, keys: usize, scores: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  for (const end = q + stride; q < end; q += 4) {
    const x = v128.load32_splat(q);
    a0 = madd(x, v128.load(keys), a0);
    a1 = madd(x, v128.load(keys, 16), a1);
    a2 = madd(x, v128.load(keys, 32), a2);
    a3 = madd(x, v128.load(keys, 48), a3);
    keys += 64;
  }
  store4(scores, a0, a1, a2, a3);
}

/** out[row] += sum over keys of weights[row][key] * x[key]; out is [rows][width], x [16][width]. */
export function addToRows(out: usize, rows: i32, width: i32, weights: usize, x: usize): void {
  const stride = usize(width) * 4;
  const end = x + 16 * stride;
  const columns = stride & ~63;
  for (; rows > 0; rows -= 2) {
    if (rows >= 2) {
      for (let d: usize = 0; d < columns; d += 64) addTwo(out + d, stride, weights, PAGE_STRIDE, 4, x + d, end + d);
    } else for (let d: usize = 0; d < columns; d += 64) addOne(out + d, weights, 4, stride, x + d, end + d);
    for (let i: usize = 0; i < usize(min(rows, 2)); i++) {
      const row = out + i * stride, own = weights + i * PAGE_STRIDE;
      for (let d = columns; d < stride; d += 16) addQuad(row + d, own, 4, stride, x + d, end + d);
    }
    out += 2 * stride;
    weights += 2 * PAGE_STRIDE;
  }
}

/** out[key] += sum over rows of weights[row][key] * x[row]; out is [16][width], x [rows][width]. */
export function addToKeys(out: usize, rows: i32, width: i32, weights: usize, x: usize): void {
  const stride = usize(width) * 4;
  const end = x + usize(rows) * stride;
  const columns = stride & ~63;
  for (const last = weights + 64; weights < last; weights += 8) {
    for (let d: usize = 0; d < columns; d += 64) addTwo(out + d, stride, weights, 4, PAGE_STRIDE, x + d, end + d);
    for (let d = columns; d < stride; d += 16) {
      addQuad(out + d, weights, PAGE_STRIDE, stride, x + d, end + d);
      addQuad(out + stride + d, weights + 4, PAGE_STRIDE, stride, x + d, end + d);
    }
    out += 2 * stride;
  }
}

/** Two rows of `out`, 16 dims; the second one's weights lie `apart`, the next ones `step` bytes further. */
// @ts-ignore: decorator
@inline
function addTwo(out: usize, stride: usize, weights: usize, apart: usize, step: usize, x: usize, end: usize): void {
  const second = out + stride;
  let a0 = v128.load(out), a1 = v128.load(out, 16), a2 = v128.load(out, 32), a3 = v128.load(out, 48);
  let b0 = v128.load(second), b1 = v128.load(second, 16), b2 = v128.load(second, 32), b3 = v128.load(second, 48);
  for (; x < end; x += stride) {
    const p = v128.load32_splat(weights);
    const q = v128.load32_splat(weights + apart);
    let v = v128.load(x);
    a0 = madd(p, v, a0);
    b0 = madd(q, v, b0);
    v = v128.load(x, 16);
    a1 = madd(p, v, a1);
    b1 = madd(q, v, b1);
    v = v128.load(x, 32);
    a2 = madd(p, v, a2);
    b2 = madd(q, v, b2);
    v = v128.load(x, 48);
    a3 = madd(p, v, a3);
    b3 = madd(q, v, b3);
    weights += step;
  }
  store4(out, a0, a1, a2, a3);
  store4(second, b0, b1, b2, b3);
}

// @ts-ignore: decorator
@inline
function addOne(out: usize, weights: usize, step: usize, stride: usize, x: usize, end: usize): void {
  let a0 = v128.load(out), a1 = v128.load(out, 16), a2 = v128.load(out, 32), a3 = v128.load(out, 48);
  for (; x < end; x += stride) {
    const p = v128.load32_splat(weights);
    a0 = madd(p, v128.load(x), a0);
    a1 = madd(p, v128.load(x, 16), a1);
    a2 = madd(p, v128.load(x, 32), a2);
    a3 = madd(p, v128.load(x, 48), a3);
    weights += step;
  }
  store4(out, a0, a1, a2, a3);
}

/** One row of `out`, four dims: what is left of widths that are not multiples of 16. */
// @ts-ignore: decorator
@inline
export function addQuad(out: usize, weights: usize, step: usize, stride: usize, x: usize, end: usize): void {
  let sum = v128.load(out);
  for (; x < end; x += stride) {
    sum = madd(v128.load32_splat(weights), v128.load(x), sum);
    weights += step;
  }
  v128.store(out, sum);
}
