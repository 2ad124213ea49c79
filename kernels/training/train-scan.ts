// The derivative of the selective scan (scan.ts) from a state of zeros. With L[t, n] = exp(d a[n]), u = d x and G[t]
// the gradient of the state behind row t, from the last row to the first:
//   G[t] = dy c[t] + L[t+1] G[t+1]     dx = d sum(b G) + skip dy     db = sum over channels of u G     dc = of dy S[t]
//   dd = sum(a L S[t-1] G) + x sum(b G)     da = sum over rows of d L S[t-1] G     ddt = sigmoid(dt) dd
// A channel's states are not kept: it is run forward once, of which every 64th state stays, and again in each 64 rows
// before these are run backward. Heads are taken in a number of blocks that does not depend on the threads, each in one
// group, 16 channels at a time; b's and c's gradients are summed up in each block and added in SCAN_MERGE in order. N
// numbers are filled up with zeros to eights in the work memory and the sums, and lie by eights there
// (train-scan-block.ts).
//
// Arguments: 0 x [T, H*P], 4 dt [T, H], 8 a [H, A], 12 b [T, G*N], 16 c, 20 skip [H], 24 dy [T, H*P], 28 dx, 32 ddt, 36
// sums [G * blocks of a group][eights][T][b, c][8], 40 gradient of a, or 0, 44 of skip, or 0, 48 T, 52 H, 56 P, 60 G,
// 64 N, 68 A: N or 1, 72 blocks of a group, 76 work memory of all threads, 80 its bytes for one.
import { exp4 } from "../vector/exponential";
import { softplus, timesSigmoid } from "../vector/functions";
import { loadSome, share, storeSome, sum4 } from "../vector/simd";
import {
  advanceDecaying, advanceScaled, backwardDecaying, backwardScaled, DECAY, INPUT, NUMBERS, RECORD, recomputeDecaying,
  recomputeScaled, SLOPE, STEP, SUMS, TOTALS, X,
} from "./train-scan-block";

const ROWS: i32 = 64;
const CHANNELS: i32 = 16;

// The work memory: numbers and totals of the rows of one channel; then, in bytes of a state: a and its gradient of
// these rows; the records; what comes from the row behind, by channel; states at every 64th row, [chunks][CHANNELS].
const ALL_TOTALS: usize = NUMBERS;
const A: usize = ALL_TOTALS + usize(ROWS) * TOTALS;
const OF_A: usize = 1;
const RECORDS: usize = 2;
const CARRIES: usize = RECORDS + usize(ROWS) * (RECORD / 32);
const CHECKS: usize = CARRIES + usize(CHANNELS);

/** Bytes of a state in eights. */
// @ts-ignore: decorator
@inline
function stateBytes(args: usize): usize {
  return usize((load<i32>(args, 64) + 7) & -8) * 4;
}

export function scanBack(args: usize, thread: i32, threads: i32): void {
  const work = load<usize>(args, 76) + usize(thread) * load<usize>(args, 80);
  const blocks = load<i32>(args, 60) * load<i32>(args, 72);
  const end = share(blocks, thread + 1, threads);
  for (let block = share(blocks, thread, threads); block < end; block++) scanBlock(args, block, work);
}

function scanBlock(args: usize, block: i32, work: usize): void {
  const rows = load<i32>(args, 48);
  const width = load<i32>(args, 56);
  const ofGroup = load<i32>(args, 52) / load<i32>(args, 60);
  const blocks = load<i32>(args, 72);
  const group = block / blocks;
  const first = group * ofGroup + share(ofGroup, block % blocks, blocks);
  const end = group * ofGroup + share(ofGroup, (block % blocks) + 1, blocks);
  const bytes = usize(rows) * (SUMS / 32) * stateBytes(args);
  const sums = load<usize>(args, 36) + usize(block) * bytes;
  memory.fill(sums, 0, bytes);
  const stride = usize(load<i32>(args, 52)) * 4;
  const ofSteps = load<usize>(args, 32) + usize(first) * 4;
  for (let t: usize = 0; t < usize(rows); t++) memory.fill(ofSteps + t * stride, 0, usize(end - first) * 4);
  for (let channel = first * width; channel < end * width; channel += CHANNELS) {
    scanChannels(args, group, sums, channel, min(CHANNELS, end * width - channel), work);
  }
  for (let t: usize = 0; t < usize(rows); t++) {
    for (let head = first; head < end; head += 4) {
      const at = t * stride + usize(head) * 4;
      const d = loadSome(load<usize>(args, 32) + at, end - head);
      storeSome(load<usize>(args, 32) + at, timesSigmoid(d, loadSome(load<usize>(args, 4) + at, end - head)), end - head);
    }
  }
}

