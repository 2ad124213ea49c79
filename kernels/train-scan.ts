// The derivative of the selective scan (scan.ts) from a state of zeros. With L[t, n] = exp(d a[n]), u = d x and G[t] the gradient of
// the state behind row t, from the last row to the first:
//   G[t] = dy c[t] + L[t+1] G[t+1]     dx = d sum(b G) + skip dy     db = sum over channels of u G     dc = of dy S[t]
//   dd = sum(a L S[t-1] G) + x sum(b G)     da = sum over rows of d L S[t-1] G     ddt = sigmoid(dt) dd
// A channel's states are not kept: it is run forward once, of which every 64th state stays, and again in each 64 rows before these
// are run backward. Heads are taken in a number of blocks that does not depend on the threads, each in one group, 16 channels at a
// time; b's and c's gradients are summed up in each block and added in SCAN_MERGE in order. Rows of N numbers are filled up with
// zeros to whole vectors in the work memory.
//
// Arguments: 0 x [T, H*P], 4 dt [T, H], 8 a [H, A], 12 b [T, G*N], 16 c, 20 skip [H], 24 dy [T, H*P], 28 dx, 32 ddt, 36 sums of b
// [G * blocks of a group][T][N to whole vectors], 40 of c, 44 gradient of a, or 0, 48 of skip, or 0, 52 T, 56 H, 60 P, 64 G, 68 N,
// 72 A: N or 1, 76 blocks of a group, 80 work memory of all threads, 84 its bytes for one.
import { exp4 } from "./exponential";
import { softplus, timesSigmoid } from "./functions";
import { loadSome, madd, share, storeSome, sum4 } from "./simd";

const ROWS: i32 = 64;
const CHANNELS: i32 = 16;

// The work memory. Of the rows of one channel d, x, d x and dy; then, in rows of N numbers: a and its gradient of these rows; b, c,
// states (one more), decays; what comes from the row behind, by channel; states at every 64th row, [chunks][CHANNELS].
const STEPS: usize = 0;
const X: usize = usize(ROWS) * 4;
const INPUTS: usize = 2 * X;
const SLOPES: usize = 3 * X;
const A: usize = 4 * X;
const OF_A: usize = 1;
const B: usize = 2;
const C: usize = B + usize(ROWS);
const STATES: usize = C + usize(ROWS);
const DECAYS: usize = STATES + usize(ROWS) + 1;
const CARRIES: usize = DECAYS + usize(ROWS);
const CHECKS: usize = CARRIES + usize(CHANNELS);

/** Bytes of N numbers in whole vectors. */
// @ts-ignore: decorator
@inline
function rowBytes(args: usize): usize {
  return usize((load<i32>(args, 68) + 3) & -4) * 4;
}

export function scanBack(args: usize, thread: i32, threads: i32): void {
  const work = load<usize>(args, 80) + usize(thread) * load<usize>(args, 84);
  const blocks = load<i32>(args, 64) * load<i32>(args, 76);
  const end = share(blocks, thread + 1, threads);
  for (let block = share(blocks, thread, threads); block < end; block++) scanBlock(args, block, work);
}

