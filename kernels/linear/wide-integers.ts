// The inner loops of products of integers for the wide module (wide.ts): 16 weight rows x 4 tokens, sixteen vectors of sums that
// V8 joins into eight registers. Bytes with 32-bit sums (linear-bytes on x64 with AVX-VNNI) or with 16-bit ones (elsewhere), and
// integers of 16 bits (linear-panel-wide). Sums of a token take the columns in the same order as in 128 bits, so both give the
// same bits.
//
// What V8 joins and how is written in docs/log.md. Of two neighbouring stores the upper one comes first: otherwise V8
// stores the lower half twice.

// Kinds of products; each function has its own, so that the switches on it are constants to the compiler.
const WORDS = 0; // bytes, 32-bit sums
const NIBBLES = 1; // bytes, 16-bit sums, widened once a block
const SIXTEEN = 2; // 16 bits, 32-bit sums

/** The integer sum before the first product: minus the weights' zero times the activations; none in 16 bits. */
// @ts-ignore: decorator
@inline
function start(kind: i32, less: usize, zero: v128): v128 {
  if (kind == SIXTEEN) return i32x4.splat(0);
  return kind == WORDS ? i32x4.dot_i16x8_s(v128.load32_splat(less), zero) : i16x8.mul(v128.load32_splat(less), zero);
}

// @ts-ignore: decorator
@inline
function dot(kind: i32, x: v128, w: v128, sum: v128): v128 {
  if (kind == WORDS) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum);
  if (kind == NIBBLES) return i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x, w), sum);
  return i32x4.add(i32x4.dot_i16x8_s(x, w), sum);
}

/** Neighbouring 16-bit sums added up, by a product with ones: V8 would make their constant anew for every addition in pairs. */
// @ts-ignore: decorator
@inline
function widened(kind: i32, sum: v128, ones: v128): v128 {
  return f32x4.convert_i32x4_s(kind == NIBBLES ? i32x4.dot_i16x8_s(sum, ones) : sum);
}

/** sums += integers * weight scales * activation scale, for the rows of a token. */
// @ts-ignore: decorator
@inline
function scale16(
  kind: i32, a: v128, b: v128, c: v128, d: v128, wa: v128, wb: v128, wc: v128, wd: v128, s: v128, ones: v128, sums: usize,
): void {
  a = f32x4.relaxed_madd(widened(kind, a, ones), f32x4.mul(wa, s), v128.load(sums));
  b = f32x4.relaxed_madd(widened(kind, b, ones), f32x4.mul(wb, s), v128.load(sums, 16));
  v128.store(sums, b, 16);
  v128.store(sums, a);
  c = f32x4.relaxed_madd(widened(kind, c, ones), f32x4.mul(wc, s), v128.load(sums, 32));
  d = f32x4.relaxed_madd(widened(kind, d, ones), f32x4.mul(wd, s), v128.load(sums, 48));
  v128.store(sums, d, 48);
  v128.store(sums, c, 32);
}

/**
 * Adds the products of four tokens: of `blocks` blocks of `span` panel bytes, where the scale of the activations changes every
 * 2^shift. `one`: 1, as a number that the compiler does not know.
 */
