// Derivatives of functions and gates (elementwise.ts), four elements at a time. Results are new tensors with room to a
// multiple of 64 bytes, so the last vector is computed whole. Where a function has a bend, the derivative is that of
// the side towards which it is flat (relu), or of the inside (clamps).
import { CLAMP, CLAMPED_SWIGLU, GELU, GELU_ERF, RELU, SCALE, SILU, SOFTCAP } from "../abi";
import { apply } from "../rows/elementwise";
import { exp4 } from "../vector/exponential";
import { normal } from "../vector/functions";
import { madd, share } from "../vector/simd";

/** Of x sigmoid(z), where z' is known: s + x z' s (1 - s), with 1 - s = e^-z s, so that nothing cancels for large z. */
// @ts-ignore: decorator
@inline
export function gateDerivative(x: v128, z: v128, slope: v128): v128 {
  const e = exp4(f32x4.neg(z));
  const s = f32x4.div(f32x4.splat(1), f32x4.add(e, f32x4.splat(1)));
  return f32x4.mul(s, madd(f32x4.mul(x, slope), f32x4.mul(e, s), f32x4.splat(1)));
}

/** The derivative beyond 30 is that at 30, 0 or 1; powers of x would overflow. */
// @ts-ignore: decorator
@inline
function geluDerivative(x: v128): v128 {
  x = f32x4.min(f32x4.max(x, f32x4.splat(-30)), f32x4.splat(30));
  const square = f32x4.mul(x, x);
  const root = f32x4.splat(1.5957691216057308);
  const z = f32x4.mul(f32x4.mul(x, root), madd(square, f32x4.splat(0.044715), f32x4.splat(1)));
  const slope = f32x4.mul(root, madd(square, f32x4.splat(3 * 0.044715), f32x4.splat(1)));
  return gateDerivative(x, z, slope);
}

// @ts-ignore: decorator
@inline
function geluErfDerivative(x: v128): v128 {
  const density = exp4(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)));
  return madd(f32x4.mul(x, f32x4.splat(0.3989422804014327)), density, normal(x));
}

/** 1 - tanh(x / p)^2 = 4 e / (1 + e)^2 with e = e^(-2 |x / p|). */
// @ts-ignore: decorator
@inline
function softcapDerivative(x: v128, p: v128): v128 {
  const e = exp4(f32x4.mul(f32x4.abs(f32x4.div(x, p)), f32x4.splat(-2)));
  const sum = f32x4.add(e, f32x4.splat(1));
  return f32x4.div(f32x4.mul(e, f32x4.splat(4)), f32x4.mul(sum, sum));
}

/** `f` is a constant wherever this is used, p is in every lane. */
// @ts-ignore: decorator
@inline
function derive(f: i32, x: v128, p: v128): v128 {
  const one = f32x4.splat(1);
  if (f == SILU) return gateDerivative(x, x, one);
  if (f == GELU) return geluDerivative(x);
  if (f == GELU_ERF) return geluErfDerivative(x);
  if (f == RELU) return v128.and(f32x4.gt(x, f32x4.splat(0)), one);
  if (f == SCALE) return p;
  if (f == CLAMP) return v128.and(f32x4.le(f32x4.abs(x), p), one);
  return softcapDerivative(x, p);
}

// @ts-ignore: decorator
@inline
function mapRange(f: i32, x: usize, dy: usize, dx: usize, bytes: usize, parameter: f32): void {
  const p = f32x4.splat(parameter);
  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(dx + i, f32x4.mul(derive(f, v128.load(x + i), p), v128.load(dy + i)));
  }
}

