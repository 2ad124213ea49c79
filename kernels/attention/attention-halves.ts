// The two products of attention for pages of half floats that few rows read, in 8 sums: the halves are widened between the
// load and the multiply-add. Widening a page into memory first, as for many rows, costs more there than the products do.
//
// Even and odd halves are widened apart (kv/f16.ts), so no lane changes its place, and 16 halves cost four operations beside
// their multiply-adds; sums are of even and of odd lanes, [even, even, odd, odd] for 16, and brought into order when all is
// summed. attention-halves-wide.ts has the forms with 16 sums, which only engines with 256 bits hold in registers.
import { store4 } from "./attention-tile";
import { evenFactor, evenOf, HALF_MASK, halfMask, oddOf } from "../kv/f16";
import { madd } from "../vector/simd";

/** scores[0..16) = q . keys, [even, even, odd, odd]; keys u16 [D][16]. Two dims at once, for the latency of the sums. */
export function scoreHalves1(q: usize, stride: usize, keys: usize, scores: usize): void {
  const mask = halfMask(stride), factor = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (const end = q + stride; q < end; q += 8) {
    const x = v128.load32_splat(q);
    const k0 = v128.load(keys), k1 = v128.load(keys, 16);
    a0 = madd(x, evenOf(k0, factor, mask), a0);
    a1 = madd(x, evenOf(k1, factor, mask), a1);
    a2 = madd(x, oddOf(k0, mask), a2);
    a3 = madd(x, oddOf(k1, mask), a3);
    const y = v128.load32_splat(q, 4);
    const l0 = v128.load(keys, 32), l1 = v128.load(keys, 48);
    b0 = madd(y, evenOf(l0, factor, mask), b0);
    b1 = madd(y, evenOf(l1, factor, mask), b1);
    b2 = madd(y, oddOf(l0, mask), b2);
    b3 = madd(y, oddOf(l1, mask), b3);
    keys += 64;
  }
  store4(scores, f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3));
}

/** Sixteen numbers [even, even, odd, odd] brought into order. */
export function orderLanes(at: usize): void {
  const e0 = v128.load(at), e1 = v128.load(at, 16);
  const o0 = v128.load(at, 32), o1 = v128.load(at, 48);
  v128.store(at, v128.shuffle<i32>(e0, o0, 0, 4, 1, 5));
  v128.store(at, v128.shuffle<i32>(e0, o0, 2, 6, 3, 7), 16);
  v128.store(at, v128.shuffle<i32>(e1, o1, 0, 4, 1, 5), 32);
  v128.store(at, v128.shuffle<i32>(e1, o1, 2, 6, 3, 7), 48);
}

/** sums = sums * factor + lanes, for `bytes` / 4 dims (a multiple of 16), whose lanes are [even, even, odd, odd]. */
export function addLanes(sums: usize, factor: usize, lanes: usize, bytes: usize): void {
  const f = v128.load32_splat(factor);
  for (const end = lanes + bytes; lanes < end; lanes += 64) {
    const e0 = v128.load(lanes), e1 = v128.load(lanes, 16);
    const o0 = v128.load(lanes, 32), o1 = v128.load(lanes, 48);
    v128.store(sums, madd(v128.load(sums), f, v128.shuffle<i32>(e0, o0, 0, 4, 1, 5)));
    v128.store(sums, madd(v128.load(sums, 16), f, v128.shuffle<i32>(e0, o0, 2, 6, 3, 7)), 16);
    v128.store(sums, madd(v128.load(sums, 32), f, v128.shuffle<i32>(e1, o1, 0, 4, 1, 5)), 32);
    v128.store(sums, madd(v128.load(sums, 48), f, v128.shuffle<i32>(e1, o1, 2, 6, 3, 7)), 48);
    sums += 64;
  }
}

/**
 * What the slots [low, high) of a block add to 32 dims of one row, as lanes [even, even, odd, odd] x 2. `offset`: from a
 * page's member to the dims of its first value, `stride`: bytes from value to value.
 */
export function addHalves1(
  lanes: usize, weights: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    let values = load<usize>(members) + offset + usize(first) * stride;
    let w = weights + usize(start + first) * 4;
    for (const end = weights + usize(min(start + 16, high)) * 4; w < end; w += 4) {
      const x = v128.load32_splat(w);
      const u0 = v128.load(values), u1 = v128.load(values, 16);
      a0 = madd(x, evenOf(u0, even, mask), a0);
      a1 = madd(x, evenOf(u1, even, mask), a1);
      a2 = madd(x, oddOf(u0, mask), a2);
      a3 = madd(x, oddOf(u1, mask), a3);
      const v0 = v128.load(values, 32), v1 = v128.load(values, 48);
      b0 = madd(x, evenOf(v0, even, mask), b0);
      b1 = madd(x, evenOf(v1, even, mask), b1);
      b2 = madd(x, oddOf(v0, mask), b2);
      b3 = madd(x, oddOf(v1, mask), b3);
      values += stride;
    }
    members += 4;
  }
  store4(lanes, a0, a1, a2, a3);
  store4(lanes + 64, b0, b1, b2, b3);
}

/** The same for 16 dims of two rows, whose lanes follow each other; or of one, if `apart`, from row to row of the weights, is 0. */
export function addHalves2(
  lanes: usize, weights: usize, apart: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  const mask = halfMask(stride), even = evenFactor(stride);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    let values = load<usize>(members) + offset + usize(first) * stride;
    let w = weights + usize(start + first) * 4;
    for (const end = weights + usize(min(start + 16, high)) * 4; w < end; w += 4) {
      const x = v128.load32_splat(w), y = v128.load32_splat(w + apart);
      const v0 = v128.load(values), v1 = v128.load(values, 16);
      const e0 = evenOf(v0, even, mask), e1 = evenOf(v1, even, mask);
      a0 = madd(x, e0, a0);
      a1 = madd(x, e1, a1);
      b0 = madd(y, e0, b0);
      b1 = madd(y, e1, b1);
      const o0 = oddOf(v0, mask), o1 = oddOf(v1, mask);
      a2 = madd(x, o0, a2);
      a3 = madd(x, o1, a3);
      b2 = madd(y, o0, b2);
      b3 = madd(y, o1, b3);
      values += stride;
    }
    members += 4;
  }
  store4(lanes, a0, a1, a2, a3);
  store4(lanes + 64, b0, b1, b2, b3);
}

/** One row, four dims: what is left of widths that are not multiples of 16. Adds to the sums themselves, times `factor`. */
export function addHalvesQuad(
  sums: usize, weights: usize, factor: usize, members: usize, offset: usize, stride: usize, low: i32, high: i32,
): void {
  let a = f32x4.mul(v128.load(sums), v128.load32_splat(factor));
  for (let start = 0; start < high; start += 16) {
    const first = max(low - start, 0);
    let values = load<usize>(members) + offset + usize(first) * stride;
    let w = weights + usize(start + first) * 4;
    for (const end = weights + usize(min(start + 16, high)) * 4; w < end; w += 4) {
      const four = i32x4.extend_low_i16x8_s(v128.load64_zero(values));
      a = madd(v128.load32_splat(w), v128.and(i32x4.shl(four, 13), i32x4.splat(HALF_MASK)), a);
      values += stride;
    }
    members += 4;
  }
  v128.store(sums, a);
}
