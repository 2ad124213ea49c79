// Derivatives of the norms (norm.ts). Rows are taken in a number of blocks that does not depend on the threads: each
// block has sums of its own of the gain's and the bias's gradients, which MERGE_PARTS adds in order.
import { subtract, sum, sumOfSquares } from "../rows/norm";
import { madd, share, sum4 } from "../vector/simd";

/**
 * With r = 1 / sqrt(mean(x^2) + epsilon) and g = gain dy: dx = r (g - x r^2 mean(g x)); the gain's gradient is dy x r.
 * Arguments: 0 x, 4 gain, 8 dy, 12 dx, 16 sums [blocks][rows of the gain][width], or 0, 20 cycles (one group for each
 * row of the gain), 24 width of a group, 28 rows of the gain, 32 epsilon (f32), 36 blocks.
 */
export function rmsNormBack(args: usize, thread: i32, threads: i32): void {
  const cycles = load<i32>(args, 20);
  const gains = load<i32>(args, 28);
  const bytes = usize(load<i32>(args, 24)) * 4;
  const cycle = usize(gains) * bytes;
  const blocks = load<i32>(args, 36);
  const last = share(blocks, thread + 1, threads);
  for (let block = share(blocks, thread, threads); block < last; block++) {
    let sums = load<usize>(args, 16);
    if (sums != 0) {
      sums += usize(block) * cycle;
      memory.fill(sums, 0, cycle);
    }
    const end = usize(share(cycles, block + 1, blocks)) * cycle;
    for (let at = usize(share(cycles, block, blocks)) * cycle; at < end; at += cycle) {
      for (let i: usize = 0; i < cycle; i += bytes) rmsGroup(args, at + i, i, sums == 0 ? 0 : sums + i, bytes);
    }
  }
}

/** The group `at` bytes from the first, with the gain `gainAt` bytes from its first. */
function rmsGroup(args: usize, at: usize, gainAt: usize, sums: usize, bytes: usize): void {
  const x = load<usize>(args) + at;
  const gain = load<usize>(args, 4) + gainAt;
  const dy = load<usize>(args, 8) + at;
  const dx = load<usize>(args, 12) + at;
  const width = load<i32>(args, 24);
  const factor = 1 / Math.sqrt(sumOfSquares(x, width) / f64(width) + f64(load<f32>(args, 32)));
  const r = f32(factor);
  const pull = f32((factor * factor * dot3(x, gain, dy, bytes)) / f64(width));
  const factors = f32x4.splat(r);
  const pulls = f32x4.splat(pull);
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const g = f32x4.mul(v128.load(gain + i), v128.load(dy + i));
    v128.store(dx + i, f32x4.mul(f32x4.sub(g, f32x4.mul(v128.load(x + i), pulls)), factors));
  }
  for (; i < bytes; i += 4) {
    store<f32>(dx + i, (load<f32>(gain + i) * load<f32>(dy + i) - load<f32>(x + i) * pull) * r);
  }
  if (sums != 0) addScaled(sums, dy, x, r, bytes);
}

/** sums += a b factor */
function addScaled(sums: usize, a: usize, b: usize, factor: f32, bytes: usize): void {
  const factors = f32x4.splat(factor);
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    v128.store(sums + i, madd(v128.load(a + i), f32x4.mul(v128.load(b + i), factors), v128.load(sums + i)));
  }
  for (; i < bytes; i += 4) store<f32>(sums + i, load<f32>(sums + i) + load<f32>(a + i) * (load<f32>(b + i) * factor));
}

/** The sum of a b c. Eight partial sums keep the rounding error of long rows small. */
function dot3(a: usize, b: usize, c: usize, bytes: usize): f64 {
  let p = f32x4.splat(0);
  let q = f32x4.splat(0);
  let i: usize = 0;
  for (; i + 32 <= bytes; i += 32) {
    p = madd(f32x4.mul(v128.load(a + i), v128.load(b + i)), v128.load(c + i), p);
    q = madd(f32x4.mul(v128.load(a + i, 16), v128.load(b + i, 16)), v128.load(c + i, 16), q);
  }
  let total = f64(sum4(p)) + f64(sum4(q));
  for (; i < bytes; i += 4) total += f64(load<f32>(a + i)) * f64(load<f32>(b + i)) * f64(load<f32>(c + i));
  return total;
}

