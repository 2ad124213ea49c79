// The inner loop of linear-panel's products with weights of floats, for the wide module (wide.ts): 16 weight rows x 4 tokens,
// sixteen sums in eight registers. The sums of a token take the columns in the same order as there, so both give the same bits.

/** Adds panel times floats, `count` columns of them, to the sums of four tokens. */
function floats4(panel: usize, count: i32, x0: usize, x1: usize, x2: usize, x3: usize, sums: usize): void {
  let a0 = v128.load(sums), a1 = v128.load(sums, 16), a2 = v128.load(sums, 32), a3 = v128.load(sums, 48);
  let b0 = v128.load(sums, 64), b1 = v128.load(sums, 80), b2 = v128.load(sums, 96), b3 = v128.load(sums, 112);
  let c0 = v128.load(sums, 128), c1 = v128.load(sums, 144), c2 = v128.load(sums, 160), c3 = v128.load(sums, 176);
  let d0 = v128.load(sums, 192), d1 = v128.load(sums, 208), d2 = v128.load(sums, 224), d3 = v128.load(sums, 240);
  for (const end = panel + ((<usize>count) << 6); panel < end; panel += 64) {
    const w0 = v128.load(panel);
    const w1 = v128.load(panel, 16);
    const w2 = v128.load(panel, 32);
    const w3 = v128.load(panel, 48);
    let v = v128.load32_splat(x0);
    a0 = f32x4.relaxed_madd(w0, v, a0);
    a1 = f32x4.relaxed_madd(w1, v, a1);
    a2 = f32x4.relaxed_madd(w2, v, a2);
    a3 = f32x4.relaxed_madd(w3, v, a3);
    v = v128.load32_splat(x1);
    b0 = f32x4.relaxed_madd(w0, v, b0);
    b1 = f32x4.relaxed_madd(w1, v, b1);
    b2 = f32x4.relaxed_madd(w2, v, b2);
    b3 = f32x4.relaxed_madd(w3, v, b3);
    v = v128.load32_splat(x2);
    c0 = f32x4.relaxed_madd(w0, v, c0);
    c1 = f32x4.relaxed_madd(w1, v, c1);
    c2 = f32x4.relaxed_madd(w2, v, c2);
    c3 = f32x4.relaxed_madd(w3, v, c3);
    v = v128.load32_splat(x3);
    d0 = f32x4.relaxed_madd(w0, v, d0);
    d1 = f32x4.relaxed_madd(w1, v, d1);
    d2 = f32x4.relaxed_madd(w2, v, d2);
    d3 = f32x4.relaxed_madd(w3, v, d3);
    x0 += 4;
    x1 += 4;
    x2 += 4;
    x3 += 4;
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
 * Adds a panel's products, f32 [count][16], with `tokens` rows of floats, `stride` bytes apart, to their sums, f32
 * [tokens][16]. A last group of less than four tokens repeats one of its own.
 */
export function floatsWide(panel: usize, count: i32, x: usize, stride: usize, tokens: i32, sums: usize): void {
  for (let left = tokens; left > 0; left -= 4) {
    const x1 = left > 1 ? x + stride : x;
    const x2 = left > 2 ? x1 + stride : x1;
    const x3 = left > 3 ? x2 + stride : x2;
    floats4(panel, count, x, x1, x2, x3, sums);
    x += stride << 2;
    sums += 256;
  }
}
