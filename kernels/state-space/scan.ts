// The selective scan of Mamba (2312.00752) and Mamba-2 (2405.21060). For each row and head h, with d = softplus(dt[h]):
//   state[h, p, n] = exp(d a[h, n]) state[h, p, n] + d b[g, n] x[h, p]
//   y[h, p] = sum over n of c[g, n] state[h, p, n], + skip[h] x[h, p]
// Up to 16 channels (h, p) and 64 rows are taken together: d and d x of all of them first (lanes are channels); then, channel
// by channel, all rows with 16 numbers of the state in registers (lanes are n); then the sums of the lanes.
//
// Arguments: 0 x [T, H*P], 4 dt [T, H], 8 a [H, A], 12 b [T, G*N], 16 c [T, G*N], 20 skip [H], 24 before [H*P, N], 28 after,
// 32 out, 36 T, 40 H, 44 P, 48 G, 52 N, 56 A: N or 1, 60 scratch of all threads. Threads share the channels.
import { SCRATCH_BYTES } from "../abi";
import { exp4 } from "../vector/exponential";
import { softplus } from "../vector/functions";
import { sumLanes } from "../linear/linear-simd";
import { decayingBlock, decayingLane, prepareExponential, scaledBlock, scaledLane } from "./scan-block";
import { loadSome, madd, share, storeSome } from "../vector/simd";

const CHANNELS: i32 = 16;
const ROWS: i32 = 64;
// The scratch memory: for each row and channel d (or the decay, where a head has one) and d x; for each channel and row four
// sums; then what scan-block.ts needs.
const STEPS: usize = 0;
const INPUTS: usize = usize(ROWS * CHANNELS * 4);
const SUMS: usize = 2 * INPUTS;
const CONSTANTS: usize = SUMS + usize(ROWS * CHANNELS * 16);

export function scan(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 36);
  const heads = load<i32>(args, 40);
  const width = load<i32>(args, 44);
  const states = load<i32>(args, 52);
  const scratch = load<usize>(args, 60) + usize(thread) * SCRATCH_BYTES;
  const ofHead = (width + CHANNELS - 1) / CHANNELS;
  const groups = width == 1 ? (heads + CHANNELS - 1) / CHANNELS : heads * ofHead;
  const end = share(groups, thread + 1, threads);
  prepareExponential(scratch + CONSTANTS);
  for (let group = share(groups, thread, threads); group < end; group++) {
    let first = group * CHANNELS;
    let count = min(CHANNELS, heads - first);
    if (width > 1) {
      const within = (group % ofHead) * CHANNELS;
      first = (group / ofHead) * width + within;
      count = min(CHANNELS, width - within);
    }
    const offset = usize(first) * usize(states) * 4;
    if (rows == 0) memory.copy(load<usize>(args, 28) + offset, load<usize>(args, 24) + offset, usize(count * states) * 4);
    for (let row = 0; row < rows; row += ROWS) scanGroup(args, first, count, row, min(ROWS, rows - row), scratch);
  }
}

/** Channels [first, first + count), rows [row, row + rows). */
function scanGroup(args: usize, first: i32, count: i32, row: i32, rows: i32, scratch: usize): void {
  const heads = load<i32>(args, 40);
  const width = load<i32>(args, 44);
  const groups = load<i32>(args, 48);
  const states = load<i32>(args, 52);
  const bytes = usize(states) * 4;
  const stride = usize(groups) * bytes;
  if (width == 1) stepsOfHeads(args, first, count, row, rows, scratch);
  else stepsOfHead(args, first, count, row, rows, scratch);
  memory.fill(scratch + SUMS, 0, usize(count * rows) * 16);
  for (let i = 0; i < count; i++) {
    const head = (first + i) / width;
    const group = head / (heads / groups);
    const b = load<usize>(args, 12) + usize(row) * stride + usize(group) * bytes;
    const c = load<usize>(args, 16) + usize(row) * stride + usize(group) * bytes;
    const at = usize(first + i) * bytes;
    const to = load<usize>(args, 28) + at;
    const from = row == 0 ? load<usize>(args, 24) + at : to;
    const a = load<i32>(args, 56) == 1 ? 0 : load<usize>(args, 8) + usize(head) * bytes;
    scanChannel(a, b, c, stride, states, from, to, rows, i, scratch);
  }
  finish(args, first, count, row, rows, scratch);
}