/** The sum of a b. */
function dot2(a: usize, b: usize, bytes: usize): f64 {
  let p = f32x4.splat(0);
  let q = f32x4.splat(0);
  let i: usize = 0;
  for (; i + 32 <= bytes; i += 32) {
    p = madd(v128.load(a + i), v128.load(b + i), p);
    q = madd(v128.load(a + i, 16), v128.load(b + i, 16), q);
  }
  let total = f64(sum4(p)) + f64(sum4(q));
  for (; i < bytes; i += 4) total += f64(load<f32>(a + i)) * f64(load<f32>(b + i));
  return total;
}

/**
 * With z = (x - mean) r and g = gain dy: dx = r (g - mean(g) - z mean(g z)); the gain's gradient is dy z, the bias's
 * dy. Arguments: 0 x, 4 gain, 8 dy, 12 dx, 16 sums of the gain [blocks][width], or 0, 20 of the bias, or 0, 24 rows, 28
 * width, 32 epsilon (f32), 36 blocks.
 */
export function layerNormBack(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 24);
  const bytes = usize(load<i32>(args, 28)) * 4;
  const blocks = load<i32>(args, 36);
  const last = share(blocks, thread + 1, threads);
  for (let block = share(blocks, thread, threads); block < last; block++) {
    const gainSums = sumsOf(load<usize>(args, 16), block, bytes);
    const biasSums = sumsOf(load<usize>(args, 20), block, bytes);
    const end = share(rows, block + 1, blocks);
    for (let row = share(rows, block, blocks); row < end; row++) {
      layerRow(args, usize(row) * bytes, gainSums, biasSums, bytes);
    }
  }
}

/** The block's own sums, zero; or 0. */
function sumsOf(sums: usize, block: i32, bytes: usize): usize {
  if (sums == 0) return 0;
  sums += usize(block) * bytes;
  memory.fill(sums, 0, bytes);
  return sums;
}

/** The row `at` bytes from the first. As in normRow, differences from the mean go to dx first. */
function layerRow(args: usize, at: usize, gainSums: usize, biasSums: usize, bytes: usize): void {
  const x = load<usize>(args) + at;
  const gain = load<usize>(args, 4);
  const dy = load<usize>(args, 8) + at;
  const dx = load<usize>(args, 12) + at;
  const width = load<i32>(args, 28);
  subtract(x, f32(sum(x, width) / f64(width)), dx, width);
  const rest = sum(dx, width) / f64(width);
  const variance = max<f64>(0, sumOfSquares(dx, width) / f64(width) - rest * rest);
  const factor = 1 / Math.sqrt(variance + f64(load<f32>(args, 32)));
  const r = f32(factor);
  subtract(dx, f32(rest), dx, width);
  const level = dot2(gain, dy, bytes) / f64(width);
  const pull = (factor * factor * dot3(dx, gain, dy, bytes)) / f64(width);
  if (gainSums != 0) addScaled(gainSums, dy, dx, r, bytes);
  if (biasSums != 0) addRow(biasSums, dy, bytes);
  const levels = f32x4.splat(f32(level)), pulls = f32x4.splat(f32(pull)), factors = f32x4.splat(r);
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const g = f32x4.sub(f32x4.mul(v128.load(gain + i), v128.load(dy + i)), levels);
    v128.store(dx + i, f32x4.mul(f32x4.sub(g, f32x4.mul(v128.load(dx + i), pulls)), factors));
  }
  for (; i < bytes; i += 4) {
    const g = load<f32>(gain + i) * load<f32>(dy + i) - f32(level);
    store<f32>(dx + i, (g - load<f32>(dx + i) * f32(pull)) * r);
  }
}

function addRow(sums: usize, x: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(sums + i, f32x4.add(v128.load(sums + i), v128.load(x + i)));
  for (; i < bytes; i += 4) store<f32>(sums + i, load<f32>(sums + i) + load<f32>(x + i));
}