function scanBlock(args: usize, block: i32, work: usize): void {
  const rows = load<i32>(args, 52);
  const width = load<i32>(args, 60);
  const ofGroup = load<i32>(args, 56) / load<i32>(args, 64);
  const blocks = load<i32>(args, 76);
  const group = block / blocks;
  const first = group * ofGroup + share(ofGroup, block % blocks, blocks);
  const end = group * ofGroup + share(ofGroup, (block % blocks) + 1, blocks);
  const bytes = usize(rows) * rowBytes(args);
  memory.fill(load<usize>(args, 36) + usize(block) * bytes, 0, bytes);
  memory.fill(load<usize>(args, 40) + usize(block) * bytes, 0, bytes);
  const stride = usize(load<i32>(args, 56)) * 4;
  const ofSteps = load<usize>(args, 32) + usize(first) * 4;
  for (let t: usize = 0; t < usize(rows); t++) memory.fill(ofSteps + t * stride, 0, usize(end - first) * 4);
  for (let channel = first * width; channel < end * width; channel += CHANNELS) {
    scanChannels(args, group, block, channel, min(CHANNELS, end * width - channel), work);
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
function scanChannels(args: usize, group: i32, block: i32, first: i32, count: i32, work: usize): void {
  const rows = load<i32>(args, 52);
  const bytes = rowBytes(args);
  const slot = bytes * CHANNELS;
  let check = work + A + CHECKS * bytes;
  memory.fill(check, 0, slot);
  let row = 0;
  for (; row + ROWS < rows; row += ROWS) {
    padRows(args, load<usize>(args, 12), group, row, ROWS, work + A + B * bytes);
    for (let i = 0; i < count; i++) {
      prepare(args, first + i, row, ROWS, work);
      const state = check + usize(i) * bytes;
      memory.copy(state + slot, state, bytes);
      advance(state + slot, bytes, work);
    }
    check += slot;
  }
  memory.fill(work + A + CARRIES * bytes, 0, slot);
  for (; row >= 0; row -= ROWS) {
    const some = min(ROWS, rows - row);
    padRows(args, load<usize>(args, 12), group, row, some, work + A + B * bytes);
    padRows(args, load<usize>(args, 16), group, row, some, work + A + C * bytes);
    const at = usize(block * rows + row) * bytes;
    for (let i = 0; i < count; i++) {
      prepare(args, first + i, row, some, work);
      memory.copy(work + A + STATES * bytes, check + usize(i) * bytes, bytes);
      recompute(bytes, some, load<usize>(args, 40) + at, work);
      backward(args, first + i, row, some, work + A + (CARRIES + usize(i)) * bytes, load<usize>(args, 36) + at, work);
    }
    check -= slot;
  }
}

/** A group's rows of b or c to `to`, with zeros behind each. */
function padRows(args: usize, from: usize, group: i32, row: i32, rows: i32, to: usize): void {
  const states = usize(load<i32>(args, 68)) * 4;
  const stride = states * usize(load<i32>(args, 64));
  const bytes = rowBytes(args);
  from += usize(row) * stride + usize(group) * states;
  for (let t = 0; t < rows; t++) {
    memory.copy(to, from, states);
    memory.fill(to + states, 0, bytes - states);
    from += stride;
    to += bytes;
  }
}

/** What a channel's rows are made of: a, d, x, d x, dy and the decays. */
function prepare(args: usize, channel: i32, row: i32, rows: i32, work: usize): void {
  const heads = load<i32>(args, 56);
  const head = channel / load<i32>(args, 60);
  const bytes = rowBytes(args);
  const stride = usize(heads * load<i32>(args, 60)) * 4;
  const at = usize(row) * stride + usize(channel) * 4;
  let dt = load<usize>(args, 4) + usize(row * heads + head) * 4;
  for (let t: usize = 0; t < usize(rows); t++) {
    store<f32>(work + STEPS + t * 4, load<f32>(dt));
    store<f32>(work + X + t * 4, load<f32>(load<usize>(args) + at + t * stride));
    store<f32>(work + SLOPES + t * 4, load<f32>(load<usize>(args, 24) + at + t * stride));
    dt += usize(heads) * 4;
  }
  for (let t: usize = 0; t < usize(rows) * 4; t += 16) {
    const d = softplus(v128.load(work + STEPS + t));
    v128.store(work + STEPS + t, d);
    v128.store(work + INPUTS + t, f32x4.mul(d, v128.load(work + X + t)));
  }
  let decays = work + A + DECAYS * bytes;
  const scaled = load<i32>(args, 72) == 1;
  if (scaled) {
    const a = v128.load32_splat(load<usize>(args, 8) + usize(head) * 4);
    for (let n: usize = 0; n < bytes; n += 16) v128.store(work + A + n, a);
  } else {
    const states = usize(load<i32>(args, 68)) * 4;
    memory.copy(work + A, load<usize>(args, 8) + usize(head) * states, states);
    memory.fill(work + A + states, 0, bytes - states);
  }
  for (let t: usize = 0; t < usize(rows) * 4; t += 4) {
    const d = v128.load32_splat(work + STEPS + t);
    if (scaled) {
      const decay = exp4(f32x4.mul(d, v128.load(work + A)));
      for (let n: usize = 0; n < bytes; n += 16) v128.store(decays + n, decay);
    } else {
      for (let n: usize = 0; n < bytes; n += 16) v128.store(decays + n, exp4(f32x4.mul(d, v128.load(work + A + n))));
    }
    decays += bytes;
  }
}

/** A state through 64 rows. */
function advance(state: usize, bytes: usize, work: usize): void {
  let b = work + A + B * bytes;
  let decays = work + A + DECAYS * bytes;
  for (let t: usize = 0; t < usize(ROWS) * 4; t += 4) {
    const u = v128.load32_splat(work + INPUTS + t);
    for (let n: usize = 0; n < bytes; n += 16) {
      v128.store(state + n, madd(v128.load(state + n), v128.load(decays + n), f32x4.mul(u, v128.load(b + n))));
    }
    b += bytes;
    decays += bytes;
  }
}

/** The states of all rows behind the first one, and their part of c's gradient. */
function recompute(bytes: usize, rows: i32, ofC: usize, work: usize): void {
  let b = work + A + B * bytes;
  let decays = work + A + DECAYS * bytes;
  let state = work + A + STATES * bytes;
  for (let t: usize = 0; t < usize(rows) * 4; t += 4) {
    const u = v128.load32_splat(work + INPUTS + t);
    const dy = v128.load32_splat(work + SLOPES + t);
    for (let n: usize = 0; n < bytes; n += 16) {
      const next = madd(v128.load(state + n), v128.load(decays + n), f32x4.mul(u, v128.load(b + n)));
      v128.store(state + bytes + n, next);
      v128.store(ofC + n, madd(next, dy, v128.load(ofC + n)));
    }
    state += bytes;
    b += bytes;
    decays += bytes;
    ofC += bytes;
  }
}

/** From the last row to the first. `carry`: L G of the row behind. */
function backward(args: usize, channel: i32, row: i32, rows: i32, carry: usize, ofB: usize, work: usize): void {
  const heads = load<i32>(args, 56);
  const width = load<i32>(args, 60);
  const head = channel / width;
  const bytes = rowBytes(args);
  const skip = load<f32>(load<usize>(args, 20) + usize(head) * 4);
  const ofA = work + A + OF_A * bytes;
  memory.fill(ofA, 0, bytes);
  let ofSkip: f64 = 0;
  for (let t = usize(rows - 1); i32(t) >= 0; t--) {
    const b = work + A + (B + t) * bytes, c = work + A + (C + t) * bytes;
    const state = work + A + (STATES + t) * bytes, decays = work + A + (DECAYS + t) * bytes;
    const sums = ofB + t * bytes;
    const d = v128.load32_splat(work + STEPS + t * 4);
    const u = v128.load32_splat(work + INPUTS + t * 4);
    const dy = v128.load32_splat(work + SLOPES + t * 4);
    let ofInput = f32x4.splat(0);
    let ofDecay = f32x4.splat(0);
    for (let n: usize = 0; n < bytes; n += 16) {
      const g = madd(dy, v128.load(c + n), v128.load(carry + n));
      const decayed = f32x4.mul(g, v128.load(decays + n));
      v128.store(carry + n, decayed);
      const q = f32x4.mul(decayed, v128.load(state + n));
      ofInput = madd(g, v128.load(b + n), ofInput);
      ofDecay = madd(q, v128.load(work + A + n), ofDecay);
      v128.store(ofA + n, madd(q, d, v128.load(ofA + n)));
      v128.store(sums + n, madd(g, u, v128.load(sums + n)));
    }
    const input = sum4(ofInput);
    const x = load<f32>(work + X + t * 4);
    const slope = load<f32>(work + SLOPES + t * 4);
    const dx = load<usize>(args, 28) + (usize(row + i32(t)) * usize(heads * width) + usize(channel)) * 4;
    store<f32>(dx, load<f32>(work + STEPS + t * 4) * input + skip * slope);
    const ddt = load<usize>(args, 32) + (usize(row + i32(t)) * usize(heads) + usize(head)) * 4;
    store<f32>(ddt, load<f32>(ddt) + (sum4(ofDecay) + x * input));
    ofSkip += f64(x) * f64(slope);
  }
  addGradients(args, head, ofA, f32(ofSkip));
}

function addGradients(args: usize, head: i32, ofA: usize, ofSkip: f32): void {
  const skips = load<usize>(args, 48);
  if (skips != 0) store<f32>(skips + usize(head) * 4, load<f32>(skips + usize(head) * 4) + ofSkip);
  let gradient = load<usize>(args, 44);
  if (gradient == 0) return;
  const states = load<i32>(args, 68);
  if (load<i32>(args, 72) == 1) {
    gradient += usize(head) * 4;
    let sum = f32x4.splat(0);
    for (let n: usize = 0; n < usize(states) * 4; n += 16) sum = f32x4.add(sum, v128.load(ofA + n));
    store<f32>(gradient, load<f32>(gradient) + sum4(sum));
    return;
  }
  gradient += usize(head * states) * 4;
  for (let n: usize = 0; n < usize(states) * 4; n += 4) {
    store<f32>(gradient + n, load<f32>(gradient + n) + load<f32>(ofA + n));
  }
}

/**
 * out[t, g, n] = the sum over a group's blocks, in order. Arguments: 0 sums, as of SCAN_BACK, 4 out [T, G*N], 8 T, 12 G, 16 N,
 * 20 blocks of a group.
 */
export function scanMerge(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 8);
  const groups = load<i32>(args, 12);
  const states = load<i32>(args, 16);
  const blocks = load<i32>(args, 20);
  const bytes = usize((states + 3) & -4) * 4;
  const stride = usize(rows) * bytes;
  const end = share(rows, thread + 1, threads);
  for (let row = share(rows, thread, threads); row < end; row++) {
    for (let group = 0; group < groups; group++) {
      const out = load<usize>(args, 4) + usize((row * groups + group) * states) * 4;
      const sums = load<usize>(args) + usize(group * blocks) * stride + usize(row) * bytes;
      for (let n = 0; n < states; n += 4) {
        let sum = f32x4.splat(0);
        for (let block = 0; block < blocks; block++) {
          sum = f32x4.add(sum, v128.load(sums + usize(block) * stride + usize(n) * 4));
        }
        storeSome(out + usize(n) * 4, sum, states - n);
      }
    }
  }
}
