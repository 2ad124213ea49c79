// RMS normalisation (Zhang & Sennrich 2019), over whole rows or over each head's columns.
//
// Arguments: 0 x, 4 gain (f32), 8 out, 12 groups (rows * groups of a row), 16 width of a group, 20 epsilon (f32).
import { share, sum4 } from "./simd";

export function rmsNorm(args: usize, thread: i32, threads: i32): void {
  const groups = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const bytes = usize(width) * 4;
  const end = share(groups, thread + 1, threads);
  for (let group = share(groups, thread, threads); group < end; group++) {
    const offset = usize(group) * bytes;
    normGroup(load<usize>(args) + offset, load<usize>(args, 4), load<usize>(args, 8) + offset, width, load<f32>(args, 20));
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

/** Sixteen partial sums keep the rounding error of long rows small. */
function sumOfSquares(x: usize, width: i32): f64 {
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
  return sum;
}
