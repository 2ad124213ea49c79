// Functions of four numbers at a time: activations, tanh, the normal distribution, softplus. Each is arranged so that nothing
// cancels: about 1e-6 relative for tiny and for large arguments. Polynomials are minimax fits in relative error.
import { exp4 } from "./exponential";
import { madd } from "./simd";

/** y, but NaN where x is infinite or NaN: x - x is 0 for every other number. */
// @ts-ignore: decorator
@inline
export function orNaN(y: v128, x: v128): v128 {
  return f32x4.add(y, f32x4.sub(x, x));
}

/** x / (1 + e^-y). */
// @ts-ignore: decorator
@inline
export function timesSigmoid(x: v128, y: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(y))));
}

/** The tanh form: 0.5 x (1 + tanh z) = x sigmoid(2z) with z = sqrt(2/pi) (x + 0.044715 x^3). */
// @ts-ignore: decorator
@inline
export function gelu(x: v128): v128 {
  const cubic = madd(f32x4.mul(f32x4.mul(x, x), f32x4.splat(0.044715)), x, x);
  return timesSigmoid(x, f32x4.mul(cubic, f32x4.splat(1.5957691216057308)));
}

/** x times the normal distribution function. */
// @ts-ignore: decorator
@inline
export function geluErf(x: v128): v128 {
  return f32x4.mul(x, normal(x));
}

/**
 * The normal distribution function. Its upper tail is e^(-x^2/2) times a polynomial without constant in
 * t = 1 / (1 + 0.35 |x|): 3.6e-7 relative for |x| < 140, so that for negative x nothing is subtracted.
 */
// @ts-ignore: decorator
@inline
export function normal(x: v128): v128 {
  const t = f32x4.div(f32x4.splat(1), madd(f32x4.abs(x), f32x4.splat(0.35), f32x4.splat(1)));
  let p = madd(f32x4.splat(-0.02137606404721737), t, f32x4.splat(0.11067856103181839));
  p = madd(p, t, f32x4.splat(-0.1963733434677124));
  p = madd(p, t, f32x4.splat(0.1021377444267273));
  p = madd(p, t, f32x4.splat(0.008945419453084469));
  p = madd(p, t, f32x4.splat(0.09482572227716446));
  p = madd(p, t, f32x4.splat(0.1218734011054039));
  p = madd(p, t, f32x4.splat(0.1396593600511551));
  p = madd(p, t, f32x4.splat(0.13962936401367188));
  const tail = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5))));
  const below = f32x4.lt(x, f32x4.splat(0));
  return v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), below);
}

/** tanh x: up to 0.625 a polynomial in x^2, beyond it 1 - 2 / (e^2x + 1) with the sign of x. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const z = f32x4.mul(x, x);
  let p = madd(f32x4.splat(-0.005704986862838268), z, f32x4.splat(0.0206390880048275));
  p = madd(p, z, f32x4.splat(-0.05373971536755562));
  p = madd(p, z, f32x4.splat(0.13331441581249237));
  p = madd(p, z, f32x4.splat(-0.3333328068256378));
  const near = madd(f32x4.mul(p, z), x, x);
  const size = f32x4.abs(x);
  const grown = f32x4.add(exp4(f32x4.add(size, size)), f32x4.splat(1));
  const far = f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), grown));
  const signed = v128.or(far, v128.and(x, f32x4.splat(-0.0)));
  return v128.bitselect(near, signed, f32x4.lt(size, f32x4.splat(0.625)));
}

/**
 * log(1 + e^x) = max(x, 0) + log(1 + e) with e = e^-|x|, and log(1 + e) = 2 atanh(s) with s = e / (2 + e) <= 1/3, an odd
 * polynomial. NaN for infinities.
 */
// @ts-ignore: decorator
@inline
export function softplus(x: v128): v128 {
  const e = exp4(f32x4.neg(f32x4.abs(x)));
  const s = f32x4.div(e, f32x4.add(e, f32x4.splat(2)));
  const z = f32x4.mul(s, s);
  let p = madd(f32x4.splat(0.1400599330663681), z, f32x4.splat(0.14000903069972992));
  p = madd(p, z, f32x4.splat(0.2001076340675354));
  p = madd(p, z, f32x4.splat(0.3333320915699005));
  const half = madd(f32x4.mul(p, z), s, s);
  return f32x4.add(orNaN(f32x4.max(x, f32x4.splat(0)), x), f32x4.add(half, half));
}

/** gpt-oss's gate: with g = min(gate, 7), g sigmoid(1.702 g) (clamp(up, -7, 7) + 1). NaN for infinities. */
// @ts-ignore: decorator
@inline
export function clampedSwiglu(gate: v128, up: v128): v128 {
  const seven = f32x4.splat(7);
  const g = orNaN(f32x4.min(gate, seven), gate);
  const values = orNaN(f32x4.min(f32x4.max(up, f32x4.neg(seven)), seven), up);
  return f32x4.mul(timesSigmoid(g, f32x4.mul(g, f32x4.splat(1.702))), f32x4.add(values, f32x4.splat(1)));
}
