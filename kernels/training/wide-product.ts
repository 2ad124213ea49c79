// The inner loop of float-product for the wide module (wide.ts): 16 columns x 4 rows, sixteen sums in eight registers, in the
// same order as there, so both give the same bits.

/** Adds a panel's products [count][16] with a group's four rows [count][4] to their sums [4][16]. */
function sixteenByFour(panel: usize, count: i32, group: usize, sums: usize): void {
  let a0 = f32x4.splat(0), a1 = f32x4.splat(0), a2 = f32x4.splat(0), a3 = f32x4.splat(0);
  let b0 = f32x4.splat(0), b1 = f32x4.splat(0), b2 = f32x4.splat(0), b3 = f32x4.splat(0);
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), c2 = f32x4.splat(0), c3 = f32x4.splat(0);
  let d0 = f32x4.splat(0), d1 = f32x4.splat(0), d2 = f32x4.splat(0), d3 = f32x4.splat(0);
  for (const end = panel + ((<usize>count) << 6); panel < end; panel += 64) {
    const w0 = v128.load(panel);
    const w1 = v128.load(panel, 16);
    const w2 = v128.load(panel, 32);
    const w3 = v128.load(panel, 48);
    let v = v128.load32_splat(group);
    a0 = f32x4.relaxed_madd(w0, v, a0);
    a1 = f32x4.relaxed_madd(w1, v, a1);
    a2 = f32x4.relaxed_madd(w2, v, a2);
    a3 = f32x4.relaxed_madd(w3, v, a3);
    v = v128.load32_splat(group, 4);
    b0 = f32x4.relaxed_madd(w0, v, b0);
    b1 = f32x4.relaxed_madd(w1, v, b1);
    b2 = f32x4.relaxed_madd(w2, v, b2);
    b3 = f32x4.relaxed_madd(w3, v, b3);
    v = v128.load32_splat(group, 8);
    c0 = f32x4.relaxed_madd(w0, v, c0);
    c1 = f32x4.relaxed_madd(w1, v, c1);
    c2 = f32x4.relaxed_madd(w2, v, c2);
    c3 = f32x4.relaxed_madd(w3, v, c3);
    v = v128.load32_splat(group, 12);
    d0 = f32x4.relaxed_madd(w0, v, d0);
    d1 = f32x4.relaxed_madd(w1, v, d1);
    d2 = f32x4.relaxed_madd(w2, v, d2);
    d3 = f32x4.relaxed_madd(w3, v, d3);
    group += 16;
  }
  add16(sums, a0, a1, a2, a3);
  add16(sums + 64, b0, b1, b2, b3);
  add16(sums + 128, c0, c1, c2, c3);
  add16(sums + 192, d0, d1, d2, d3);
}

// @ts-ignore: decorator
@inline
function add16(sums: usize, a: v128, b: v128, c: v128, d: v128): void {
  a = f32x4.add(v128.load(sums), a);
  b = f32x4.add(v128.load(sums, 16), b);
  c = f32x4.add(v128.load(sums, 32), c);
  d = f32x4.add(v128.load(sums, 48), d);
  v128.store(sums, a);
  v128.store(sums, b, 16);
  v128.store(sums, c, 32);
  v128.store(sums, d, 48);
}

/** Adds a panel's products with `groups` groups, `stride` bytes apart, to their sums, f32 [groups][4][16]. */
export function productWide(panel: usize, count: i32, group: usize, stride: usize, groups: i32, sums: usize): void {
  for (let i = 0; i < groups; i++) {
    sixteenByFour(panel, count, group, sums);
    group += stride;
    sums += 256;
  }
}
