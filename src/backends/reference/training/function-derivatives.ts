/**
 * Derivatives of the functions of single elements (../functions.ts), in double precision. Where a function has a kink, its
 * derivative is that of the piece which takes the point itself: 0 for relu at 0, 1 for a clamp at its limits.
 */
import type { ElementFunction, Gating } from "../../../tensor/backend.js";
import { clampedSwiglu, erf, FUNCTIONS } from "../functions.js";

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Of tanh where its value is `tanh`. */
const tanhSlope = (tanh: number): number => 1 - tanh * tanh;

const inside = (x: number, least: number, most: number): number => (x >= least && x <= most ? 1 : 0);

/** Of x sigmoid(slope x): SiLU has slope 1. */
function swishSlope(x: number, slope: number): number {
  const s = sigmoid(slope * x);
  return s * (1 + slope * x * (1 - s));
}

/** With u = sqrt(2/pi) (x + 0.044715 x^3): (1 + tanh u) / 2 + x tanh'(u) u' / 2. */
function geluSlope(x: number): number {
  const root = Math.sqrt(2 / Math.PI);
  const tanh = Math.tanh(root * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + tanh) + 0.5 * x * tanhSlope(tanh) * root * (1 + 3 * 0.044715 * x * x);
}

/** With the normal distribution's Phi and its density phi: Phi(x) + x phi(x). */
function geluErfSlope(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  return 0.5 * (1 + erf(x / Math.SQRT2)) + x * density;
}

export const DERIVATIVES: Readonly<Record<ElementFunction, (x: number, parameter: number) => number>> = {
  silu: (x) => swishSlope(x, 1),
  gelu: geluSlope,
  geluErf: geluErfSlope,
  relu: (x) => (x > 0 ? 1 : 0),
  scale: (_, by) => by,
  clamp: (x, most) => inside(x, -most, most),
  softcap: (x, cap) => tanhSlope(Math.tanh(x / cap)),
};

/** Derivatives of gated(gate, up) with respect to both. */
export function gatingSlopes(gating: Gating, gate: number, up: number): { gate: number; up: number } {
  if (gating !== "clampedSwiglu") {
    return { gate: DERIVATIVES[gating](gate, 0) * up, up: FUNCTIONS[gating](gate, 0) };
  }
  // clampedSwiglu is some g of the gate times (clamp(up) + 1), so at up = 0 it is that g.
  const values = Math.min(Math.max(up, -7), 7) + 1;
  return {
    gate: gate > 7 ? 0 : swishSlope(gate, 1.702) * values,
    up: clampedSwiglu(gate, 0) * inside(up, -7, 7),
  };
}