/** Channels [first, first + count), all rows. */
function scanChannels(args: usize, group: i32, sums: usize, first: i32, count: i32, work: usize): void {
  const rows = load<i32>(args, 48);
  const bytes = stateBytes(args);
  const slot = bytes * CHANNELS;
  let check = work + A + CHECKS * bytes;
  memory.fill(check, 0, slot);
  let row = 0;
  for (; row + ROWS < rows; row += ROWS) {
    gather(args, load<usize>(args, 12), group, row, ROWS, work + A + RECORDS * bytes);
    for (let i = 0; i < count; i++) {
      prepare(args, first + i, row, ROWS, work);
      const state = check + usize(i) * bytes;
      memory.copy(state + slot, state, bytes);
      forward(args, state + slot, work);
    }
    check += slot;
  }
  memory.fill(work + A + CARRIES * bytes, 0, slot);
  for (; row >= 0; row -= ROWS) {
    const some = min(ROWS, rows - row);
    gather(args, load<usize>(args, 12), group, row, some, work + A + RECORDS * bytes);
    gather(args, load<usize>(args, 16), group, row, some, work + A + RECORDS * bytes + 32);
    for (let i = 0; i < count; i++) {
      prepare(args, first + i, row, some, work);
      const carry = work + A + (CARRIES + usize(i)) * bytes;
      back(args, check + usize(i) * bytes, carry, sums + usize(row) * SUMS, some, work);
      finish(args, first + i, row, some, work);
    }
    check -= slot;
  }
}

/** A group's rows of b or c to their places in the records, zeros behind them. */
function gather(args: usize, from: usize, group: i32, row: i32, rows: i32, to: usize): void {
  const states = load<i32>(args, 64);
  const stride = usize(states * load<i32>(args, 60)) * 4;
  from += usize(row) * stride + usize(group * states) * 4;
  for (let n = 0; n < states; n += 8) {
    const some = states - n;
    for (let t: usize = 0; t < usize(rows); t++) {
      const x = from + t * stride + usize(n) * 4;
      v128.store(to + t * RECORD, loadSome(x, some));
      v128.store(to + t * RECORD, some > 4 ? loadSome(x + 16, some - 4) : f32x4.splat(0), 16);
    }
    to += usize(ROWS) * RECORD;
  }
}

/** What a channel's rows are made of: a, d, x, d x, dy and the decays. */
function prepare(args: usize, channel: i32, row: i32, rows: i32, work: usize): void {
  const heads = load<i32>(args, 52);
  const head = channel / load<i32>(args, 56);
  const bytes = stateBytes(args);
  const stride = usize(heads * load<i32>(args, 56)) * 4;
  const at = usize(row) * stride + usize(channel) * 4;
  let dt = load<usize>(args, 4) + usize(row * heads + head) * 4;
  for (let t: usize = 0; t < usize(rows); t++) {
    store<f32>(work + t * 4, load<f32>(dt), STEP);
    store<f32>(work + t * 4, load<f32>(load<usize>(args) + at + t * stride), X);
    store<f32>(work + t * 4, load<f32>(load<usize>(args, 24) + at + t * stride), SLOPE);
    dt += usize(heads) * 4;
  }
  const scaled = load<i32>(args, 68) == 1;
  const states = usize(load<i32>(args, 64)) * 4;
  let a = f32x4.splat(0);
  if (scaled) {
    a = v128.load32_splat(load<usize>(args, 8) + usize(head) * 4);
    for (let n: usize = 0; n < bytes; n += 16) v128.store(work + A + n, a);
  } else {
    memory.copy(work + A, load<usize>(args, 8) + usize(head) * states, states);
    memory.fill(work + A + states, 0, bytes - states);
  }
  for (let t: usize = 0; t < usize(rows) * 4; t += 16) {
    const d = softplus(v128.load(work + t, STEP));
    v128.store(work + t, d, STEP);
    v128.store(work + t, f32x4.mul(d, v128.load(work + t, X)), INPUT);
    if (scaled) v128.store(work + t, exp4(f32x4.mul(d, a)), DECAY);
  }
}

/** A state through 64 rows. */
function forward(args: usize, state: usize, work: usize): void {
  const bytes = stateBytes(args);
  const scaled = load<i32>(args, 68) == 1;
  let record = work + A + RECORDS * bytes;
  for (let n: usize = 0; n < bytes; n += 32) {
    if (scaled) advanceScaled(work + A + n, state + n, record, work, ROWS);
    else advanceDecaying(work + A + n, state + n, record, work, ROWS);
    record += usize(ROWS) * RECORD;
  }
}

