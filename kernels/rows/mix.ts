// The weighted sum of what a row's experts made of it.
//
// Arguments: 0 y [T*k, columns], 4 weights (f32) [T, k], 8 out [T, columns], 12 T, 16 columns, 20 k. Threads share the vectors
// of all rows.
import { madd, share } from "../vector/simd";

export function mix(args: usize, thread: i32, threads: i32): void {
  const columns = load<i32>(args, 16);
  const vectors = (columns + 3) >> 2;
  const first = share(load<i32>(args, 12) * vectors, thread, threads);
  const end = share(load<i32>(args, 12) * vectors, thread + 1, threads);
  for (let item = first; item < end; ) {
    const row = item / vectors;
    const from = item - row * vectors;
    const to = min(vectors, from + end - item);
    mixRow(args, row, usize(from) * 16, usize(min(to * 4, columns)) * 4);
    item += to - from;
  }
}

/** Bytes [from, to) of a row. */
function mixRow(args: usize, row: i32, from: usize, to: usize): void {
  const bytes = usize(load<i32>(args, 16)) * 4;
  const used = load<i32>(args, 20);
  const y = load<usize>(args) + usize(row * used) * bytes;
  const weights = load<usize>(args, 4) + usize(row * used) * 4;
  const out = load<usize>(args, 8) + usize(row) * bytes;
  let i = from;
  for (; i + 16 <= to; i += 16) {
    let sum = f32x4.splat(0);
    for (let j: usize = 0; j < usize(used); j++) {
      sum = madd(v128.load32_splat(weights + j * 4), v128.load(y + j * bytes + i), sum);
    }
    v128.store(out + i, sum);
  }
  for (; i < to; i += 4) {
    let sum: f32 = 0;
    for (let j: usize = 0; j < usize(used); j++) sum += load<f32>(weights + j * 4) * load<f32>(y + j * bytes + i);
    store<f32>(out + i, sum);
  }
}
