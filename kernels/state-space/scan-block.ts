// The inner loops of the scan: 16 numbers of one channel's state through all rows, in registers, or one number where their
// count is no multiple of 16. "Decaying": every number has an exponential of its own in every row, which is most of the work;
// "scaled": the decay of a row is known.
//
// Arguments, all addresses: a, b, c of these numbers in the first row (`stride` bytes to the next), the state before and after,
// the first row's step (d, or the decay) and input (d x), 64 bytes to the next, and the row's four sums, 16 bytes to the next.
import { exp4 } from "../vector/exponential";
import { madd } from "../vector/simd";

/** 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits. */
const ROUND: f32 = 12582912;
const LOG2E: f32 = 1.4426950408889634;

// 2^r = 1 + r (C1 + r (C2 + ...)) for |r| <= 1/2, as in attention-softmax.ts: 9.1e-8, and exact towards r = 0, where states
// remember longest.
const C1: f32 = 0.6931470036506653;
const C2: f32 = 0.24022242426872253;
const C3: f32 = 0.05550733581185341;
const C4: f32 = 0.009671512991189957;
const C5: f32 = 0.001326472731307149;

/** Constants of the exponential, read from memory: V8 would make them anew in every turn of a loop. */
export function prepareExponential(work: usize): void {
  v128.store(work, f32x4.splat(ROUND));
  v128.store(work, f32x4.splat(ROUND - 126), 16);
  v128.store(work, f32x4.splat(1), 32);
  v128.store(work, f32x4.splat(C1), 48);
  v128.store(work, f32x4.splat(C2), 64);
  v128.store(work, f32x4.splat(C3), 80);
  v128.store(work, f32x4.splat(C4), 96);
  v128.store(work, f32x4.splat(C5), 112);
}

/** `work` is the memory of prepareExponential. */
export function decayingBlock(
  a: usize, b: usize, c: usize, stride: usize, from: usize, to: usize, rows: i32, steps: usize, inputs: usize, sums: usize,
  work: usize,
): void {
  const log2e = f32x4.splat(LOG2E);
  const a0 = f32x4.mul(v128.load(a), log2e), a1 = f32x4.mul(v128.load(a, 16), log2e);
  const a2 = f32x4.mul(v128.load(a, 32), log2e), a3 = f32x4.mul(v128.load(a, 48), log2e);
  let h0 = v128.load(from), h1 = v128.load(from, 16), h2 = v128.load(from, 32), h3 = v128.load(from, 48);
  const round = v128.load(work), limit = v128.load(work, 16), one = v128.load(work, 32);
  const c1 = v128.load(work, 48), c2 = v128.load(work, 64), c3 = v128.load(work, 80);
  const c4 = v128.load(work, 96), c5 = v128.load(work, 112);
  for (const end = sums + usize(rows) * 16; sums < end; sums += 16) {
    const d = v128.load32_splat(steps);
    const u = v128.load32_splat(inputs);
    let y = v128.load(sums);
    h0 = madd(h0, power(f32x4.mul(d, a0), round, limit, one, c1, c2, c3, c4, c5), f32x4.mul(u, v128.load(b)));
    y = madd(h0, v128.load(c), y);
    h1 = madd(h1, power(f32x4.mul(d, a1), round, limit, one, c1, c2, c3, c4, c5), f32x4.mul(u, v128.load(b, 16)));
    y = madd(h1, v128.load(c, 16), y);
    h2 = madd(h2, power(f32x4.mul(d, a2), round, limit, one, c1, c2, c3, c4, c5), f32x4.mul(u, v128.load(b, 32)));
    y = madd(h2, v128.load(c, 32), y);
    h3 = madd(h3, power(f32x4.mul(d, a3), round, limit, one, c1, c2, c3, c4, c5), f32x4.mul(u, v128.load(b, 48)));
    y = madd(h3, v128.load(c, 48), y);
    v128.store(sums, y);
    steps += 64;
    inputs += 64;
    b += stride;
    c += stride;
  }
  v128.store(to, h0);
  v128.store(to, h1, 16);
  v128.store(to, h2, 32);
  v128.store(to, h3, 48);
}

/** 2^x for x below 127; zero below -126; NaN for NaN. */
// @ts-ignore: decorator
@inline
function power(
  x: v128, round: v128, limit: v128, one: v128, c1: v128, c2: v128, c3: v128, c4: v128, c5: v128,
): v128 {
  const n = f32x4.add(x, round);
  const r = f32x4.sub(x, f32x4.sub(n, round));
  const p = madd(madd(madd(madd(madd(c5, r, c4), r, c3), r, c2), r, c1), r, one);
  return v128.andnot(i32x4.add(p, i32x4.shl(n, 23)), f32x4.le(n, limit));
}

/** One number of the state; the other lanes are zero. */
export function decayingLane(
  a: usize, b: usize, c: usize, stride: usize, from: usize, to: usize, rows: i32, steps: usize, inputs: usize, sums: usize,
): void {
  const decay = v128.load32_zero(a);
  let h = v128.load32_zero(from);
  for (const end = sums + usize(rows) * 16; sums < end; sums += 16) {
    const input = f32x4.mul(v128.load32_splat(inputs), v128.load32_zero(b));
    h = madd(h, exp4(f32x4.mul(v128.load32_splat(steps), decay)), input);
    v128.store(sums, madd(h, v128.load32_zero(c), v128.load(sums)));
    steps += 64;
    inputs += 64;
    b += stride;
    c += stride;
  }
  v128.store32_lane(to, h, 0);
}

export function scaledBlock(
  b: usize, c: usize, stride: usize, from: usize, to: usize, rows: i32, steps: usize, inputs: usize, sums: usize,
): void {
  let h0 = v128.load(from), h1 = v128.load(from, 16), h2 = v128.load(from, 32), h3 = v128.load(from, 48);
  for (const end = sums + usize(rows) * 16; sums < end; sums += 16) {
    const decay = v128.load32_splat(steps);
    const u = v128.load32_splat(inputs);
    let y = v128.load(sums);
    h0 = madd(h0, decay, f32x4.mul(u, v128.load(b)));
    y = madd(h0, v128.load(c), y);
    h1 = madd(h1, decay, f32x4.mul(u, v128.load(b, 16)));
    y = madd(h1, v128.load(c, 16), y);
    h2 = madd(h2, decay, f32x4.mul(u, v128.load(b, 32)));
    y = madd(h2, v128.load(c, 32), y);
    h3 = madd(h3, decay, f32x4.mul(u, v128.load(b, 48)));
    y = madd(h3, v128.load(c, 48), y);
    v128.store(sums, y);
    steps += 64;
    inputs += 64;
    b += stride;
    c += stride;
  }
  v128.store(to, h0);
  v128.store(to, h1, 16);
  v128.store(to, h2, 32);
  v128.store(to, h3, 48);
}

export function scaledLane(
  b: usize, c: usize, stride: usize, from: usize, to: usize, rows: i32, steps: usize, inputs: usize, sums: usize,
): void {
  let h = v128.load32_zero(from);
  for (const end = sums + usize(rows) * 16; sums < end; sums += 16) {
    h = madd(h, v128.load32_splat(steps), f32x4.mul(v128.load32_splat(inputs), v128.load32_zero(b)));
    v128.store(sums, madd(h, v128.load32_zero(c), v128.load(sums)));
    steps += 64;
    inputs += 64;
    b += stride;
    c += stride;
  }
  v128.store32_lane(to, h, 0);
}
