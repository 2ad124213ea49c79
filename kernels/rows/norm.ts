// RMS normalisation (Zhang & Sennrich 2019), over whole rows or over each head's columns, and layer normalisation (Ba et al.
// 2016) over rows.
import { madd, share, sum4 } from "../vector/simd";

/**
 * Arguments: 0 x, 4 gain (f32), 8 out, 12 groups (rows * groups of a row), 16 width of a group, 20 epsilon (f32), 24 rows of
 * the gain: groups take them in turn.
 */
export function rmsNorm(args: usize, thread: i32, threads: i32): void {
  const groups = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const gains = load<i32>(args, 24);
  const bytes = usize(width) * 4;
  const end = share(groups, thread + 1, threads);
  for (let group = share(groups, thread, threads); group < end; group++) {
    const offset = usize(group) * bytes;
    const gain = load<usize>(args, 4) + usize(group % gains) * bytes;
    normGroup(load<usize>(args) + offset, gain, load<usize>(args, 8) + offset, width, load<f32>(args, 20));
  }
}

function normGroup(x: usize, gain: usize, out: usize, width: i32, epsilon: f32): void {
  const mean = sumOfSquares(x, width) / f64(width);
  const factor = f32(1 / Math.sqrt(mean + f64(epsilon)));
  const factors = f32x4.splat(factor);
  const end = x + usize(width) * 4;
  for (; x + 16 <= end; x += 16) {
    v128.store(out, f32x4.mul(f32x4.mul(v128.load(x), factors), v128.load(gain)));
    gain += 16;
    out += 16;
  }
  for (; x < end; x += 4) {
    store<f32>(out, load<f32>(x) * factor * load<f32>(gain));
    gain += 4;
    out += 4;
  }
}

/** Sixteen partial sums keep the rounding error of long rows small. Squares beyond the range of f32 are summed in f64. */
export function sumOfSquares(x: usize, width: i32): f64 {
  const end = x + usize(width) * 4;
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let c = f32x4.splat(0);
  let d = f32x4.splat(0);
  for (; x + 64 <= end; x += 64) {
    const p = v128.load(x);
    const q = v128.load(x, 16);
    const r = v128.load(x, 32);
    const s = v128.load(x, 48);
    a = f32x4.add(a, f32x4.mul(p, p));
    b = f32x4.add(b, f32x4.mul(q, q));
    c = f32x4.add(c, f32x4.mul(r, r));
    d = f32x4.add(d, f32x4.mul(s, s));
  }
  let sum = f64(sum4(a)) + f64(sum4(b)) + f64(sum4(c)) + f64(sum4(d));
  for (; x < end; x += 4) sum += f64(load<f32>(x)) * f64(load<f32>(x));
  return sum == Infinity ? sumInDouble(end - usize(width) * 4, end) : sum;
}

/** Infinite only if a number is. */
function sumInDouble(x: usize, end: usize): f64 {
  let sum: f64 = 0;
  for (; x < end; x += 4) sum += f64(load<f32>(x)) * f64(load<f32>(x));
  return sum;
}

/** Arguments: 0 x, 4 gain (f32), 8 bias (f32), or 0, 12 out, 16 rows, 20 width, 24 epsilon (f32). */
export function layerNorm(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 16);
  const width = load<i32>(args, 20);
  const bytes = usize(width) * 4;
  const end = share(rows, thread + 1, threads);
  for (let row = share(rows, thread, threads); row < end; row++) {
    const x = load<usize>(args) + usize(row) * bytes;
    const out = load<usize>(args, 12) + usize(row) * bytes;
    normRow(x, load<usize>(args, 4), load<usize>(args, 8), out, width, load<f32>(args, 24));
  }
}

/**
 * Differences from the mean go to `out` first: from the mean rounded to f32, so that they are exact where the mean is large
 * beside them; what they are off by on average is taken from them when they are scaled.
 */
function normRow(x: usize, gain: usize, bias: usize, out: usize, width: i32, epsilon: f32): void {
  const mean = f32(sum(x, width) / f64(width));
  subtract(x, mean, out, width);
  const rest = sum(out, width) / f64(width);
  const variance = max<f64>(0, sumOfSquares(out, width) / f64(width) - rest * rest);
  const factor = f32(1 / Math.sqrt(variance + f64(epsilon)));
  const factors = f32x4.splat(factor);
  const shift = f32x4.splat(f32(-rest));
  const bytes = usize(width) * 4;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const y = f32x4.mul(f32x4.add(v128.load(out + i), shift), factors);
    const offset = bias == 0 ? f32x4.splat(0) : v128.load(bias + i);
    v128.store(out + i, madd(y, v128.load(gain + i), offset));
  }
  for (; i < bytes; i += 4) {
    const y = (load<f32>(out + i) - f32(rest)) * factor * load<f32>(gain + i);
    store<f32>(out + i, bias == 0 ? y : y + load<f32>(bias + i));
  }
}

export function subtract(x: usize, mean: f32, out: usize, width: i32): void {
  const means = f32x4.splat(mean);
  const bytes = usize(width) * 4;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(out + i, f32x4.sub(v128.load(x + i), means));
  for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(x + i) - mean);
}

/** Sixteen partial sums, as in sumOfSquares. */
export function sum(x: usize, width: i32): f64 {
  const end = x + usize(width) * 4;
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let c = f32x4.splat(0);
  let d = f32x4.splat(0);
  for (; x + 64 <= end; x += 64) {
    a = f32x4.add(a, v128.load(x));
    b = f32x4.add(b, v128.load(x, 16));
    c = f32x4.add(c, v128.load(x, 32));
    d = f32x4.add(d, v128.load(x, 48));
  }
  let total = f64(sum4(a)) + f64(sum4(b)) + f64(sum4(c)) + f64(sum4(d));
  for (; x < end; x += 4) total += f64(load<f32>(x));
  return total;
}
