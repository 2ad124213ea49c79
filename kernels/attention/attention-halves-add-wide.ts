// The weighted values of attention-halves.ts in 16 sums, as the scores in attention-halves-wide.ts.
import { SCORE_STRIDE } from "./attention-tile";
import { evenFactor, evenOf, halfMask, oddOf } from "../kv/f16";
import { madd } from "../vector/simd";

/** As addHalves1 in attention-halves.ts, 64 dims. */
export function addOneRow(
  lanes: usize, weights: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    let values = load<usize>(members) + offset + usize(first) * stride;
    let w = weights + usize(start + first) * 4;
    for (const end = weights + usize(min(start + 16, high)) * 4; w < end; w += 4) {
      const x = v128.load32_splat(w);
      const s0 = v128.load(values), s1 = v128.load(values, 16);
      a0 = madd(x, evenOf(s0, even, mask), a0);
      a1 = madd(x, evenOf(s1, even, mask), a1);
      a2 = madd(x, oddOf(s0, mask), a2);
      a3 = madd(x, oddOf(s1, mask), a3);
      const t0 = v128.load(values, 32), t1 = v128.load(values, 48);
      b0 = madd(x, evenOf(t0, even, mask), b0);
      b1 = madd(x, evenOf(t1, even, mask), b1);
      b2 = madd(x, oddOf(t0, mask), b2);
      b3 = madd(x, oddOf(t1, mask), b3);
      const u0 = v128.load(values, 64), u1 = v128.load(values, 80);
      c0 = madd(x, evenOf(u0, even, mask), c0);
      c1 = madd(x, evenOf(u1, even, mask), c1);
      c2 = madd(x, oddOf(u0, mask), c2);
      c3 = madd(x, oddOf(u1, mask), c3);
      const v0 = v128.load(values, 96), v1 = v128.load(values, 112);
      d0 = madd(x, evenOf(v0, even, mask), d0);
      d1 = madd(x, evenOf(v1, even, mask), d1);
      d2 = madd(x, oddOf(v0, mask), d2);
      d3 = madd(x, oddOf(v1, mask), d3);
      values += stride;
    }
    members += 4;
  }
  v128.store(lanes, a0);
  v128.store(lanes, a1, 16);
  v128.store(lanes, a2, 32);
  v128.store(lanes, a3, 48);
  v128.store(lanes, b0, 64);
  v128.store(lanes, b1, 80);
  v128.store(lanes, b2, 96);
  v128.store(lanes, b3, 112);
  v128.store(lanes, c0, 128);
  v128.store(lanes, c1, 144);
  v128.store(lanes, c2, 160);
  v128.store(lanes, c3, 176);
  v128.store(lanes, d0, 192);
  v128.store(lanes, d1, 208);
  v128.store(lanes, d2, 224);
  v128.store(lanes, d3, 240);
}

/** As addHalves2 in attention-halves.ts, 16 dims of four rows. */
export function addFourRows(
  lanes: usize, weights: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    let values = load<usize>(members) + offset + usize(first) * stride;
    let w = weights + usize(start + first) * 4;
    for (const end = weights + usize(min(start + 16, high)) * 4; w < end; w += 4) {
      const v0 = v128.load(values), v1 = v128.load(values, 16);
      const e0 = evenOf(v0, even, mask), e1 = evenOf(v1, even, mask);
      const o0 = oddOf(v0, mask), o1 = oddOf(v1, mask);
      const a = v128.load32_splat(w);
      a0 = madd(a, e0, a0);
      a1 = madd(a, e1, a1);
      a2 = madd(a, o0, a2);
      a3 = madd(a, o1, a3);
      const b = v128.load32_splat(w, SCORE_STRIDE);
      b0 = madd(b, e0, b0);
      b1 = madd(b, e1, b1);
      b2 = madd(b, o0, b2);
      b3 = madd(b, o1, b3);
      const c = v128.load32_splat(w, 2 * SCORE_STRIDE);
      c0 = madd(c, e0, c0);
      c1 = madd(c, e1, c1);
      c2 = madd(c, o0, c2);
      c3 = madd(c, o1, c3);
      const d = v128.load32_splat(w, 3 * SCORE_STRIDE);
      d0 = madd(d, e0, d0);
      d1 = madd(d, e1, d1);
      d2 = madd(d, o0, d2);
      d3 = madd(d, o1, d3);
      values += stride;
    }
    members += 4;
  }
  v128.store(lanes, a0);
  v128.store(lanes, a1, 16);
  v128.store(lanes, a2, 32);
  v128.store(lanes, a3, 48);
  v128.store(lanes, b0, 64);
  v128.store(lanes, b1, 80);
  v128.store(lanes, b2, 96);
  v128.store(lanes, b3, 112);
  v128.store(lanes, c0, 128);
  v128.store(lanes, c1, 144);
  v128.store(lanes, c2, 160);
  v128.store(lanes, c3, 176);
  v128.store(lanes, d0, 192);
  v128.store(lanes, d1, 208);
  v128.store(lanes, d2, 224);
  v128.store(lanes, d3, 240);
}

/** The same, 32 dims of two rows. */
export function addTwoRows(
  lanes: usize, weights: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let c0 = a0, c1 = a0, c2 = a0, c3 = a0;
  let d0 = a0, d1 = a0, d2 = a0, d3 = a0;
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    let values = load<usize>(members) + offset + usize(first) * stride;
    let w = weights + usize(start + first) * 4;
    for (const end = weights + usize(min(start + 16, high)) * 4; w < end; w += 4) {
      const x = v128.load32_splat(w), y = v128.load32_splat(w, SCORE_STRIDE);
      const u0 = v128.load(values), u1 = v128.load(values, 16);
      const e0 = evenOf(u0, even, mask), e1 = evenOf(u1, even, mask);
      const o0 = oddOf(u0, mask), o1 = oddOf(u1, mask);
      a0 = madd(x, e0, a0);
      a1 = madd(x, e1, a1);
      a2 = madd(x, o0, a2);
      a3 = madd(x, o1, a3);
      c0 = madd(y, e0, c0);
      c1 = madd(y, e1, c1);
      c2 = madd(y, o0, c2);
      c3 = madd(y, o1, c3);
      const v0 = v128.load(values, 32), v1 = v128.load(values, 48);
      const f0 = evenOf(v0, even, mask), f1 = evenOf(v1, even, mask);
      const p0 = oddOf(v0, mask), p1 = oddOf(v1, mask);
      b0 = madd(x, f0, b0);
      b1 = madd(x, f1, b1);
      b2 = madd(x, p0, b2);
      b3 = madd(x, p1, b3);
      d0 = madd(y, f0, d0);
      d1 = madd(y, f1, d1);
      d2 = madd(y, p0, d2);
      d3 = madd(y, p1, d3);
      values += stride;
    }
    members += 4;
  }
  v128.store(lanes, a0);
  v128.store(lanes, a1, 16);
  v128.store(lanes, a2, 32);
  v128.store(lanes, a3, 48);
  v128.store(lanes, b0, 64);
  v128.store(lanes, b1, 80);
  v128.store(lanes, b2, 96);
  v128.store(lanes, b3, 112);
  v128.store(lanes, c0, 128);
  v128.store(lanes, c1, 144);
  v128.store(lanes, c2, 160);
  v128.store(lanes, c3, 176);
  v128.store(lanes, d0, 192);
  v128.store(lanes, d1, 208);
  v128.store(lanes, d2, 224);
  v128.store(lanes, d3, 240);
}
