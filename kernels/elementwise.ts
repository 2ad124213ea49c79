// Element by element: residual sums and gated activations. Every new tensor has room to a multiple of 64 bytes, so the
// last vector is computed whole.
//
// Arguments: 0 a (or gate), 4 b (or up), 8 out, 12 elements, 16 activation (gated only).
import { GELU, SILU } from "./abi";
import { exp4, madd, share } from "./simd";

export function add(args: usize, thread: i32, threads: i32): void {
  const a = load<usize>(args);
  const b = load<usize>(args, 4);
  const out = load<usize>(args, 8);
  const vectors = (load<i32>(args, 12) + 3) >> 2;
  const end = usize(share(vectors, thread + 1, threads)) * 16;
  for (let i = usize(share(vectors, thread, threads)) * 16; i < end; i += 16) {
    v128.store(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
  }
}

/** activation(gate) * up. */
export function gated(args: usize, thread: i32, threads: i32): void {
  const gate = load<usize>(args);
  const up = load<usize>(args, 4);
  const out = load<usize>(args, 8);
  const vectors = (load<i32>(args, 12) + 3) >> 2;
  const activation = load<i32>(args, 16);
  const start = usize(share(vectors, thread, threads)) * 16;
  const end = usize(share(vectors, thread + 1, threads)) * 16;
  if (activation == SILU) {
    for (let i = start; i < end; i += 16) {
      const x = v128.load(gate + i);
      v128.store(out + i, f32x4.mul(timesSigmoid(x, x), v128.load(up + i)));
    }
  } else if (activation == GELU) {
    for (let i = start; i < end; i += 16) {
      v128.store(out + i, f32x4.mul(gelu(v128.load(gate + i)), v128.load(up + i)));
    }
  } else {
    for (let i = start; i < end; i += 16) {
      const x = f32x4.max(v128.load(gate + i), f32x4.splat(0));
      v128.store(out + i, f32x4.mul(x, v128.load(up + i)));
    }
  }
}

/** x / (1 + e^-y). */
// @ts-ignore: decorator
@inline
function timesSigmoid(x: v128, y: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(y))));
}

/** The tanh form: 0.5 x (1 + tanh z) = x sigmoid(2z) with z = sqrt(2/pi) (x + 0.044715 x^3). */
// @ts-ignore: decorator
@inline
function gelu(x: v128): v128 {
  const cubic = madd(f32x4.mul(f32x4.mul(x, x), f32x4.splat(0.044715)), x, x);
  return timesSigmoid(x, f32x4.mul(cubic, f32x4.splat(1.5957691216057308)));
}
