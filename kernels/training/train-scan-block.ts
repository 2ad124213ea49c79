// The inner loops of the scan's derivative (train-scan.ts): 8 numbers of one channel's state through up to 64 rows, in
// registers. A row's record of these 8 numbers is b, c, the state before the row and its decay, 32 bytes each; its
// record of sums is that of b's and of c's gradient; its `totals` are two vectors, of G b and of a L S[t-1] G.
// "Scaled": a row has one decay, which is known.
import { exp4 } from "../vector/exponential";
import { madd } from "../vector/simd";

export const RECORD: usize = 128;
export const SUMS: usize = 64;
export const TOTALS: usize = 32;

// Numbers of a row, 256 bytes from one to the next, rows 4 bytes: d, d x, dy, x and the decay, where there is one.
export const STEP: usize = 0;
export const INPUT: usize = 256;
export const SLOPE: usize = 512;
export const X: usize = 768;
export const DECAY: usize = 1024;
export const NUMBERS: usize = 1280;

// Within a record.
const C: usize = 32;
const STATE: usize = 64;
const DECAYS: usize = 96;

/** A state through all rows, in place. */
// @ts-ignore: decorator
@inline
function advance(scaled: bool, a: usize, state: usize, record: usize, numbers: usize, rows: i32): void {
  const a0 = v128.load(a), a1 = v128.load(a, 16);
  let h0 = v128.load(state), h1 = v128.load(state, 16);
  for (const end = numbers + usize(rows) * 4; numbers < end; numbers += 4) {
    const u = v128.load32_splat(numbers, INPUT);
    const d = v128.load32_splat(numbers + (scaled ? DECAY : STEP));
    const e0 = scaled ? d : exp4(f32x4.mul(d, a0));
    const e1 = scaled ? d : exp4(f32x4.mul(d, a1));
    h0 = madd(h0, e0, f32x4.mul(u, v128.load(record)));
    h1 = madd(h1, e1, f32x4.mul(u, v128.load(record, 16)));
    record += RECORD;
  }
  v128.store(state, h0);
  v128.store(state, h1, 16);
}

export function advanceDecaying(a: usize, state: usize, record: usize, numbers: usize, rows: i32): void {
  advance(false, a, state, record, numbers, rows);
}

export function advanceScaled(a: usize, state: usize, record: usize, numbers: usize, rows: i32): void {
  advance(true, a, state, record, numbers, rows);
}

/** The same, keeping states and decays, with the part of c's gradient. */
// @ts-ignore: decorator
@inline
function recompute(scaled: bool, a: usize, state: usize, record: usize, sums: usize, numbers: usize, rows: i32): void {
  const a0 = v128.load(a), a1 = v128.load(a, 16);
  let h0 = v128.load(state), h1 = v128.load(state, 16);
  for (const end = numbers + usize(rows) * 4; numbers < end; numbers += 4) {
    const u = v128.load32_splat(numbers, INPUT);
    const dy = v128.load32_splat(numbers, SLOPE);
    const d = v128.load32_splat(numbers + (scaled ? DECAY : STEP));
    const e0 = scaled ? d : exp4(f32x4.mul(d, a0));
    const e1 = scaled ? d : exp4(f32x4.mul(d, a1));
    v128.store(record, h0, STATE);
    v128.store(record, h1, STATE + 16);
    if (!scaled) {
      v128.store(record, e0, DECAYS);
      v128.store(record, e1, DECAYS + 16);
    }
    h0 = madd(h0, e0, f32x4.mul(u, v128.load(record)));
    h1 = madd(h1, e1, f32x4.mul(u, v128.load(record, 16)));
    v128.store(sums, madd(h0, dy, v128.load(sums, 32)), 32);
    v128.store(sums, madd(h1, dy, v128.load(sums, 48)), 48);
    record += RECORD;
    sums += SUMS;
  }
}

export function recomputeDecaying(
  a: usize, state: usize, record: usize, sums: usize, numbers: usize, rows: i32,
): void {
  recompute(false, a, state, record, sums, numbers, rows);
}

export function recomputeScaled(a: usize, state: usize, record: usize, sums: usize, numbers: usize, rows: i32): void {
  recompute(true, a, state, record, sums, numbers, rows);
}

/** From the last row to the first. `carry`: L G of the row behind; `ofA` receives the sums of d L S[t-1] G. */
// @ts-ignore: decorator
@inline
function backward(
  scaled: bool, a: usize, carry: usize, ofA: usize, record: usize, sums: usize, totals: usize, numbers: usize, rows: i32,
): void {
  const a0 = v128.load(a), a1 = v128.load(a, 16);
  let g0 = v128.load(carry), g1 = v128.load(carry, 16);
  let of0 = f32x4.splat(0), of1 = f32x4.splat(0);
  record += usize(rows) * RECORD;
  sums += usize(rows) * SUMS;
  totals += usize(rows) * TOTALS;
  for (let i = usize(rows) * 4; i > 0; ) {
    i -= 4;
    record -= RECORD;
    sums -= SUMS;
    totals -= TOTALS;
    const dy = v128.load32_splat(numbers + i, SLOPE);
    const u = v128.load32_splat(numbers + i, INPUT);
    g0 = madd(dy, v128.load(record, C), g0);
    g1 = madd(dy, v128.load(record, C + 16), g1);
    v128.store(sums, madd(g0, u, v128.load(sums)));
    v128.store(sums, madd(g1, u, v128.load(sums, 16)), 16);
    v128.store(totals, madd(g0, v128.load(record), madd(g1, v128.load(record, 16), v128.load(totals))));
    const e = v128.load32_splat(numbers + i, DECAY);
    g0 = f32x4.mul(g0, scaled ? e : v128.load(record, DECAYS));
    g1 = f32x4.mul(g1, scaled ? e : v128.load(record, DECAYS + 16));
    const q0 = f32x4.mul(g0, v128.load(record, STATE));
    const q1 = f32x4.mul(g1, v128.load(record, STATE + 16));
    v128.store(totals, madd(q0, a0, madd(q1, a1, v128.load(totals, 16))), 16);
    const d = v128.load32_splat(numbers + i, STEP);
    of0 = madd(q0, d, of0);
    of1 = madd(q1, d, of1);
  }
  v128.store(carry, g0);
  v128.store(carry, g1, 16);
  v128.store(ofA, of0);
  v128.store(ofA, of1, 16);
}

export function backwardDecaying(
  a: usize, carry: usize, ofA: usize, record: usize, sums: usize, totals: usize, numbers: usize, rows: i32,
): void {
  backward(false, a, carry, ofA, record, sums, totals, numbers, rows);
}

export function backwardScaled(
  a: usize, carry: usize, ofA: usize, record: usize, sums: usize, totals: usize, numbers: usize, rows: i32,
): void {
  backward(true, a, carry, ofA, record, sums, totals, numbers, rows);
}
