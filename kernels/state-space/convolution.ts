// The causal depthwise convolution of state-space layers, then SiLU: channels are lanes, rows come one after the other, so that
// the inputs of the last rows stay in the first-level cache.
//
// Arguments: 0 x [T, channels], 4 kernel by columns [K, channels], 8 bias, or 0, 12 before [K-1, channels], 16 after, 20 out,
// 24 T, 28 channels, 32 K. Threads share the channels.
import { timesSigmoid } from "../vector/functions";
import { madd, share } from "../vector/simd";

export function convolution(args: usize, thread: i32, threads: i32): void {
  const channels = load<i32>(args, 28);
  const vectors = (channels + 3) >> 2;
  const from = usize(share(vectors, thread, threads)) * 16;
  const to = usize(min(share(vectors, thread + 1, threads) * 4, channels)) * 4;
  if (from >= to) return;
  const rows = load<i32>(args, 24);
  if (load<i32>(args, 32) == 4) for (let t = 0; t < rows; t++) fourTaps(args, t, from, to);
  else for (let t = 0; t < rows; t++) anyTaps(args, t, from, to);
  const kept = load<i32>(args, 32) - 1;
  const bytes = usize(channels) * 4;
  for (let k = 0; k < kept; k++) {
    memory.copy(load<usize>(args, 16) + usize(k) * bytes + from, inputRow(args, rows + k) + from, to - from);
  }
}

/** Row `index` of what came before and x, in this order. */
// @ts-ignore: decorator
@inline
function inputRow(args: usize, index: i32): usize {
  const bytes = usize(load<i32>(args, 28)) * 4;
  const kept = load<i32>(args, 32) - 1;
  return index < kept ? load<usize>(args, 12) + usize(index) * bytes : load<usize>(args) + usize(index - kept) * bytes;
}

/** Row t of the result, bytes [from, to) of it. */
function fourTaps(args: usize, t: i32, from: usize, to: usize): void {
  const bytes = usize(load<i32>(args, 28)) * 4;
  const x0 = inputRow(args, t), x1 = inputRow(args, t + 1), x2 = inputRow(args, t + 2), x3 = inputRow(args, t + 3);
  const kernel = load<usize>(args, 4);
  const bias = load<usize>(args, 8);
  const out = load<usize>(args, 20) + usize(t) * bytes;
  let i = from;
  for (; i + 16 <= to; i += 16) {
    const w = kernel + i;
    let sum = bias == 0 ? f32x4.splat(0) : v128.load(bias + i);
    sum = madd(v128.load(x0 + i), v128.load(w), sum);
    sum = madd(v128.load(x1 + i), v128.load(w + bytes), sum);
    sum = madd(v128.load(x2 + i), v128.load(w + 2 * bytes), sum);
    sum = madd(v128.load(x3 + i), v128.load(w + 3 * bytes), sum);
    v128.store(out + i, timesSigmoid(sum, sum));
  }
  for (; i < to; i += 4) one(args, t, i, out + i);
}

function anyTaps(args: usize, t: i32, from: usize, to: usize): void {
  const width = load<i32>(args, 32);
  const bytes = usize(load<i32>(args, 28)) * 4;
  const kernel = load<usize>(args, 4);
  const bias = load<usize>(args, 8);
  const out = load<usize>(args, 20) + usize(t) * bytes;
  let i = from;
  for (; i + 16 <= to; i += 16) {
    let sum = bias == 0 ? f32x4.splat(0) : v128.load(bias + i);
    for (let k = 0; k < width; k++) {
      sum = madd(v128.load(inputRow(args, t + k) + i), v128.load(kernel + usize(k) * bytes + i), sum);
    }
    v128.store(out + i, timesSigmoid(sum, sum));
  }
  for (; i < to; i += 4) one(args, t, i, out + i);
}

/** One channel, `i` bytes from the first. */
function one(args: usize, t: i32, i: usize, out: usize): void {
  const width = load<i32>(args, 32);
  const bytes = usize(load<i32>(args, 28)) * 4;
  const kernel = load<usize>(args, 4) + i;
  const bias = load<usize>(args, 8);
  let sum = bias == 0 ? f32x4.splat(0) : v128.load32_zero(bias + i);
  for (let k = 0; k < width; k++) {
    sum = madd(v128.load32_zero(inputRow(args, t + k) + i), v128.load32_zero(kernel + usize(k) * bytes), sum);
  }
  v128.store32_lane(out, timesSigmoid(sum, sum), 0);
}
