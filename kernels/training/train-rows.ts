// What training does with rows beside derivatives: zeros, copies, sums in place. Tensors that are added to may be parts
// of others, so nothing behind their last element is touched.
import { share } from "../vector/simd";

// Threads share in units of a cache line.
const UNIT: i32 = 16;

/** The first element of this thread's share, in whole units. */
// @ts-ignore: decorator
@inline
export function shareUnits(elements: i32, thread: i32, threads: i32): i32 {
  return min(share((elements + UNIT - 1) / UNIT, thread, threads) * UNIT, elements);
}

/** Arguments: 0 out, 4 elements. */
export function zero(args: usize, thread: i32, threads: i32): void {
  const elements = load<i32>(args, 4);
  const from = usize(shareUnits(elements, thread, threads)) * 4;
  const to = usize(shareUnits(elements, thread + 1, threads)) * 4;
  memory.fill(load<usize>(args) + from, 0, to - from);
}

/** Arguments: 0 x, 4 out, 8 elements. */
export function copy(args: usize, thread: i32, threads: i32): void {
  const elements = load<i32>(args, 8);
  const from = usize(shareUnits(elements, thread, threads)) * 4;
  const to = usize(shareUnits(elements, thread + 1, threads)) * 4;
  memory.copy(load<usize>(args, 4) + from, load<usize>(args) + from, to - from);
}

/** Arguments: 0 into, 4 x, 8 elements. */
export function accumulate(args: usize, thread: i32, threads: i32): void {
  const elements = load<i32>(args, 8);
  const from = usize(shareUnits(elements, thread, threads)) * 4;
  const to = usize(shareUnits(elements, thread + 1, threads)) * 4;
  addBytes(load<usize>(args) + from, load<usize>(args, 4) + from, to - from);
}

/** into += x */
// @ts-ignore: decorator
@inline
function addBytes(into: usize, x: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(into + i, f32x4.add(v128.load(into + i), v128.load(x + i)));
  for (; i < bytes; i += 4) store<f32>(into + i, load<f32>(into + i) + load<f32>(x + i));
}

/**
 * into[ids[t]] += x[t]. Threads share the columns: a row may be named many times, and its sums keep the order of t.
 * Arguments: 0 x, 4 ids (i32), 8 into, 12 count, 16 columns.
 */
export function scatterRows(args: usize, thread: i32, threads: i32): void {
  const columns = load<i32>(args, 16);
  const from = usize(shareUnits(columns, thread, threads)) * 4;
  const to = usize(shareUnits(columns, thread + 1, threads)) * 4;
  if (from == to) return;
  const bytes = usize(columns) * 4;
  const count = load<i32>(args, 12);
  const into = load<usize>(args, 8) + from;
  let id = load<usize>(args, 4);
  let x = load<usize>(args) + from;
  for (let t = 0; t < count; t++) {
    addBytes(into + usize(load<i32>(id)) * bytes, x, to - from);
    id += 4;
    x += bytes;
  }
}

/**
 * into += the sum of all parts, in their order. Arguments: 0 parts, 4 into, 8 number of parts, 12 bytes from one to the
 * next, 16 elements.
 */
export function mergeParts(args: usize, thread: i32, threads: i32): void {
  const elements = load<i32>(args, 16);
  const to = usize(shareUnits(elements, thread + 1, threads)) * 4;
  const stride = load<usize>(args, 12);
  const bytes = load<usize>(args, 8) * stride;
  const parts = load<usize>(args);
  const into = load<usize>(args, 4);
  let i = usize(shareUnits(elements, thread, threads)) * 4;
  for (; i + 16 <= to; i += 16) {
    let sum = f32x4.splat(0);
    for (let part: usize = 0; part < bytes; part += stride) sum = f32x4.add(sum, v128.load(parts + part + i));
    v128.store(into + i, f32x4.add(v128.load(into + i), sum));
  }
  for (; i < to; i += 4) {
    let sum: f32 = 0;
    for (let part: usize = 0; part < bytes; part += stride) sum += load<f32>(parts + part + i);
    store<f32>(into + i, load<f32>(into + i) + sum);
  }
}

/**
 * The angles that turn the other way: pairs of cosine and sine with the sine negated. Arguments: 0 angles, 4 out, 8
 * pairs.
 */
export function turnBack(args: usize, thread: i32, threads: i32): void {
  const pairs = load<i32>(args, 8);
  const signs = f32x4(0, -0.0, 0, -0.0);
  // The last vector may hold one pair more: `out` is new and has room.
  const vectors = (pairs + 1) >> 1;
  const end = usize(share(vectors, thread + 1, threads)) * 16;
  for (let i = usize(share(vectors, thread, threads)) * 16; i < end; i += 16) {
    v128.store(load<usize>(args, 4) + i, v128.xor(v128.load(load<usize>(args) + i), signs));
  }
}