/** Channel i of the group: all rows with 16 numbers of its state after 16. `a`: 0 where the decays are known. */
function scanChannel(
  a: usize, b: usize, c: usize, stride: usize, states: i32, from: usize, to: usize, rows: i32, i: i32, scratch: usize,
): void {
  const steps = scratch + STEPS + usize(i) * 4;
  const inputs = scratch + INPUTS + usize(i) * 4;
  const sums = scratch + SUMS + usize(i * rows) * 16;
  const blocks = usize(states >> 4) * 64;
  const end = usize(states) * 4;
  let n: usize = 0;
  if (a == 0) {
    for (; n < blocks; n += 64) scaledBlock(b + n, c + n, stride, from + n, to + n, rows, steps, inputs, sums);
    for (; n < end; n += 4) scaledLane(b + n, c + n, stride, from + n, to + n, rows, steps, inputs, sums);
  } else {
    const work = scratch + CONSTANTS;
    for (; n < blocks; n += 64) decayingBlock(a + n, b + n, c + n, stride, from + n, to + n, rows, steps, inputs, sums, work);
    for (; n < end; n += 4) decayingLane(a + n, b + n, c + n, stride, from + n, to + n, rows, steps, inputs, sums);
  }
}

/** d and d x where every channel is a head. */
function stepsOfHeads(args: usize, first: i32, count: i32, row: i32, rows: i32, scratch: usize): void {
  const bytes = usize(load<i32>(args, 40)) * 4;
  const x = load<usize>(args) + usize(row) * bytes + usize(first) * 4;
  const dt = load<usize>(args, 4) + usize(row) * bytes + usize(first) * 4;
  const scaled = load<i32>(args, 56) == 1;
  for (let i = 0; i < count; i += 4) {
    const at = usize(i) * 4;
    const a = scaled ? loadSome(load<usize>(args, 8) + usize(first + i) * 4, count - i) : f32x4.splat(0);
    let to = scratch + at;
    for (let t: usize = 0; t < usize(rows); t++) {
      const d = softplus(loadSome(dt + t * bytes + at, count - i));
      v128.store(to + STEPS, scaled ? exp4(f32x4.mul(d, a)) : d);
      v128.store(to + INPUTS, f32x4.mul(d, loadSome(x + t * bytes + at, count - i)));
      to += CHANNELS * 4;
    }
  }
}

/** The same for channels of one head. */
function stepsOfHead(args: usize, first: i32, count: i32, row: i32, rows: i32, scratch: usize): void {
  const heads = load<i32>(args, 40);
  const width = load<i32>(args, 44);
  const head = first / width;
  const scaled = load<i32>(args, 56) == 1;
  const a = scaled ? v128.load32_splat(load<usize>(args, 8) + usize(head) * 4) : f32x4.splat(0);
  const bytes = usize(heads * width) * 4;
  for (let t = 0; t < rows; t++) {
    const d = softplus(v128.load32_splat(load<usize>(args, 4) + (usize(row + t) * usize(heads) + usize(head)) * 4));
    const step = scaled ? exp4(f32x4.mul(d, a)) : d;
    const x = load<usize>(args) + usize(row + t) * bytes + usize(first) * 4;
    const to = scratch + usize(t * CHANNELS) * 4;
    for (let i = 0; i < count; i += 4) {
      v128.store(to + STEPS + usize(i) * 4, step);
      v128.store(to + INPUTS + usize(i) * 4, f32x4.mul(d, loadSome(x + usize(i) * 4, count - i)));
    }
  }
}

/** Sums of the lanes, and what skips the state. */
function finish(args: usize, first: i32, count: i32, row: i32, rows: i32, scratch: usize): void {
  const width = load<i32>(args, 44);
  const bytes = usize(load<i32>(args, 40) * width) * 4;
  const stride = usize(rows) * 16;
  for (let i = 0; i < count; i += 4) {
    const some = min(4, count - i);
    const skips = load<usize>(args, 20) + usize((first + i) / width) * 4;
    const skip = width == 1 ? loadSome(skips, some) : v128.load32_splat(skips);
    const at = usize(row) * bytes + usize(first + i) * 4;
    let x = load<usize>(args) + at;
    let out = load<usize>(args, 32) + at;
    let sums = scratch + SUMS + usize(i) * stride;
    for (let t = 0; t < rows; t++) {
      const y = sumLanes(
        v128.load(sums), v128.load(sums + stride), v128.load(sums + 2 * stride), v128.load(sums + 3 * stride),
      );
      storeSome(out, madd(skip, loadSome(x, some), y), some);
      x += bytes;
      out += bytes;
      sums += 16;
    }
  }
}
