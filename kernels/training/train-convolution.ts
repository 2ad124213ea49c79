// The derivative of the causal convolution with its SiLU (convolution.ts) from a state of zeros. With s[t] = bias + the
// sum over k of w[k] x[t - K + 1 + k] and e[t] = silu'(s[t]) dy[t]:
//   dx[t] = sum over j of w[K - 1 - j] e[t + j];   dw[k] = sum over t of e[t] x[t - K + 1 + k];   the bias's is the sum of e
// Threads share the channels, 16 at a time; rows are taken in blocks from the last to the first, so that the e of the
// rows behind are there. Gradients are summed up in a block, then over blocks.
//
// Arguments: 0 x [T, channels], 4 kernel by columns [K, channels], 8 bias, or 0, 12 dy, 16 dx, 20 gradient of the
// kernel [channels, K], or 0, 24 of the bias, or 0, 28 T, 32 channels, 36 K, 40 scratch of all threads.
import { SCRATCH_BYTES } from "../abi";
import { loadSome, madd, share, storeSome } from "../vector/simd";
import { gateDerivative } from "./train-elementwise";

const ROWS: i32 = 64;
const CHANNELS: i32 = 16;

export function convolutionBack(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 28);
  const channels = load<i32>(args, 32);
  const width = load<i32>(args, 36);
  const scratch = load<usize>(args, 40) + usize(thread) * SCRATCH_BYTES;
  // Of each four channels: e of a block and of K - 1 rows behind it; sums for each k and the bias.
  const slopeBytes = usize(ROWS + width - 1) * 16;
  const bytes = slopeBytes + usize(width + 1) * 16;
  const units = (channels + CHANNELS - 1) / CHANNELS;
  const end = share(units, thread + 1, threads);
  for (let unit = share(units, thread, threads); unit < end; unit++) {
    const first = unit * CHANNELS;
    const last = min(first + CHANNELS, channels);
    memory.fill(scratch, 0, 4 * bytes);
    for (let row = ((rows - 1) / ROWS) * ROWS; row >= 0; row -= ROWS) {
      let slopes = scratch;
      for (let channel = first; channel < last; channel += 4) {
        block(args, channel, min(4, last - channel), row, min(ROWS, rows - row), slopes, slopes + slopeBytes);
        slopes += bytes;
      }
    }
    let sums = scratch + slopeBytes;
    for (let channel = first; channel < last; channel += 4) {
      addGradients(args, channel, min(4, last - channel), sums);
      sums += bytes;
    }
  }
}

/**
 * Rows [row, row + rows) of one to four channels. `slopes`: e, of which the first K - 1 are still those of the rows
 * behind.
 */
function block(args: usize, channel: i32, count: i32, row: i32, rows: i32, slopes: usize, sums: usize): void {
  const width = load<i32>(args, 36);
  memory.copy(slopes + usize(rows) * 16, slopes, usize(width - 1) * 16);
  const stride = usize(load<i32>(args, 32)) * 4;
  const at = usize(channel) * 4;
  const x = load<usize>(args) + at;
  const kernel = load<usize>(args, 4) + at;
  const biases = load<usize>(args, 8);
  const bias = biases == 0 ? f32x4.splat(0) : loadSome(biases + at, count);
  const one = f32x4.splat(1);
  let total = f32x4.splat(0);
  for (let t = 0; t < rows; t++) {
    const before = row + t - width + 1;
    let sum = bias;
    for (let k = max(0, -before); k < width; k++) {
      const input = loadSome(x + usize(before + k) * stride, count);
      sum = madd(input, loadSome(kernel + usize(k) * stride, count), sum);
    }
    const dy = loadSome(load<usize>(args, 12) + at + usize(row + t) * stride, count);
    const slope = f32x4.mul(gateDerivative(sum, sum, one), dy);
    v128.store(slopes + usize(t) * 16, slope);
    total = f32x4.add(total, slope);
  }
  for (let t = 0; t < rows; t++) {
    let sum = f32x4.splat(0);
    for (let j = 0; j < width; j++) {
      sum = madd(v128.load(slopes + usize(t + j) * 16), loadSome(kernel + usize(width - 1 - j) * stride, count), sum);
    }
    storeSome(load<usize>(args, 16) + at + usize(row + t) * stride, sum, count);
  }
  for (let k = 0; k < width; k++) {
    const before = row - width + 1 + k;
    let sum = f32x4.splat(0);
    for (let t = max(0, -before); t < rows; t++) {
      sum = madd(v128.load(slopes + usize(t) * 16), loadSome(x + usize(before + t) * stride, count), sum);
    }
    v128.store(sums + usize(k) * 16, f32x4.add(v128.load(sums + usize(k) * 16), sum));
  }
  const biasSum = sums + usize(width) * 16;
  v128.store(biasSum, f32x4.add(v128.load(biasSum), total));
}

function addGradients(args: usize, channel: i32, count: i32, sums: usize): void {
  const width = load<i32>(args, 36);
  const gradient = load<usize>(args, 20);
  if (gradient != 0) {
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < width; k++) {
        add(gradient + usize((channel + i) * width + k) * 4, sums + usize(k * 4 + i) * 4);
      }
    }
  }
  const biasGradient = load<usize>(args, 24);
  if (biasGradient == 0) return;
  for (let i = 0; i < count; i++) add(biasGradient + usize(channel + i) * 4, sums + usize(width * 4 + i) * 4);
}

// @ts-ignore: decorator
@inline
function add(into: usize, x: usize): void {
  store<f32>(into, load<f32>(into) + load<f32>(x));
}