/** Arguments: 0 x, 4 dy, 8 dx, 12 elements, 16 function, 20 its parameter (f32). */
export function mapBack(args: usize, thread: i32, threads: i32): void {
  const vectors = (load<i32>(args, 12) + 3) >> 2;
  const start = usize(share(vectors, thread, threads)) * 16;
  const bytes = usize(share(vectors, thread + 1, threads)) * 16 - start;
  const x = load<usize>(args) + start;
  const dy = load<usize>(args, 4) + start;
  const dx = load<usize>(args, 8) + start;
  const p = load<f32>(args, 20);
  switch (load<i32>(args, 16)) {
    case SILU: return mapRange(SILU, x, dy, dx, bytes, p);
    case GELU: return mapRange(GELU, x, dy, dx, bytes, p);
    case GELU_ERF: return mapRange(GELU_ERF, x, dy, dx, bytes, p);
    case RELU: return mapRange(RELU, x, dy, dx, bytes, p);
    case SCALE: return mapRange(SCALE, x, dy, dx, bytes, p);
    case CLAMP: return mapRange(CLAMP, x, dy, dx, bytes, p);
    case SOFTCAP: return mapRange(SOFTCAP, x, dy, dx, bytes, p);
    default: unreachable();
  }
}

// @ts-ignore: decorator
@inline
function gatedRange(f: i32, gate: usize, up: usize, dy: usize, dGate: usize, dUp: usize, bytes: usize): void {
  const p = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(gate + i);
    const d = v128.load(dy + i);
    v128.store(dGate + i, f32x4.mul(f32x4.mul(derive(f, x, p), v128.load(up + i)), d));
    v128.store(dUp + i, f32x4.mul(apply(f, x, p), d));
  }
}

/** The most frequent one, with one exponential for both. */
function siluRange(gate: usize, up: usize, dy: usize, dGate: usize, dUp: usize, bytes: usize): void {
  const one = f32x4.splat(1);
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(gate + i);
    const e = exp4(f32x4.neg(x));
    const sd = f32x4.div(v128.load(dy + i), f32x4.add(e, one));
    const rest = f32x4.div(e, f32x4.add(e, one));
    v128.store(dGate + i, f32x4.mul(f32x4.mul(sd, madd(x, rest, one)), v128.load(up + i)));
    v128.store(dUp + i, f32x4.mul(x, sd));
  }
}

function clampedSwigluRange(gate: usize, up: usize, dy: usize, dGate: usize, dUp: usize, bytes: usize): void {
  const seven = f32x4.splat(7), one = f32x4.splat(1), slope = f32x4.splat(1.702);
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(gate + i);
    const u = v128.load(up + i);
    const d = v128.load(dy + i);
    const g = f32x4.min(x, seven);
    const z = f32x4.mul(g, slope);
    const values = f32x4.add(f32x4.min(f32x4.max(u, f32x4.neg(seven)), seven), one);
    const ofGate = f32x4.mul(f32x4.mul(gateDerivative(g, z, slope), values), d);
    v128.store(dGate + i, v128.and(f32x4.le(x, seven), ofGate));
    const ofUp = f32x4.div(f32x4.mul(g, d), f32x4.add(one, exp4(f32x4.neg(z))));
    v128.store(dUp + i, v128.and(f32x4.le(f32x4.abs(u), seven), ofUp));
  }
}

/** Arguments: 0 gate, 4 up, 8 dy, 12 dGate, 16 dUp, 20 elements, 24 function. */
export function gatedBack(args: usize, thread: i32, threads: i32): void {
  const vectors = (load<i32>(args, 20) + 3) >> 2;
  const start = usize(share(vectors, thread, threads)) * 16;
  const bytes = usize(share(vectors, thread + 1, threads)) * 16 - start;
  const gate = load<usize>(args) + start;
  const up = load<usize>(args, 4) + start;
  const dy = load<usize>(args, 8) + start;
  const dGate = load<usize>(args, 12) + start;
  const dUp = load<usize>(args, 16) + start;
  switch (load<i32>(args, 24)) {
    case SILU: return siluRange(gate, up, dy, dGate, dUp, bytes);
    case GELU: return gatedRange(GELU, gate, up, dy, dGate, dUp, bytes);
    case GELU_ERF: return gatedRange(GELU_ERF, gate, up, dy, dGate, dUp, bytes);
    case RELU: return gatedRange(RELU, gate, up, dy, dGate, dUp, bytes);
    case CLAMPED_SWIGLU: return clampedSwigluRange(gate, up, dy, dGate, dUp, bytes);
    default: unreachable();
  }
}