/** Rows forward from a state, then backward. `sums`: of the first row. */
function back(args: usize, state: usize, carry: usize, sums: usize, rows: i32, work: usize): void {
  const bytes = stateBytes(args);
  const scaled = load<i32>(args, 68) == 1;
  const stride = usize(load<i32>(args, 48)) * SUMS;
  const a = work + A;
  const ofA = a + OF_A * bytes;
  const totals = work + ALL_TOTALS;
  let record = a + RECORDS * bytes;
  memory.fill(totals, 0, usize(rows) * TOTALS);
  for (let n: usize = 0; n < bytes; n += 32) {
    if (scaled) {
      recomputeScaled(a + n, state + n, record, sums, work, rows);
      backwardScaled(a + n, carry + n, ofA + n, record, sums, totals, work, rows);
    } else {
      recomputeDecaying(a + n, state + n, record, sums, work, rows);
      backwardDecaying(a + n, carry + n, ofA + n, record, sums, totals, work, rows);
    }
    record += usize(ROWS) * RECORD;
    sums += stride;
  }
}

/** A channel's dx, its part of ddt, and the gradients of a and skip. */
function finish(args: usize, channel: i32, row: i32, rows: i32, work: usize): void {
  const heads = load<i32>(args, 52);
  const width = load<i32>(args, 56);
  const head = channel / width;
  const skip = load<f32>(load<usize>(args, 20) + usize(head) * 4);
  let dx = load<usize>(args, 28) + usize(row * heads * width + channel) * 4;
  let ddt = load<usize>(args, 32) + usize(row * heads + head) * 4;
  let ofSkip: f64 = 0;
  for (let t: usize = 0; t < usize(rows); t++) {
    const input = sum4(v128.load(work + ALL_TOTALS + t * TOTALS));
    const decay = sum4(v128.load(work + ALL_TOTALS + t * TOTALS, 16));
    const x = load<f32>(work + t * 4, X);
    const dy = load<f32>(work + t * 4, SLOPE);
    store<f32>(dx, load<f32>(work + t * 4, STEP) * input + skip * dy);
    store<f32>(ddt, load<f32>(ddt) + (decay + x * input));
    ofSkip += f64(x) * f64(dy);
    dx += usize(heads * width) * 4;
    ddt += usize(heads) * 4;
  }
  addGradients(args, head, work + A + OF_A * stateBytes(args), f32(ofSkip));
}

function addGradients(args: usize, head: i32, ofA: usize, ofSkip: f32): void {
  const skips = load<usize>(args, 44);
  if (skips != 0) store<f32>(skips + usize(head) * 4, load<f32>(skips + usize(head) * 4) + ofSkip);
  let gradient = load<usize>(args, 40);
  if (gradient == 0) return;
  const states = load<i32>(args, 64);
  if (load<i32>(args, 68) == 1) {
    gradient += usize(head) * 4;
    let sum = f32x4.splat(0);
    for (let n: usize = 0; n < stateBytes(args); n += 16) sum = f32x4.add(sum, v128.load(ofA + n));
    store<f32>(gradient, load<f32>(gradient) + sum4(sum));
    return;
  }
  gradient += usize(head * states) * 4;
  for (let n: usize = 0; n < usize(states) * 4; n += 4) {
    store<f32>(gradient + n, load<f32>(gradient + n) + load<f32>(ofA + n));
  }
}

/**
 * The sums over a group's blocks, in order. Arguments: 0 sums, as of SCAN_BACK, 4 gradient of b [T, G*N], 8 of c, 12 T,
 * 16 G, 20 N, 24 blocks of a group.
 */
export function scanMerge(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 12);
  const groups = load<i32>(args, 16);
  const states = load<i32>(args, 20);
  const blocks = load<i32>(args, 24);
  const eights = (states + 7) >> 3;
  const stride = usize(rows * eights) * SUMS;
  const end = share(rows, thread + 1, threads);
  for (let row = share(rows, thread, threads); row < end; row++) {
    for (let group = 0; group < groups; group++) {
      const out = usize((row * groups + group) * states) * 4;
      const sums = load<usize>(args) + usize(group * blocks) * stride + usize(row) * SUMS;
      for (let n = 0; n < states; n += 4) {
        const at = sums + usize(n >> 3) * usize(rows) * SUMS + usize(n & 4) * 4;
        let b = f32x4.splat(0);
        let c = f32x4.splat(0);
        for (let block: usize = 0; block < usize(blocks); block++) {
          b = f32x4.add(b, v128.load(at + block * stride));
          c = f32x4.add(c, v128.load(at + block * stride, 32));
        }
        storeSome(load<usize>(args, 4) + out + usize(n) * 4, b, states - n);
        storeSome(load<usize>(args, 8) + out + usize(n) * 4, c, states - n);
      }
    }
  }
}
