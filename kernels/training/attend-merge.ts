// What attention's derivatives summed in parts, chunk by chunk (attend-rows-back.ts), is added up in the chunks' order.
//
// Arguments: 0 record (attend-record.ts). Threads share the pages of keys; the first adds the few gradients of sinks
// and biases.
import { BLOCK_SLOTS } from "../abi";
import { bucketOf } from "./attend-pack";
import {
  CHUNKS, DK, DV, GROUP, HEADS, K_STRIDE, KEYS, PAGES, REACH, SINK_PARTIALS, SINKS_GRADIENT, SLOT_OF, TABLE_COLUMNS,
  TABLE_GRADIENT, TABLE_PARTIALS, V_STRIDE, VALUE_WIDTH, WIDTH,
} from "./attend-record";
import { partialOf, tablePartialOf } from "./attend-rows-back";
import { share } from "../vector/simd";

export function attendMerge(args: usize, thread: i32, threads: i32): void {
  const call = load<usize>(args);
  const pages = load<i32>(call, PAGES);
  const items = load<i32>(call, HEADS) * pages;
  const end = share(items, thread + 1, threads);
  for (let item = share(items, thread, threads); item < end; item++) mergePage(call, item / pages, item % pages);
  if (thread > 0) return;
  if (load<usize>(call, SINK_PARTIALS) != 0) mergeSinks(call);
  if (load<usize>(call, TABLE_PARTIALS) != 0) mergeTable(call);
}

function mergePage(call: usize, head: i32, page: i32): void {
  const chunks = load<i32>(call, CHUNKS);
  const key = usize(load<i32>(call, WIDTH)) * 4;
  const value = usize(load<i32>(call, VALUE_WIDTH)) * 4;
  const keyStride = load<usize>(call, K_STRIDE), valueStride = load<usize>(call, V_STRIDE);
  const count = min(load<i32>(call, KEYS) - page * 16, 16);
  const dk = load<usize>(call, DK) + usize(page * 16) * keyStride + usize(head) * key;
  const dv = load<usize>(call, DV) + usize(page * 16) * valueStride + usize(head) * value;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const slot = load<i32>(load<usize>(call, SLOT_OF) + usize(chunk * load<i32>(call, PAGES) + page) * 4);
    if (slot < 0) continue;
    const partial = partialOf(call, head, slot);
    addRows(dk, keyStride, partial, key, count);
    addRows(dv, valueStride, partial + 16 * key, value, count);
  }
}

function addRows(to: usize, stride: usize, from: usize, bytes: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    for (let d: usize = 0; d < bytes; d += 16) v128.store(to + d, f32x4.add(v128.load(to + d), v128.load(from + d)));
    to += stride;
    from += bytes;
  }
}

function mergeSinks(call: usize): void {
  const heads = load<i32>(call, HEADS) * load<i32>(call, GROUP);
  for (let h = 0; h < heads; h++) {
    let sum: f64 = 0;
    for (let chunk = 0; chunk < load<i32>(call, CHUNKS); chunk++) {
      sum += f64(load<f32>(load<usize>(call, SINK_PARTIALS) + usize(chunk * heads + h) * 4));
    }
    const to = load<usize>(call, SINKS_GRADIENT) + usize(h) * 4;
    store<f32>(to, f32(f64(load<f32>(to)) + sum));
  }
}

/** The gradients of all distances, each to its bucket. */
function mergeTable(call: usize): void {
  const group = load<i32>(call, GROUP);
  const heads = load<i32>(call, HEADS) * group;
  const width = 2 * (load<i32>(call, REACH) + BLOCK_SLOTS);
  for (let i = 0; i < width; i++) {
    const row = load<usize>(call, TABLE_GRADIENT) + usize(bucketOf(call, i) * load<i32>(call, TABLE_COLUMNS)) * 4;
    for (let h = 0; h < heads; h++) {
      let sum: f64 = 0;
      for (let chunk = 0; chunk < load<i32>(call, CHUNKS); chunk++) {
        sum += f64(load<f32>(tablePartialOf(call, chunk, h / group) + usize((h % group) * width + i) * 4));
      }
      const to = row + usize(h) * 4;
      store<f32>(to, f32(f64(load<f32>(to)) + sum));
    }
  }
}
