// Element by element: residual sums, functions, gated activations. Every new tensor has room to a multiple of 64 bytes, so
// the last vector is computed whole.
import { CLAMP, CLAMPED_SWIGLU, GELU, GELU_ERF, RELU, SCALE, SILU, SOFTCAP } from "../abi";
import { clampedSwiglu, gelu, geluErf, orNaN, tanh4, timesSigmoid } from "../vector/functions";
import { share } from "../vector/simd";

/** Arguments: 0 a, 4 b, 8 out, 12 elements. */
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

/**
 * Four elements; `f` is a constant wherever this is used, p is in every lane. An infinity never becomes a common number: where
 * the function has a limit there, the result is NaN.
 */
// @ts-ignore: decorator
@inline
export function apply(f: i32, x: v128, p: v128): v128 {
  if (f == SILU) return timesSigmoid(x, x);
  if (f == GELU) return gelu(x);
  if (f == GELU_ERF) return geluErf(x);
  if (f == RELU) return orNaN(f32x4.max(x, f32x4.splat(0)), x);
  if (f == SCALE) return f32x4.mul(x, p);
  if (f == CLAMP) return orNaN(f32x4.min(f32x4.max(x, f32x4.neg(p)), p), x);
  return orNaN(f32x4.mul(p, tanh4(f32x4.div(x, p))), x);
}

/** `bytes` of x through the function; `up`: the values that a gate multiplies, unless it is 0. */
// @ts-ignore: decorator
@inline
function mapRange(f: i32, x: usize, up: usize, out: usize, bytes: usize, parameter: f32): void {
  const p = f32x4.splat(parameter);
  if (up == 0) {
    for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, apply(f, v128.load(x + i), p));
  } else {
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(out + i, f32x4.mul(apply(f, v128.load(x + i), p), v128.load(up + i)));
    }
  }
}

function clampedSwigluRange(gate: usize, up: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(out + i, clampedSwiglu(v128.load(gate + i), v128.load(up + i)));
  }
}

/** Arguments: 0 x, 4 up (multiplied by the function of x), or 0, 8 out, 12 elements, 16 function, 20 its parameter (f32). */
export function map(args: usize, thread: i32, threads: i32): void {
  const vectors = (load<i32>(args, 12) + 3) >> 2;
  const start = usize(share(vectors, thread, threads)) * 16;
  const bytes = usize(share(vectors, thread + 1, threads)) * 16 - start;
  const x = load<usize>(args) + start;
  const values = load<usize>(args, 4);
  const up = values == 0 ? 0 : values + start;
  const out = load<usize>(args, 8) + start;
  const p = load<f32>(args, 20);
  switch (load<i32>(args, 16)) {
    case SILU: return mapRange(SILU, x, up, out, bytes, p);
    case GELU: return mapRange(GELU, x, up, out, bytes, p);
    case GELU_ERF: return mapRange(GELU_ERF, x, up, out, bytes, p);
    case RELU: return mapRange(RELU, x, up, out, bytes, p);
    case SCALE: return mapRange(SCALE, x, up, out, bytes, p);
    case CLAMP: return mapRange(CLAMP, x, up, out, bytes, p);
    case SOFTCAP: return mapRange(SOFTCAP, x, up, out, bytes, p);
    case CLAMPED_SWIGLU: return clampedSwigluRange(x, up, out, bytes);
    default: unreachable();
  }
}
