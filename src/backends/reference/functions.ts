/** Functions of single elements, in double precision. */
import type { ElementFunction } from "../../tensor/backend.js";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The error function: its Taylor series, which 60 terms end within 1e-16 up to |x| = 4; beyond, it is 1 to 1.6e-8. */
export function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 60; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** Of an infinity no finite number is made, so that it is seen in the end. */
const orNaN = (y: number, x: number): number => (Number.isFinite(x) ? y : Number.NaN);

/** log(1 + e^x) */
export const softplus = (x: number): number => orNaN(x > 20 ? x : Math.log1p(Math.exp(x)), x);

export const FUNCTIONS: Readonly<Record<ElementFunction, (x: number, parameter: number) => number>> = {
  silu: (x) => x * sigmoid(x),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  geluErf: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  relu: (x) => orNaN(Math.max(0, x), x),
  scale: (x, by) => x * by,
  clamp: (x, most) => orNaN(Math.min(Math.max(x, -most), most), x),
  softcap: (x, cap) => orNaN(cap * Math.tanh(x / cap), x),
};

/** gpt-oss's gate (its model card code): limits of 7, a sigmoid of slope 1.702, and 1 added to the values. */
export function clampedSwiglu(gate: number, up: number): number {
  const g = orNaN(Math.min(gate, 7), gate);
  return g * sigmoid(1.702 * g) * (orNaN(Math.min(Math.max(up, -7), 7), up) + 1);
}
