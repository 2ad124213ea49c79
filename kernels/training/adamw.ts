// The optimizer: sums of squares of gradients in blocks, in double precision, and one step of AdamW (Loshchilov &
// Hutter 2019).
import { share } from "../vector/simd";
import { shareUnits } from "./train-rows";

/** Elements of one block. */
const BLOCK: i32 = 4096;

/** Sums of squares of the blocks. Arguments: 0 x, 4 out (f64), 8 elements. */
export function squares(args: usize, thread: i32, threads: i32): void {
  const elements = load<i32>(args, 8);
  const blocks = (elements + BLOCK - 1) / BLOCK;
  const end = share(blocks, thread + 1, threads);
  for (let block = share(blocks, thread, threads); block < end; block++) {
    const x = load<usize>(args) + usize(block) * BLOCK * 4;
    const count = min(BLOCK, elements - block * BLOCK);
    store<f64>(load<usize>(args, 4) + usize(block) * 8, squaresOf(x, count));
  }
}

function squaresOf(x: usize, count: i32): f64 {
  const end = x + usize(count) * 4;
  let a = f64x2.splat(0);
  let b = f64x2.splat(0);
  for (; x + 16 <= end; x += 16) {
    const low = f64x2.promote_low_f32x4(v128.load64_zero(x));
    const high = f64x2.promote_low_f32x4(v128.load64_zero(x, 8));
    a = f64x2.add(a, f64x2.mul(low, low));
    b = f64x2.add(b, f64x2.mul(high, high));
  }
  a = f64x2.add(a, b);
  let sum = f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1);
  for (; x < end; x += 4) sum += f64(load<f32>(x)) * f64(load<f32>(x));
  return sum;
}

/**
 * Of each of some tensors, the sum of its blocks. Arguments: 0 sums of blocks (f64), 4 block after its last (i32), 8
 * out, 12 count.
 */
export function squaresSum(args: usize, thread: i32, threads: i32): void {
  const ends = load<usize>(args, 4);
  const to = share(load<i32>(args, 12), thread + 1, threads);
  for (let i = share(load<i32>(args, 12), thread, threads); i < to; i++) {
    const end = load<i32>(ends + usize(i) * 4);
    let sum: f64 = 0;
    for (let block = i == 0 ? 0 : load<i32>(ends + usize(i - 1) * 4); block < end; block++) {
      sum += load<f64>(load<usize>(args) + usize(block) * 8);
    }
    store<f32>(load<usize>(args, 8) + usize(i) * 4, f32(sum));
  }
}

/**
 * m = beta1 m + less1 g, v = beta2 v + less2 g^2 with g = scale * gradient; w -= step m / (sqrt(v correction) +
 * epsilon) + decay w. Arguments: 0 w, 4 gradient, 8 m, 12 v, 16 elements; f32: 20 scale, 24 beta1, 28 1 - beta1, 32
 * beta2, 36 1 - beta2, 40 step (rate over the first correction), 44 one over the second, 48 epsilon, 52 decay (times
 * the rate).
 */
export function adamW(args: usize, thread: i32, threads: i32): void {
  const elements = load<i32>(args, 16);
  const to = usize(shareUnits(elements, thread + 1, threads)) * 4;
  const w = load<usize>(args), g = load<usize>(args, 4), m = load<usize>(args, 8), v = load<usize>(args, 12);
  const scale = v128.load32_splat(args, 20), beta1 = v128.load32_splat(args, 24), less1 = v128.load32_splat(args, 28);
  const beta2 = v128.load32_splat(args, 32), less2 = v128.load32_splat(args, 36), step = v128.load32_splat(args, 40);
  const correction = v128.load32_splat(args, 44), epsilon = v128.load32_splat(args, 48);
  const decay = v128.load32_splat(args, 52);
  let i = usize(shareUnits(elements, thread, threads)) * 4;
  for (; i + 16 <= to; i += 16) {
    const slope = f32x4.mul(v128.load(g + i), scale);
    const first = f32x4.add(f32x4.mul(v128.load(m + i), beta1), f32x4.mul(slope, less1));
    const second = f32x4.add(f32x4.mul(v128.load(v + i), beta2), f32x4.mul(f32x4.mul(slope, slope), less2));
    v128.store(m + i, first);
    v128.store(v + i, second);
    v128.store(w + i, moved(v128.load(w + i), first, second, step, correction, epsilon, decay));
  }
  for (; i < to; i += 4) {
    const slope = f32x4.mul(v128.load32_zero(g + i), scale);
    const first = f32x4.add(f32x4.mul(v128.load32_zero(m + i), beta1), f32x4.mul(slope, less1));
    const second = f32x4.add(f32x4.mul(v128.load32_zero(v + i), beta2), f32x4.mul(f32x4.mul(slope, slope), less2));
    v128.store32_lane(m + i, first, 0);
    v128.store32_lane(v + i, second, 0);
    v128.store32_lane(w + i, moved(v128.load32_zero(w + i), first, second, step, correction, epsilon, decay), 0);
  }
}

/** What is taken from w is added up first: rounded once, at w's last digit. */
// @ts-ignore: decorator
@inline
function moved(w: v128, m: v128, v: v128, step: v128, correction: v128, epsilon: v128, decay: v128): v128 {
  const size = f32x4.add(f32x4.sqrt(f32x4.mul(v, correction)), epsilon);
  return f32x4.sub(w, f32x4.add(f32x4.div(f32x4.mul(step, m), size), f32x4.mul(w, decay)));
}
