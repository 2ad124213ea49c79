// The loops of linear-eights for eight rows: weights by eights (eights.ts) times one row of activations in planes (planes.ts).
// Written once for both builds: for the kernels, and for the wide module (planes-wide.ts), in which an engine that can joins the
// neighbouring pairs of operations into 256-bit ones. Constants are splats that are none to the compilers (`opaque` is 0): V8
// makes a constant vector anew in every turn, and joins no variable of a module.
//
// Integer sums are exact; of each plane they have 16 bits, or if `words`, 32, for engines where that product is one instruction.
// Floats are added in one order. So all forms give the same bits. `words` and `upper` are constants to the compiler.
//
// Arguments: w, the weights, and `scales`, their records (eights-record.ts); x, planes, and `records`, their scales and sums;
// `sums`, f32 [8], to which the products are added.

import { HALF_FACTOR, HALF_MASK } from "./linear-simd";
import { madd } from "../vector/simd";
import { FACTORS, MINIMA, RECORD_BYTES } from "../quantise/eights-record";
import { PLANES_RECORD } from "../quantise/planes";
import { dot, high, joined, joinedPlain, low, scaledInto, start, widened, withUpper } from "./planes-steps";

/** `blocks` blocks of 32 columns of Q4_0. */
// @ts-ignore: decorator
@inline
export function eightQ4_0(words: bool, w: usize, blocks: i32, x: usize, records: usize, sums: usize): void {
  const opaque = blocks >> 31;
  const nibble = i16x8.splat(<i16>(0x0f0f | opaque));
  const one = i16x8.splat(<i16>(1 | opaque));
  const unit = i16x8.splat(<i16>(128 | opaque));
  const mask = i32x4.splat(HALF_MASK | opaque);
  const factor = f32x4.splat(reinterpret<f32>(reinterpret<i32>(HALF_FACTOR) | opaque));
  const zero = i32x4.splat(0);
  let a = v128.load(sums), b = v128.load(sums, 16);
  for (const stop = records + <usize>blocks * PLANES_RECORD; records < stop; records += PLANES_RECORD) {
    let coarseA = zero, coarseB = zero, fineA = zero, fineB = zero;
    let at = w + 16;
    for (const next = x + 32; x < next; x += 8) {
      const wa = v128.load(at), wb = v128.load(at, 16);
      const la = low(wa, nibble), lb = low(wb, nibble), ha = high(wa, nibble), hb = high(wb, nibble);
      let v = v128.load32_splat(x);
      coarseA = dot(words, coarseA, v, la), coarseB = dot(words, coarseB, v, lb);
      v = v128.load32_splat(x, 32);
      fineA = dot(words, fineA, v, la), fineB = dot(words, fineB, v, lb);
      v = v128.load32_splat(x, 4);
      coarseA = dot(words, coarseA, v, ha), coarseB = dot(words, coarseB, v, hb);
      v = v128.load32_splat(x, 36);
      fineA = dot(words, fineA, v, ha), fineB = dot(words, fineB, v, hb);
      at += 32;
    }
    const less = v128.load32_splat(records, 4);
    const scale = v128.load32_splat(records);
    const ab = v128.load(w);
    const ia = f32x4.convert_i32x4_s(i32x4.add(joinedPlain(words, coarseA, fineA, one, unit), less));
    const ib = f32x4.convert_i32x4_s(i32x4.add(joinedPlain(words, coarseB, fineB, one, unit), less));
    a = madd(f32x4.mul(ia, scale), widened(i32x4.extend_low_i16x8_s(ab), mask, factor), a);
    b = madd(f32x4.mul(ib, scale), widened(i32x4.extend_high_i16x8_s(ab), mask, factor), b);
    w += 144;
    x += 32;
  }
  v128.store(sums, a), v128.store(sums, b, 16);
}

/**
 * `supers` super-blocks of 256 columns of the k-quants. `upper` is how many bits a weight has above its nibble: none (Q4_K), one
 * (Q5_K; those of 32 columns follow their nibbles), two (Q6_K; of each half).
 *
 * Sums of 16 bits hold 32 columns of nibbles, and 16 of more bits: of Q5_K as they are (2 x 4 x 127 x 31 = 31,496), of Q6_K
 * less 32 times the sums of the activations (2 x 4 x 127 x 32 = 32,512), which they start from.
 */
