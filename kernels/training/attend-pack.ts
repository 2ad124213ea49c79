// Attention for training, before its tiles: keys and values of each KV head by pages of 16, as columns, whose lanes are
// keys, and as rows; and the biases of a table by distance.
//
// Arguments of both: 0 record (attend-record.ts).
import {
  BIASES, BUCKETS, GROUP, HEADS, K, K_STRIDE, KEY_COLUMNS, KEY_ROWS, KEYS, PAGES, REACH, TABLE, TABLE_COLUMNS, V,
  V_STRIDE, VALUE_COLUMNS, VALUE_ROWS, VALUE_WIDTH, WIDTH,
} from "./attend-record";
import { BLOCK_SLOTS } from "../abi";
import { share } from "../vector/simd";

export function attendPack(args: usize, thread: i32, threads: i32): void {
  const call = load<usize>(args);
  const pages = load<i32>(call, PAGES);
  const items = load<i32>(call, HEADS) * pages;
  const end = share(items, thread + 1, threads);
  for (let item = share(items, thread, threads); item < end; item++) {
    const head = usize(item / pages);
    const first = (item % pages) * 16;
    const count = min(load<i32>(call, KEYS) - first, 16);
    const key = usize(load<i32>(call, WIDTH)) * 4;
    const value = usize(load<i32>(call, VALUE_WIDTH)) * 4;
    const k = load<usize>(call, K) + usize(first) * load<usize>(call, K_STRIDE) + head * key;
    const v = load<usize>(call, V) + usize(first) * load<usize>(call, V_STRIDE) + head * value;
    packRows(k, load<usize>(call, K_STRIDE), count, key, load<usize>(call, KEY_ROWS), usize(item));
    packRows(v, load<usize>(call, V_STRIDE), count, value, load<usize>(call, VALUE_ROWS), usize(item));
    packColumns(k, load<usize>(call, K_STRIDE), count, key, load<usize>(call, KEY_COLUMNS), usize(item));
    packColumns(v, load<usize>(call, V_STRIDE), count, value, load<usize>(call, VALUE_COLUMNS), usize(item));
  }
}

/** One page as [16][width]; `bytes` is that of a row. Keys that are not there are zeros. */
function packRows(from: usize, stride: usize, count: i32, bytes: usize, pages: usize, page: usize): void {
  if (pages == 0) return;
  const to = pages + page * 16 * bytes;
  for (let i: usize = 0; i < usize(count); i++) memory.copy(to + i * bytes, from + i * stride, bytes);
  memory.fill(to + usize(count) * bytes, 0, usize(16 - count) * bytes);
}

/** One page as [width][16]. */
function packColumns(from: usize, stride: usize, count: i32, bytes: usize, pages: usize, page: usize): void {
  if (pages == 0) return;
  const to = pages + page * 16 * bytes;
  for (let i = 0; i < 16; i += 4) {
    const row = from + usize(i) * stride;
    const quad = to + usize(i) * 4;
    for (let d: usize = 0; d < bytes; d += 16) {
      const a = rowOf(row + d, i, count), b = rowOf(row + stride + d, i + 1, count);
      const c = rowOf(row + 2 * stride + d, i + 2, count), e = rowOf(row + 3 * stride + d, i + 3, count);
      const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ce = v128.shuffle<f32>(c, e, 0, 4, 1, 5);
      const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7), ceHigh = v128.shuffle<f32>(c, e, 2, 6, 3, 7);
      v128.store(quad + d * 16, v128.shuffle<f32>(ab, ce, 0, 1, 4, 5));
      v128.store(quad + d * 16 + 64, v128.shuffle<f32>(ab, ce, 2, 3, 6, 7));
      v128.store(quad + d * 16 + 128, v128.shuffle<f32>(abHigh, ceHigh, 0, 1, 4, 5));
      v128.store(quad + d * 16 + 192, v128.shuffle<f32>(abHigh, ceHigh, 2, 3, 6, 7));
    }
  }
}

// @ts-ignore: decorator
@inline
function rowOf(at: usize, key: i32, count: i32): v128 {
  return key < count ? v128.load(at) : f32x4.splat(0);
}

/** The bucket of entry i of a row of biases (see attention-adjust.ts). */
export function bucketOf(call: usize, i: i32): i32 {
  const reach = load<i32>(call, REACH);
  const distance = min(max(reach + BLOCK_SLOTS - i, -reach), reach);
  return load<i32>(load<usize>(call, BUCKETS) + usize(reach + distance) * 4);
}

/** Rows of biases of the call's query heads, by a table that training may have changed since the last call. */
export function attendBiases(args: usize, thread: i32, threads: i32): void {
  const call = load<usize>(args);
  const heads = load<i32>(call, HEADS) * load<i32>(call, GROUP);
  const columns = load<i32>(call, TABLE_COLUMNS);
  const width = 2 * (load<i32>(call, REACH) + BLOCK_SLOTS);
  const end = share(width, thread + 1, threads);
  for (let i = share(width, thread, threads); i < end; i++) {
    const from = load<usize>(call, TABLE) + usize(bucketOf(call, i) * columns) * 4;
    const to = load<usize>(call, BIASES) + usize(i) * 4;
    for (let h = 0; h < heads; h++) store<f32>(to + usize(h * width) * 4, load<f32>(from + usize(h) * 4));
  }
}
