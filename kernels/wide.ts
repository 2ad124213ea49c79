// The inner loops of linear-bytes for engines that can join neighbouring 128-bit operations into 256-bit ones: 16 weight
// rows x 4 tokens, sixteen sums in eight registers. A module of its own, so that the host may compile these few functions,
// and no others, in that way (see compileWide in src/util/platform.ts). Operations come in neighbouring pairs throughout.
// Attention has its own (attention-wide.ts, and attend-tiles-wide.ts for training), and so have weights of floats (wide-floats.ts) and the products of training
// (wide-product.ts).
export { addToKeysWide, addToRowsWide, scoreBlockWide, scoreRowsWide } from "./attend-tiles-wide";
export { weighRows as weighWide } from "./attend-weights";
export { addWide, scoreWide, softmaxWide } from "./attention-wide";
export { floatsWide } from "./wide-floats";
export { productWide } from "./wide-product";

/** sums += integers * weight scales * activation scale, for the sixteen rows of one token. */
// @ts-ignore: decorator
@inline
function scale16(a: v128, b: v128, c: v128, d: v128, scales: usize, s: v128, sums: usize): void {
  a = f32x4.relaxed_madd(f32x4.convert_i32x4_s(a), f32x4.mul(v128.load(scales), s), v128.load(sums));
  b = f32x4.relaxed_madd(f32x4.convert_i32x4_s(b), f32x4.mul(v128.load(scales, 16), s), v128.load(sums, 16));
  c = f32x4.relaxed_madd(f32x4.convert_i32x4_s(c), f32x4.mul(v128.load(scales, 32), s), v128.load(sums, 32));
  d = f32x4.relaxed_madd(f32x4.convert_i32x4_s(d), f32x4.mul(v128.load(scales, 48), s), v128.load(sums, 48));
  v128.store(sums, a);
  v128.store(sums, b, 16);
  v128.store(sums, c, 32);
  v128.store(sums, d, 48);
}

/** Adds the products of four tokens. The scale of the activations changes every 2^shift blocks of `span` panel bytes. */
function products(
  panel: usize, scales: usize, blocks: i32, span: usize, shift: i32, x: usize, xScales: usize, less: usize, zero: i32,
  sums: usize,
): void {
  const z = i16x8.splat(<i16>zero);
  for (let block = 0; block < blocks; block++) {
    let a0 = i32x4.dot_i16x8_s(v128.load32_splat(less), z);
    let a1 = a0;
    let a2 = a0;
    let a3 = a0;
    let b0 = i32x4.dot_i16x8_s(v128.load32_splat(less, 4), z);
    let b1 = b0;
    let b2 = b0;
    let b3 = b0;
    let c0 = i32x4.dot_i16x8_s(v128.load32_splat(less, 8), z);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let d0 = i32x4.dot_i16x8_s(v128.load32_splat(less, 12), z);
    let d1 = d0;
    let d2 = d0;
    let d3 = d0;
    for (const end = panel + span; panel < end; panel += 64) {
      const w0 = v128.load(panel);
      const w1 = v128.load(panel, 16);
      const w2 = v128.load(panel, 32);
      const w3 = v128.load(panel, 48);
      let v = v128.load32_splat(x);
      a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w0, a0);
      a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w1, a1);
      a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w2, a2);
      a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w3, a3);
      v = v128.load32_splat(x, 4);
      b0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w0, b0);
      b1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w1, b1);
      b2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w2, b2);
      b3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w3, b3);
      v = v128.load32_splat(x, 8);
      c0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w0, c0);
      c1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w1, c1);
      c2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w2, c2);
      c3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w3, c3);
      v = v128.load32_splat(x, 12);
      d0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w0, d0);
      d1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w1, d1);
      d2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w2, d2);
      d3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(v, w3, d3);
      x += 32;
    }
    const s = xScales + (<usize>(block >> shift) << 5);
    scale16(a0, a1, a2, a3, scales, v128.load32_splat(s), sums);
    sums += 64;
    scale16(b0, b1, b2, b3, scales, v128.load32_splat(s, 4), sums);
    sums += 64;
    scale16(c0, c1, c2, c3, scales, v128.load32_splat(s, 8), sums);
    sums += 64;
    scale16(d0, d1, d2, d3, scales, v128.load32_splat(s, 12), sums);
    sums -= 192;
    scales += 64;
    less += 32;
  }
}

