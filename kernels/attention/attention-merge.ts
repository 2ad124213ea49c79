// Joins the partial results that chunks of long ranges left, of all parts that were cut into chunks: each row's sums,
// rescaled to the common maximum.
//
// Arguments: 0 record (attention-record.ts).
import {
  CHUNKS, FIRST_TOKEN, GROUP, MERGED_ROWS, OUT, OUT_STRIDE, PART_BYTES, PART_LIST, PARTIALS, ROWS, VALUE_WIDTH,
} from "./attention-record";
import { exp2Below } from "./attention-softmax";
import { headOf } from "../kv/slice";
import { HEADS } from "../kv/slice-record";
import { madd, share } from "../vector/simd";

export function attentionMerge(args: usize, thread: i32, threads: i32): void {
  const call = load<usize>(args);
  const items = load<i32>(call, MERGED_ROWS);
  const from = share(items, thread, threads);
  const to = share(items, thread + 1, threads);
  let part = load<usize>(call, PART_LIST);
  for (let start = 0; start < to; part += PART_BYTES) {
    if (load<i32>(part, CHUNKS) == 0) continue;
    const end = start + load<i32>(part, HEADS) * load<i32>(part, ROWS);
    for (let item = max(start, from); item < min(end, to); item++) mergeRow(call, part, item - start);
    start = end;
  }
}

/** `item`: a row of one of the part's heads, [heads][T * G]. */
function mergeRow(call: usize, part: usize, item: i32): void {
  const group = load<i32>(call, GROUP);
  const rows = load<i32>(part, ROWS);
  const chunks = load<i32>(part, CHUNKS);
  const bytes = usize(load<i32>(call, VALUE_WIDTH)) * 4;
  const head = item / rows;
  const row = item - head * rows;
  const t = row / group;
  const column = headOf(part, head) * group + row - t * group;
  const token = usize(load<i32>(part, FIRST_TOKEN) + t);
  const out = load<usize>(call, OUT) + token * load<usize>(call, OUT_STRIDE) + usize(column) * bytes;
  const step = usize(rows * load<i32>(part, HEADS)) * (bytes + 16);
  const start = load<usize>(part, PARTIALS) + usize(item) * (bytes + 16);
  let maximum = load<f32>(start);
  for (let chunk = 1; chunk < chunks; chunk++) maximum = max(maximum, load<f32>(start + usize(chunk) * step));
  memory.fill(out, 0, bytes);
  let total: f32 = 0;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const partial = start + usize(chunk) * step;
    const partialTotal = load<f32>(partial, 4);
    if (partialTotal == 0) continue;
    const factor = exp2Below(load<f32>(partial) - maximum);
    const factors = f32x4.splat(factor);
    total += partialTotal * factor;
    for (let d: usize = 0; d < bytes; d += 16) {
      v128.store(out + d, madd(v128.load(partial + d, 16), factors, v128.load(out + d)));
    }
  }
  const inverse = f32x4.splat(total == 0 ? 0 : 1 / total);
  for (let d: usize = 0; d < bytes; d += 16) v128.store(out + d, f32x4.mul(v128.load(out + d), inverse));
}
