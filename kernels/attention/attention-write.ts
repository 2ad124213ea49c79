// What a tile of attention leaves: its rows' sums divided by their totals, or, where a range is long and chunks of it are
// joined later (attention-merge.ts), sums and totals as they are. A row that saw something has a total of at least one
// weight, unless all its scores are below what the softmax begins with: then it is NaN, as where a score is, and not zeros,
// as if it saw nothing.
import { KV_F16 } from "../abi";
import {
  CHUNK_END, CHUNK_RANGE, CHUNK_START, FIRST_TOKEN, GROUP, OUT, OUT_STRIDE, PARTIALS, RANGES, ROWS, SPANS, VALUE_WIDTH,
} from "./attention-record";
import { CALL, COLUMN, COUNT, FIRST, HEAD, PART, STATE, SUMS } from "./attention-scratch";
import { TOTALS, WEIGHT_UNIT } from "./attention-softmax";
import { HALF_UNIT } from "../kv/f16";
import { HEADS, VALUE_TYPE } from "../kv/slice-record";

/** The total of row `row` of the tile; 0 only if it saw no slot of [from, to) in these ranges. */
function totalOf(tile: usize, row: i32, range: i32, ranges: i32, from: i32, to: i32): f32 {
  const total = load<f32>(tile + usize(row) * 4, STATE + TOTALS);
  if (total != 0) return total;
  const part = load<usize>(tile, PART);
  const t = (load<i32>(tile, FIRST) + row) / load<i32>(load<usize>(tile, CALL), GROUP);
  let span = load<usize>(part, SPANS) + usize(t * load<i32>(part, RANGES) + range) * 8;
  for (; ranges > 0; ranges--) {
    if (max(load<i32>(span), from) < min(load<i32>(span, 4), to)) return NaN;
    span += 8;
  }
  return 0;
}

/** Sums divided by totals, to the rows' places in the call's result; a row that saw nothing becomes zeros. */
export function writeRows(tile: usize): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const first = load<i32>(tile, FIRST), rows = load<i32>(tile, COUNT);
  const width = load<i32>(call, VALUE_WIDTH), group = load<i32>(call, GROUP);
  const ranges = load<i32>(part, RANGES);
  const stride = load<usize>(call, OUT_STRIDE);
  const out = load<usize>(call, OUT) + load<usize>(part, FIRST_TOKEN) * stride;
  const column = load<i32>(tile, COLUMN);
  const unit = load<i32>(part, VALUE_TYPE) == KV_F16 ? HALF_UNIT : f32(1);
  let from = tile + SUMS;
  for (let row = 0; row < rows; row++) {
    const t = (first + row) / group;
    const g = first + row - t * group;
    const total = totalOf(tile, row, 0, ranges, 0, i32.MAX_VALUE);
    const inverse = f32x4.splat(total == 0 ? 0 : unit / total);
    let to = out + usize(t) * stride + usize((column + g) * width) * 4;
    const end = from + usize(width) * 4;
    for (; from < end; from += 16) {
      v128.store(to, f32x4.mul(v128.load(from), inverse));
      to += 16;
    }
  }
}

/** Partial results: [chunks][heads][T * G] records of maximum, total, two words of padding, sums [Dv]. */
export function writePartial(tile: usize, chunk: i32, piece: usize): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const rows = load<i32>(tile, COUNT);
  const halves = load<i32>(part, VALUE_TYPE) == KV_F16;
  const totalUnit = halves ? f32(1) / WEIGHT_UNIT : f32(1);
  const unit = f32x4.splat(halves ? HALF_UNIT / WEIGHT_UNIT : f32(1));
  const range = load<i32>(piece, CHUNK_RANGE);
  const start = load<i32>(piece, CHUNK_START), end = load<i32>(piece, CHUNK_END);
  const bytes = usize(load<i32>(call, VALUE_WIDTH)) * 4;
  const heads = chunk * load<i32>(part, HEADS) + load<i32>(tile, HEAD);
  const index = heads * load<i32>(part, ROWS) + load<i32>(tile, FIRST);
  let out = load<usize>(part, PARTIALS) + usize(index) * (bytes + 16);
  let from = tile + SUMS;
  for (let row = 0; row < rows; row++) {
    const total = totalOf(tile, row, range, 1, start, end);
    store<f32>(out, load<f32>(tile + usize(row) * 4, STATE));
    store<f32>(out, total * totalUnit, 4);
    out += 16;
    for (const last = out + bytes; out < last; out += 16) {
      v128.store(out, f32x4.mul(v128.load(from), unit));
      from += 16;
    }
  }
}
