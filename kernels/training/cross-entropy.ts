// Cross-entropy of rows of logits against target ids, and its gradient in place of the logits: weight * (softmax - onehot),
// times the derivative of the soft cap. With m the largest logit and S the sum of e^(logit - m) without the largest one's own
// term, the loss is (m - target's logit) + log1p(S), and 1 - the probability of the largest is S / (1 + S): nothing
// cancels, so small losses are as accurate as large ones.
//
// Arguments: 0 logits, 4 columns, 8 bytes from row to row: a multiple of 16, 12 rows, 16 targets (i32), 20 weights (f32),
// 24 losses, 28 soft cap (f32), or 0, 32 whether the gradient is wanted. Threads share the rows.
import { exp4 } from "../vector/exponential";
import { tanh4 } from "../vector/functions";
import { max4, share, sum4 } from "../vector/simd";

/** Bytes of a row that are summed in f32. */
const SPAN: usize = 2048;
/** Smaller probabilities are taken for 0, so that products meet no subnormal numbers. */
const LEAST: f32 = 1e-30;

export function crossEntropy(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 12);
  const columns = load<i32>(args, 4);
  const stride = load<usize>(args, 8);
  const cap = load<f32>(args, 28);
  const wanted = load<i32>(args, 32);
  const end = share(rows, thread + 1, threads);
  for (let row = share(rows, thread, threads); row < end; row++) {
    const at = usize(row) << 2;
    const logits = load<usize>(args) + usize(row) * stride;
    const weight = load<f32>(load<usize>(args, 20) + at);
    const target = logits + (load<usize>(load<usize>(args, 16) + at) << 2);
    const loss = load<usize>(args, 24) + at;
    if (weight == 0) {
      store<f32>(loss, 0);
      memory.fill(logits, 0, stride);
    } else store<f32>(loss, rowLoss(logits, columns, stride, target, weight, cap, wanted));
  }
}

function rowLoss(logits: usize, columns: i32, stride: usize, target: usize, weight: f32, cap: f32, wanted: i32): f32 {
  if (cap > 0) capRow(logits, stride, cap);
  const past = logits + (usize(columns) << 2);
  const end = logits + stride;
  for (let at = past; at < end; at += 4) store<f32>(at, -f32.MAX_VALUE);
  const top = largest(logits, end);
  const most = load<f32>(top);
  const logit = load<f32>(target);
  // Its own term is 1.
  store<f32>(top, -f32.MAX_VALUE);
  const rest = sumOfPowers(logits, end, most);
  store<f32>(top, most);
  if (wanted) {
    gradientRow(logits, end, most, f32(f64(weight) / (1 + rest)), cap);
    const share = target == top ? rest : 1 + rest - Math.exp(f64(logit) - f64(most));
    const slope = cap > 0 ? 1 - (f64(logit) / f64(cap)) * (f64(logit) / f64(cap)) : 1;
    store<f32>(target, f32((-f64(weight) * slope * share) / (1 + rest)));
    for (let at = past; at < end; at += 4) store<f32>(at, 0);
  }
  return f32(f64(most) - f64(logit) + Math.log1p(rest));
}

function capRow(at: usize, bytes: usize, cap: f32): void {
  const caps = f32x4.splat(cap);
  for (const end = at + bytes; at < end; at += 16) {
    v128.store(at, f32x4.mul(caps, tanh4(f32x4.div(v128.load(at), caps))));
  }
}

/** Address of the first of the largest numbers; of the first number where one is NaN. */
function largest(start: usize, end: usize): usize {
  let tops = v128.load(start);
  for (let at = start + 16; at < end; at += 16) tops = f32x4.max(tops, v128.load(at));
  const most = max4(tops);
  const all = f32x4.splat(most);
  let at = start;
  while (at < end && !v128.any_true(f32x4.eq(v128.load(at), all))) at += 16;
  if (at >= end) return start;
  while (load<f32>(at) != most) at += 4;
  return at;
}

/** Of e^(x - most): four sums in f32 over a span, spans in f64. */
function sumOfPowers(at: usize, end: usize, most: f32): f64 {
  const shift = f32x4.splat(most);
  let total: f64 = 0;
  while (at < end) {
    let sums = f32x4.splat(0);
    for (const stop = min(end, at + SPAN); at < stop; at += 16) {
      sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(at), shift)));
    }
    total += f64(sum4(sums));
  }
  return total;
}

/** Logits to e^(logit - most) * factor, times the soft cap's derivative. */
function gradientRow(at: usize, end: usize, most: f32, factor: f32, cap: f32): void {
  const shift = f32x4.splat(most);
  const factors = f32x4.splat(factor);
  const least = f32x4.splat(LEAST);
  const one = f32x4.splat(1);
  const inverse = f32x4.splat(cap > 0 ? 1 / cap : 0);
  for (; at < end; at += 16) {
    const logit = v128.load(at);
    let p = exp4(f32x4.sub(logit, shift));
    p = v128.and(p, f32x4.gt(p, least));
    const tanh = f32x4.mul(logit, inverse);
    v128.store(at, f32x4.mul(f32x4.mul(p, factors), f32x4.sub(one, f32x4.mul(tanh, tanh))));
  }
}
