// What a tile of attention leaves: its rows' sums divided by their totals, or, where a range is long and chunks of it are
// joined later (attention-merge.ts), sums and totals as they are. Arguments are those of attention.ts; `sums` and `state` are
// its scratch. A row that saw something has a total of at least one weight, unless all its scores are below what the softmax
// begins with: then it is NaN, as where a score is, and not zeros, as if it saw nothing.
import { KV_F16 } from "./abi";
import { TOTALS, WEIGHT_UNIT } from "./attention-softmax";
import { HALF_UNIT } from "./kv-page";

/** The total of row `row` of the tile, `at` of all; 0 only if it saw no slot of [from, to) in these ranges. */
function totalOf(args: usize, row: i32, at: i32, range: i32, ranges: i32, from: i32, to: i32, state: usize): f32 {
  const total = load<f32>(state + usize(row) * 4, TOTALS);
  if (total != 0) return total;
  const t = at / load<i32>(args, 36);
  let spans = load<usize>(args, 20) + usize(t * load<i32>(args, 16) + range) * 8;
  for (; ranges > 0; ranges--) {
    if (max(load<i32>(spans), from) < min(load<i32>(spans, 4), to)) return NaN;
    spans += 8;
  }
  return 0;
}

/** Sums divided by totals, to the rows' places in `out`; a row that saw nothing becomes zeros. */
export function writeRows(args: usize, first: i32, rows: i32, head: i32, sums: usize, state: usize): void {
  const width = load<i32>(args, 32);
  const group = load<i32>(args, 36);
  const stride = load<usize>(args, 4);
  const unit = load<i32>(args, 64) == KV_F16 ? HALF_UNIT : f32(1);
  let from = sums;
  for (let row = 0; row < rows; row++) {
    const t = (first + row) / group;
    const g = first + row - t * group;
    const total = totalOf(args, row, first + row, 0, load<i32>(args, 16), 0, i32.MAX_VALUE, state);
    const inverse = f32x4.splat(total == 0 ? 0 : unit / total);
    let out = load<usize>(args) + usize(t) * stride + usize((head * group + g) * width) * 4;
    const end = from + usize(width) * 4;
    for (; from < end; from += 16) {
      v128.store(out, f32x4.mul(v128.load(from), inverse));
      out += 16;
    }
  }
}

/** Partial results: [chunks][heads][T * G] records of maximum, total, two words of padding, sums [Dv]. */
export function writePartial(
  args: usize, chunk: i32, part: usize, first: i32, rows: i32, head: i32, sums: usize, state: usize,
): void {
  const width = load<i32>(args, 32);
  const all = load<i32>(args, 24) * load<i32>(args, 36);
  const halves = load<i32>(args, 64) == KV_F16;
  const totalUnit = halves ? f32(1) / WEIGHT_UNIT : f32(1);
  const unit = f32x4.splat(halves ? HALF_UNIT / WEIGHT_UNIT : f32(1));
  let from = sums;
  const bytes = usize(width) * 4;
  const index = (chunk * load<i32>(args, 40) + head) * all + first;
  let out = load<usize>(args, 88) + usize(index) * (bytes + 16);
  for (let row = 0; row < rows; row++) {
    const total = totalOf(args, row, first + row, load<i32>(part), 1, load<i32>(part, 4), load<i32>(part, 8), state);
    store<f32>(out, load<f32>(state + usize(row) * 4));
    store<f32>(out, total * totalUnit, 4);
    out += 16;
    for (const end = out + bytes; out < end; out += 16) {
      v128.store(out, f32x4.mul(v128.load(from), unit));
      from += 16;
    }
  }
}
