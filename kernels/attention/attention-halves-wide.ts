// The scores of attention-halves.ts in 16 sums, for engines that join each pair of operations into one of 256 bits and so
// hold them in eight registers: one row, two rows, four rows. Lanes are [even, even, odd, odd] as there. Functions
// of their own in the wide module, and stores to one address with offsets that are constants: else V8 joins nothing here.
import { SCORE_STRIDE } from "./attention-tile";
import { evenFactor, evenOf, halfMask, oddOf } from "../kv/f16";
import { madd } from "../vector/simd";

/** One row's scores of the keys of a page. `stride`: bytes of a row of queries. Four dims at once. */
export function scoreOneRow(q: usize, stride: usize, keys: usize, scores: usize): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  for (const end = q + stride; q < end; q += 16) {
    const x = v128.load32_splat(q);
    const k0 = v128.load(keys), k1 = v128.load(keys, 16);
    a0 = madd(x, evenOf(k0, even, mask), a0);
    a1 = madd(x, evenOf(k1, even, mask), a1);
    a2 = madd(x, oddOf(k0, mask), a2);
    a3 = madd(x, oddOf(k1, mask), a3);
    const y = v128.load32_splat(q, 4);
    const l0 = v128.load(keys, 32), l1 = v128.load(keys, 48);
    b0 = madd(y, evenOf(l0, even, mask), b0);
    b1 = madd(y, evenOf(l1, even, mask), b1);
    b2 = madd(y, oddOf(l0, mask), b2);
    b3 = madd(y, oddOf(l1, mask), b3);
    const z = v128.load32_splat(q, 8);
    const m0 = v128.load(keys, 64), m1 = v128.load(keys, 80);
    c0 = madd(z, evenOf(m0, even, mask), c0);
    c1 = madd(z, evenOf(m1, even, mask), c1);
    c2 = madd(z, oddOf(m0, mask), c2);
    c3 = madd(z, oddOf(m1, mask), c3);
    const w = v128.load32_splat(q, 12);
    const n0 = v128.load(keys, 96), n1 = v128.load(keys, 112);
    d0 = madd(w, evenOf(n0, even, mask), d0);
    d1 = madd(w, evenOf(n1, even, mask), d1);
    d2 = madd(w, oddOf(n0, mask), d2);
    d3 = madd(w, oddOf(n1, mask), d3);
    keys += 128;
  }
  v128.store(scores, f32x4.add(f32x4.add(a0, b0), f32x4.add(c0, d0)));
  v128.store(scores, f32x4.add(f32x4.add(a1, b1), f32x4.add(c1, d1)), 16);
  v128.store(scores, f32x4.add(f32x4.add(a2, b2), f32x4.add(c2, d2)), 32);
  v128.store(scores, f32x4.add(f32x4.add(a3, b3), f32x4.add(c3, d3)), 48);
}

/** Four rows' scores of the keys of a page. */
export function scoreFourRows(q: usize, stride: usize, keys: usize, scores: usize): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  let third = q + 2 * stride;
  for (const end = q + stride; q < end; q += 4) {
    const k0 = v128.load(keys), k1 = v128.load(keys, 16);
    const e0 = evenOf(k0, even, mask), e1 = evenOf(k1, even, mask);
    const o0 = oddOf(k0, mask), o1 = oddOf(k1, mask);
    const a = v128.load32_splat(q);
    a0 = madd(a, e0, a0);
    a1 = madd(a, e1, a1);
    a2 = madd(a, o0, a2);
    a3 = madd(a, o1, a3);
    const b = v128.load32_splat(q + stride);
    b0 = madd(b, e0, b0);
    b1 = madd(b, e1, b1);
    b2 = madd(b, o0, b2);
    b3 = madd(b, o1, b3);
    const c = v128.load32_splat(third);
    c0 = madd(c, e0, c0);
    c1 = madd(c, e1, c1);
    c2 = madd(c, o0, c2);
    c3 = madd(c, o1, c3);
    const d = v128.load32_splat(third + stride);
    d0 = madd(d, e0, d0);
    d1 = madd(d, e1, d1);
    d2 = madd(d, o0, d2);
    d3 = madd(d, o1, d3);
    keys += 32;
    third += 4;
  }
  v128.store(scores, a0);
  v128.store(scores, a1, 16);
  v128.store(scores, a2, 32);
  v128.store(scores, a3, 48);
  v128.store(scores, b0, SCORE_STRIDE);
  v128.store(scores, b1, SCORE_STRIDE + 16);
  v128.store(scores, b2, SCORE_STRIDE + 32);
  v128.store(scores, b3, SCORE_STRIDE + 48);
  v128.store(scores, c0, 2 * SCORE_STRIDE);
  v128.store(scores, c1, 2 * SCORE_STRIDE + 16);
  v128.store(scores, c2, 2 * SCORE_STRIDE + 32);
  v128.store(scores, c3, 2 * SCORE_STRIDE + 48);
  v128.store(scores, d0, 3 * SCORE_STRIDE);
  v128.store(scores, d1, 3 * SCORE_STRIDE + 16);
  v128.store(scores, d2, 3 * SCORE_STRIDE + 32);
  v128.store(scores, d3, 3 * SCORE_STRIDE + 48);
}

/** Two rows' scores of the keys of a page. Two dims at once. */
export function scoreTwoRows(q: usize, stride: usize, keys: usize, scores: usize): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  for (const end = q + stride; q < end; q += 8) {
    const k0 = v128.load(keys), k1 = v128.load(keys, 16);
    const e0 = evenOf(k0, even, mask), e1 = evenOf(k1, even, mask);
    const o0 = oddOf(k0, mask), o1 = oddOf(k1, mask);
    const a = v128.load32_splat(q);
    a0 = madd(a, e0, a0);
    a1 = madd(a, e1, a1);
    a2 = madd(a, o0, a2);
    a3 = madd(a, o1, a3);
    const b = v128.load32_splat(q + stride);
    b0 = madd(b, e0, b0);
    b1 = madd(b, e1, b1);
    b2 = madd(b, o0, b2);
    b3 = madd(b, o1, b3);
    const l0 = v128.load(keys, 32), l1 = v128.load(keys, 48);
    const f0 = evenOf(l0, even, mask), f1 = evenOf(l1, even, mask);
    const p0 = oddOf(l0, mask), p1 = oddOf(l1, mask);
    const c = v128.load32_splat(q, 4);
    c0 = madd(c, f0, c0);
    c1 = madd(c, f1, c1);
    c2 = madd(c, p0, c2);
    c3 = madd(c, p1, c3);
    const d = v128.load32_splat(q + stride, 4);
    d0 = madd(d, f0, d0);
    d1 = madd(d, f1, d1);
    d2 = madd(d, p0, d2);
    d3 = madd(d, p1, d3);
    keys += 64;
  }
  v128.store(scores, f32x4.add(a0, c0));
  v128.store(scores, f32x4.add(a1, c1), 16);
  v128.store(scores, f32x4.add(a2, c2), 32);
  v128.store(scores, f32x4.add(a3, c3), 48);
  v128.store(scores, f32x4.add(b0, d0), SCORE_STRIDE);
  v128.store(scores, f32x4.add(b1, d1), SCORE_STRIDE + 16);
  v128.store(scores, f32x4.add(b2, d2), SCORE_STRIDE + 32);
  v128.store(scores, f32x4.add(b3, d3), SCORE_STRIDE + 48);
}
