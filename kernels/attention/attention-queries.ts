// Queries as a tile wants them: scaled, one after the other; and what scores of such queries lack to be true ones.
import { KV_F16, KV_Q4 } from "../abi";
import { packNibbles } from "./attention-nibbles";
import { ADJUSTED, FIRST_TOKEN, GROUP, QUERIES, QUERY_STRIDE, SCALE, WIDTH } from "./attention-record";
import { CALL, COLUMN, COUNT, FIRST, PART, Q, roundUp, SPARE, UNITS } from "./attention-scratch";
import { LOG2E } from "./attention-softmax";
import { HALF_UNIT } from "../kv/f16";
import { hadamard } from "../kv/hadamard";
import { KEY_TYPE } from "../kv/slice-record";

// Of the 2^112 that keys from half floats lack, the queries carry this part and the softmax the rest: neither overflows.
// @ts-ignore: decorator
@inline
export const QUERY_UNIT: f32 = 1.8446744073709552e19;

/**
 * Whether log2(e) enters with the maximum: where one rounding does both, or where scores are adjusted, which must be true
 * ones. Else it is in the queries: each is the more exact one there.
 */
// @ts-ignore: decorator
@inline
function withMaximum(call: usize): bool {
  return ASC_FEATURE_RELAXED_SIMD || load<i32>(call, ADJUSTED) != 0;
}

/** What scores of packed queries are to be multiplied by before they are adjusted. */
// @ts-ignore: decorator
@inline
export function scoreUnit(part: usize): f32 {
  return load<i32>(part, KEY_TYPE) == KV_F16 ? HALF_UNIT / QUERY_UNIT : f32(1);
}

/** What the softmax is to multiply scores by. */
// @ts-ignore: decorator
@inline
export function weightUnit(call: usize, part: usize): f32 {
  return (withMaximum(call) ? LOG2E : f32(1)) * (load<i32>(call, ADJUSTED) != 0 ? f32(1) : scoreUnit(part));
}

/**
 * The tile's queries of a range, scaled, as [rows][D], zeros in the rows that fill it up. One with an infinity becomes NaN:
 * its scores might all be -inf, as if it saw nothing. Those that meet keys of 4 bits are rotated as the keys are, and packed.
 */
export function packQueries(tile: usize, range: i32): void {
  const call = load<usize>(tile, CALL), part = load<usize>(tile, PART);
  const first = load<i32>(tile, FIRST), rows = load<i32>(tile, COUNT);
  const width = load<i32>(call, WIDTH), group = load<i32>(call, GROUP);
  const column = load<i32>(tile, COLUMN);
  const stride = load<usize>(call, QUERY_STRIDE);
  const keyUnit = load<i32>(part, KEY_TYPE) == KV_F16 ? QUERY_UNIT : f32(1);
  const scale = f32x4.splat(load<f32>(call, SCALE) * ((withMaximum(call) ? f32(1) : LOG2E) * keyUnit));
  const queries = load<usize>(load<usize>(part, QUERIES) + usize(range) * 4) + load<usize>(part, FIRST_TOKEN) * stride;
  const rotates = load<i32>(part, KEY_TYPE) == KV_Q4;
  let out = tile + Q;
  for (let row = first; row < first + rows; row++) {
    const t = row / group;
    const from = queries + usize(t) * stride + usize((column + row - t * group) * width) * 4;
    const end = from + usize(width) * 4;
    let most = i32x4.splat(0);
    for (let at = from; at < end; at += 16) {
      const query = f32x4.mul(v128.load(at), scale);
      most = i32x4.max_s(most, f32x4.abs(query));
      v128.store(out, query);
      out += 16;
    }
    if (rotates) hadamard(out - usize(width) * 4, width, 1);
    if (v128.any_true(i32x4.eq(most, f32x4.splat(Infinity)))) fillRow(out - usize(width) * 4, width, NaN);
  }
  if (rotates) packNibbles(tile + Q, rows, roundUp(rows), width, tile + UNITS, tile + SPARE);
  else memory.fill(out, 0, usize((roundUp(rows) - rows) * width) * 4);
}

function fillRow(row: usize, width: i32, x: f32): void {
  for (const end = row + usize(width) * 4; row < end; row += 4) store<f32>(row, x);
}
