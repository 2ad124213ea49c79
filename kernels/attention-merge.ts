// Joins the partial results that chunks of a long range left: each row's sums, rescaled to the common maximum.
//
// Arguments, bytes: 0 out, 4 its row bytes, 8 T * G, 12 G, 16 heads, 20 Dv, 24 chunks, 28 partial results (see
// attention.ts, writePartial).
import { exp2Below } from "./attention-softmax";
import { madd, share } from "./simd";

export function attentionMerge(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 8);
  const items = rows * load<i32>(args, 16);
  const end = share(items, thread + 1, threads);
  for (let item = share(items, thread, threads); item < end; item++) mergeRow(args, item, rows, items);
}

function mergeRow(args: usize, item: i32, rows: i32, items: i32): void {
  const group = load<i32>(args, 12);
  const width = load<i32>(args, 20);
  const chunks = load<i32>(args, 24);
  const bytes = usize(width) * 4;
  const head = item / rows;
  const row = item - head * rows;
  const t = row / group;
  const column = head * group + row - t * group;
  const out = load<usize>(args) + usize(t) * load<usize>(args, 4) + usize(column) * bytes;
  const step = usize(items) * (bytes + 16);
  const start = load<usize>(args, 28) + usize(item) * (bytes + 16);
  let maximum = load<f32>(start);
  for (let chunk = 1; chunk < chunks; chunk++) maximum = max(maximum, load<f32>(start + usize(chunk) * step));
  memory.fill(out, 0, bytes);
  let total: f32 = 0;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const part = start + usize(chunk) * step;
    const partTotal = load<f32>(part, 4);
    if (partTotal == 0) continue;
    const factor = exp2Below(load<f32>(part) - maximum);
    const factors = f32x4.splat(factor);
    total += partTotal * factor;
    for (let d: usize = 0; d < bytes; d += 16) {
      v128.store(out + d, madd(v128.load(part + d, 16), factors, v128.load(out + d)));
    }
  }
  const inverse = f32x4.splat(total == 0 ? 0 : 1 / total);
  for (let d: usize = 0; d < bytes; d += 16) v128.store(out + d, f32x4.mul(v128.load(out + d), inverse));
}