// @ts-ignore: decorator
@inline
function products(
  kind: i32, panel: usize, scales: usize, blocks: i32, span: usize, shift: i32, x: usize, xScales: usize, less: usize,
  zero: i32, one: i32, sums: usize,
): void {
  const z = i16x8.splat(<i16>zero);
  const ones = i16x8.splat(<i16>one);
  for (let block = 0; block < blocks; block++) {
    let a0 = start(kind, less, z), a1 = a0, a2 = a0, a3 = a0;
    let b0 = start(kind, less + 4, z), b1 = b0, b2 = b0, b3 = b0;
    let c0 = start(kind, less + 8, z), c1 = c0, c2 = c0, c3 = c0;
    let d0 = start(kind, less + 12, z), d1 = d0, d2 = d0, d3 = d0;
    for (const end = panel + span; panel < end; panel += 64) {
      const w0 = v128.load(panel);
      const w1 = v128.load(panel, 16);
      const w2 = v128.load(panel, 32);
      const w3 = v128.load(panel, 48);
      let v = v128.load32_splat(x);
      a0 = dot(kind, v, w0, a0);
      a1 = dot(kind, v, w1, a1);
      a2 = dot(kind, v, w2, a2);
      a3 = dot(kind, v, w3, a3);
      v = v128.load32_splat(x, 4);
      b0 = dot(kind, v, w0, b0);
      b1 = dot(kind, v, w1, b1);
      b2 = dot(kind, v, w2, b2);
      b3 = dot(kind, v, w3, b3);
      v = v128.load32_splat(x, 8);
      c0 = dot(kind, v, w0, c0);
      c1 = dot(kind, v, w1, c1);
      c2 = dot(kind, v, w2, c2);
      c3 = dot(kind, v, w3, c3);
      v = v128.load32_splat(x, 12);
      d0 = dot(kind, v, w0, d0);
      d1 = dot(kind, v, w1, d1);
      d2 = dot(kind, v, w2, d2);
      d3 = dot(kind, v, w3, d3);
      x += 32;
    }
    const s = xScales + (<usize>(block >> shift) << 5);
    const sa = v128.load(scales);
    const sb = v128.load(scales, 16);
    const sc = v128.load(scales, 32);
    const sd = v128.load(scales, 48);
    scale16(kind, a0, a1, a2, a3, sa, sb, sc, sd, v128.load32_splat(s), ones, sums);
    scale16(kind, b0, b1, b2, b3, sa, sb, sc, sd, v128.load32_splat(s, 4), ones, sums + 64);
    scale16(kind, c0, c1, c2, c3, sa, sb, sc, sd, v128.load32_splat(s, 8), ones, sums + 128);
    scale16(kind, d0, d1, d2, d3, sa, sb, sc, sd, v128.load32_splat(s, 12), ones, sums + 192);
    scales += 64;
    less += 32;
  }
}

function words4(
  panel: usize, scales: usize, blocks: i32, shift: i32, x: usize, xScales: usize, less: usize, zero: i32, sums: usize,
): void {
  products(WORDS, panel, scales, blocks, <usize>512 >> shift, shift, x, xScales, less, zero, 1, sums);
}

function nibbles4(
  panel: usize, scales: usize, blocks: i32, x: usize, xScales: usize, less: usize, zero: i32, one: i32, sums: usize,
): void {
  products(NIBBLES, panel, scales, blocks, 512, 0, x, xScales, less, zero, one, sums);
}

/** With scales for each 16 columns: constants here are worth 3%. */
function nibblesOfHalves4(
  panel: usize, scales: usize, blocks: i32, x: usize, xScales: usize, less: usize, zero: i32, one: i32, sums: usize,
): void {
  products(NIBBLES, panel, scales, blocks, 256, 1, x, xScales, less, zero, one, sums);
}

function sixteen4(panel: usize, scales: usize, blocks: i32, x: usize, xScales: usize, sums: usize): void {
  products(SIXTEEN, panel, scales, blocks, 1024, 0, x, xScales, 0, 0, 1, sums);
}