/** Adds offsets [count][16] times sums of activations [count][8 tokens] for four tokens. */
function addOffsets(offsets: usize, count: i32, x: usize, sums: usize): void {
  let a0 = v128.load(sums);
  let a1 = v128.load(sums, 16);
  let a2 = v128.load(sums, 32);
  let a3 = v128.load(sums, 48);
  let b0 = v128.load(sums, 64);
  let b1 = v128.load(sums, 80);
  let b2 = v128.load(sums, 96);
  let b3 = v128.load(sums, 112);
  let c0 = v128.load(sums, 128);
  let c1 = v128.load(sums, 144);
  let c2 = v128.load(sums, 160);
  let c3 = v128.load(sums, 176);
  let d0 = v128.load(sums, 192);
  let d1 = v128.load(sums, 208);
  let d2 = v128.load(sums, 224);
  let d3 = v128.load(sums, 240);
  for (const end = offsets + ((<usize>count) << 6); offsets < end; offsets += 64) {
    const w0 = v128.load(offsets);
    const w1 = v128.load(offsets, 16);
    const w2 = v128.load(offsets, 32);
    const w3 = v128.load(offsets, 48);
    let v = v128.load32_splat(x);
    a0 = f32x4.relaxed_madd(w0, v, a0);
    a1 = f32x4.relaxed_madd(w1, v, a1);
    a2 = f32x4.relaxed_madd(w2, v, a2);
    a3 = f32x4.relaxed_madd(w3, v, a3);
    v = v128.load32_splat(x, 4);
    b0 = f32x4.relaxed_madd(w0, v, b0);
    b1 = f32x4.relaxed_madd(w1, v, b1);
    b2 = f32x4.relaxed_madd(w2, v, b2);
    b3 = f32x4.relaxed_madd(w3, v, b3);
    v = v128.load32_splat(x, 8);
    c0 = f32x4.relaxed_madd(w0, v, c0);
    c1 = f32x4.relaxed_madd(w1, v, c1);
    c2 = f32x4.relaxed_madd(w2, v, c2);
    c3 = f32x4.relaxed_madd(w3, v, c3);
    v = v128.load32_splat(x, 12);
    d0 = f32x4.relaxed_madd(w0, v, d0);
    d1 = f32x4.relaxed_madd(w1, v, d1);
    d2 = f32x4.relaxed_madd(w2, v, d2);
    d3 = f32x4.relaxed_madd(w3, v, d3);
    x += 32;
  }
  v128.store(sums, a0);
  v128.store(sums, a1, 16);
  v128.store(sums, a2, 32);
  v128.store(sums, a3, 48);
  v128.store(sums, b0, 64);
  v128.store(sums, b1, 80);
  v128.store(sums, b2, 96);
  v128.store(sums, b3, 112);
  v128.store(sums, c0, 128);
  v128.store(sums, c1, 144);
  v128.store(sums, c2, 160);
  v128.store(sums, c3, 176);
  v128.store(sums, d0, 192);
  v128.store(sums, d1, 208);
  v128.store(sums, d2, 224);
  v128.store(sums, d3, 240);
}

/**
 * Adds a panel's products with `tokens` tokens to their sums, f32 [tokens][16]. The panel: u8 [columns / 4][16][4], f32
 * scales [blocks][16], f32 offsets [offsetCount][16]; a block is 32 columns, or 16 if `shift` is 1. q, xScales, less and
 * xSums point into the first group of tokens (see quantise-bytes), `stride` bytes before the next.
 */
export function multiply(
  panel: usize, scales: usize, offsets: usize, blocks: i32, shift: i32, offsetCount: i32, q: usize, xScales: usize,
  less: usize, xSums: usize, stride: usize, zero: i32, tokens: i32, sums: usize,
): void {
  for (let token = 0; token < tokens; token += 4) {
    const at = <usize>(token >> 3) * stride + <usize>((token & 4) << 2);
    products(panel, scales, blocks, <usize>512 >> shift, shift, q + at, xScales + at, less + at, zero, sums);
    if (offsetCount > 0) addOffsets(offsets, offsetCount, xSums + at, sums);
    sums += 256;
  }
}