// @ts-ignore: decorator
@inline
export function eightSupers(
  upper: i32, words: bool, w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize,
): void {
  const opaque = supers >> 31;
  const nibble = i16x8.splat(<i16>(0x0f0f | opaque));
  const mask = i16x8.splat(<i16>((upper == 1 ? 0x1010 : 0x3030) | opaque));
  const one = i16x8.splat(<i16>(1 | opaque));
  const zero = i32x4.splat(0);
  const columns: usize = upper == 0 ? 32 : 16;
  let a = v128.load(sums), b = v128.load(sums, 16);
  for (const last = scales + <usize>supers * RECORD_BYTES; scales < last; scales += RECORD_BYTES) {
    let productsA = zero, productsB = zero, offsetsA = zero, offsetsB = zero;
    let at = scales;
    w += upper == 2 ? 144 : 128;
    for (const stop = records + 8 * PLANES_RECORD; records < stop; records += PLANES_RECORD) {
      let ia = zero, ib = zero;
      let bits = w + 128;
      let starts = records + 16;
      let pa = upper == 1 ? v128.load(bits) : zero, pb = upper == 1 ? v128.load(bits, 16) : zero;
      for (const end = x + 32; x < end; ) {
        let coarseA = zero, coarseB = zero, fineA = zero, fineB = zero;
        if (upper == 2) {
          const coarse = v128.load32_splat(starts), fine = v128.load32_splat(starts, 4);
          coarseA = start(words, coarse, one), coarseB = start(words, coarse, one);
          fineA = start(words, fine, one), fineB = start(words, fine, one);
          pa = v128.load(bits), pb = v128.load(bits, 16);
          starts += 8;
          bits += 32;
        }
        for (const next = x + columns; x < next; x += 8) {
          const wa = v128.load(w), wb = v128.load(w, 16);
          const la = withUpper(upper, low(wa, nibble), pa, 0, mask), lb = withUpper(upper, low(wb, nibble), pb, 0, mask);
          const ha = withUpper(upper, high(wa, nibble), pa, 1, mask), hb = withUpper(upper, high(wb, nibble), pb, 1, mask);
          let v = v128.load32_splat(x);
          coarseA = dot(words, coarseA, v, la), coarseB = dot(words, coarseB, v, lb);
          v = v128.load32_splat(x, 32);
          fineA = dot(words, fineA, v, la), fineB = dot(words, fineB, v, lb);
          v = v128.load32_splat(x, 4);
          coarseA = dot(words, coarseA, v, ha), coarseB = dot(words, coarseB, v, hb);
          v = v128.load32_splat(x, 36);
          fineA = dot(words, fineA, v, ha), fineB = dot(words, fineB, v, hb);
          if (upper > 0) pa = i16x8.shr_u(pa, 2 * upper), pb = i16x8.shr_u(pb, 2 * upper);
          w += 32;
        }
        ia = i32x4.add(ia, joined(words, coarseA, fineA, v128.load(at)));
        ib = i32x4.add(ib, joined(words, coarseB, fineB, v128.load(at, 16)));
        if (upper == 2) at += 32;
      }
      const scale = v128.load32_splat(records);
      productsA = scaledInto(productsA, ia, scale), productsB = scaledInto(productsB, ib, scale);
      if (upper < 2) {
        const sum = v128.load32_splat(records, 8);
        offsetsA = madd(v128.load(at, MINIMA), sum, offsetsA);
        offsetsB = madd(v128.load(at, MINIMA + 16), sum, offsetsB);
        at += 32;
      }
      w += upper << 5;
      x += 32;
    }
    a = madd(productsA, v128.load(scales, FACTORS), a), b = madd(productsB, v128.load(scales, FACTORS + 16), b);
    if (upper < 2) {
      a = madd(offsetsA, v128.load(scales, FACTORS + 32), a), b = madd(offsetsB, v128.load(scales, FACTORS + 48), b);
    }
  }
  v128.store(sums, a), v128.store(sums, b, 16);
}
