// Derivatives of the weighted sum of what a row's experts made of it (mix.ts): dy[t*k + j] = w[t, j] dout[t] and
// dw[t, j] = y[t*k + j] . dout[t].
//
// Arguments: 0 y [T*k, columns], 4 weights (f32) [T, k], 8 dout [T, columns], 12 dy [T*k, columns], 16 dw [T, k], 20 T,
// 24 columns, 28 k. Threads share the rows t*k + j.
import { loadSome, madd, share, storeSome, sum4 } from "../vector/simd";

export function mixBack(args: usize, thread: i32, threads: i32): void {
  const columns = load<i32>(args, 24);
  const bytes = usize(columns) * 4;
  const used = load<i32>(args, 28);
  const entries = load<i32>(args, 20) * used;
  const end = share(entries, thread + 1, threads);
  for (let entry = share(entries, thread, threads); entry < end; entry++) {
    const y = load<usize>(args) + usize(entry) * bytes;
    const dout = load<usize>(args, 8) + usize(entry / used) * bytes;
    const dy = load<usize>(args, 12) + usize(entry) * bytes;
    const weight = v128.load32_splat(load<usize>(args, 4) + usize(entry) * 4);
    const dot = mixRowBack(y, dout, dy, weight, columns);
    store<f32>(load<usize>(args, 16) + usize(entry) * 4, dot);
  }
}

/** Writes the row of dy and returns y . dout. */
function mixRowBack(y: usize, dout: usize, dy: usize, weight: v128, columns: i32): f32 {
  let a = f32x4.splat(0), b = a;
  let i = 0;
  let at: usize = 0;
  for (; i + 8 <= columns; i += 8, at += 32) {
    const p = v128.load(dout + at), q = v128.load(dout + at, 16);
    a = madd(v128.load(y + at), p, a);
    b = madd(v128.load(y + at, 16), q, b);
    v128.store(dy + at, f32x4.mul(weight, p));
    v128.store(dy + at, f32x4.mul(weight, q), 16);
  }
  for (; i < columns; i += 4, at += 16) {
    const p = loadSome(dout + at, columns - i);
    a = madd(loadSome(y + at, columns - i), p, a);
    storeSome(dy + at, f32x4.mul(weight, p), columns - i);
  }
  return sum4(f32x4.add(a, b));
}