/** Adds offsets [count][16] times sums of activations [count][8 tokens] for four tokens. */
function addOffsets(offsets: usize, count: i32, x: usize, sums: usize): void {
  let a0 = v128.load(sums), a1 = v128.load(sums, 16), a2 = v128.load(sums, 32), a3 = v128.load(sums, 48);
  let b0 = v128.load(sums, 64), b1 = v128.load(sums, 80), b2 = v128.load(sums, 96), b3 = v128.load(sums, 112);
  let c0 = v128.load(sums, 128), c1 = v128.load(sums, 144), c2 = v128.load(sums, 160), c3 = v128.load(sums, 176);
  let d0 = v128.load(sums, 192), d1 = v128.load(sums, 208), d2 = v128.load(sums, 224), d3 = v128.load(sums, 240);
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
  store8(sums, a0, a1);
  store8(sums + 32, a2, a3);
  store8(sums + 64, b0, b1);
  store8(sums + 96, b2, b3);
  store8(sums + 128, c0, c1);
  store8(sums + 160, c2, c3);
  store8(sums + 192, d0, d1);
  store8(sums + 224, d2, d3);
}

// @ts-ignore: decorator
@inline
function store8(to: usize, a: v128, b: v128): void {
  v128.store(to, b, 16);
  v128.store(to, a);
}

/** Those of a tile, after all products: four tokens alone would wait for one sum after the other. */
function offsetsOfAll(offsets: usize, count: i32, xSums: usize, stride: usize, tokens: i32, sums: usize): void {
  if (count == 0) return;
  for (let token = 0; token < tokens; token += 4) {
    addOffsets(offsets, count, xSums + <usize>(token >> 3) * stride + <usize>((token & 4) << 2), sums);
    sums += 256;
  }
}

/**
 * Adds a panel's products with `tokens` tokens to their sums, f32 [tokens][16]. The panel: u8 [columns / 4][16][4], f32
 * scales [blocks][16], f32 offsets [offsetCount][16]; a block is 32 columns, or 16 if `shift` is 1. q, xScales, less and
 * xSums point into the first group of tokens (see quantise-bytes), `stride` bytes before the next. `one`: see `products`.
 */
export function multiply(
  panel: usize, scales: usize, offsets: usize, blocks: i32, shift: i32, offsetCount: i32, q: usize, xScales: usize,
  less: usize, xSums: usize, stride: usize, zero: i32, one: i32, tokens: i32, sums: usize,
): void {
  for (let token = 0; token < tokens; token += 4) {
    const at = <usize>(token >> 3) * stride + <usize>((token & 4) << 2);
    const to = sums + (<usize>token << 6);
    words4(panel, scales, blocks, shift, q + at, xScales + at, less + at, zero, to);
  }
  offsetsOfAll(offsets, offsetCount, xSums, stride, tokens, sums);
}

/** The same with 16-bit sums, of weights whose sums fit (see linear-bytes). */
export function multiplyNibbles(
  panel: usize, scales: usize, offsets: usize, blocks: i32, shift: i32, offsetCount: i32, q: usize, xScales: usize,
  less: usize, xSums: usize, stride: usize, zero: i32, one: i32, tokens: i32, sums: usize,
): void {
  for (let token = 0; token < tokens; token += 4) {
    const at = <usize>(token >> 3) * stride + <usize>((token & 4) << 2);
    const to = sums + (<usize>token << 6);
    if (shift == 0) nibbles4(panel, scales, blocks, q + at, xScales + at, less + at, zero, one, to);
    else nibblesOfHalves4(panel, scales, blocks, q + at, xScales + at, less + at, zero, one, to);
  }
  offsetsOfAll(offsets, offsetCount, xSums, stride, tokens, sums);
}

/** The same in 16 bits: the panel i16 [columns / 2][16][2], blocks of 32 columns, groups of tokens as quantise-pairs lays them. */
export function multiplySixteen(
  panel: usize, scales: usize, offsets: usize, blocks: i32, offsetCount: i32, q: usize, xScales: usize, xSums: usize,
  stride: usize, tokens: i32, sums: usize,
): void {
  for (let token = 0; token < tokens; token += 4) {
    const at = <usize>(token >> 3) * stride + <usize>((token & 4) << 2);
    sixteen4(panel, scales, blocks, q + at, xScales + at, sums + (<usize>token << 6));
  }
  offsetsOfAll(offsets, offsetCount, xSums, stride, tokens, sums);
}
