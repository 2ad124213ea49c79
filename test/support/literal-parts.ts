/** Linear layers, norms and feed-forwards of a spec, taken literally: one token, double precision, plain loops. */
import type { ExpertsSpec, FeedForwardSpec, LinearSpec, ModelSpec, NormSpec, WeightRef } from "../../src/nn/spec.js";
import type { Activation, Gating } from "../../src/tensor/backend.js";

export interface LiteralModel {
  readonly spec: ModelSpec;
  /** By the name of the whole tensor. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

export type Row = Float64Array;

export function numbers({ values }: LiteralModel, { tensor, part, rows, cols }: WeightRef): Float32Array {
  const whole = values.get(tensor);
  if (!whole) throw new Error(`There is no ${tensor}.`);
  const start = part?.start ?? 0;
  return whole.subarray(start, start + rows * cols);
}

export function linear(model: LiteralModel, { weight, bias }: LinearSpec, x: Row): Row {
  const { rows: outputs, cols: inputs } = weight;
  const w = numbers(model, weight);
  const b = bias && numbers(model, bias);
  return Float64Array.from({ length: outputs }, (_, o) => {
    let sum = b?.[o] ?? 0;
    for (let i = 0; i < inputs; i++) sum += w[o * inputs + i] * x[i];
    return sum;
  });
}

/** Each group of gain.cols elements by itself. */
export function norm(model: LiteralModel, { kind, gain: ref, bias: shift, epsilon }: NormSpec, x: Row): Row {
  const gain = numbers(model, ref);
  const bias = shift && numbers(model, shift);
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += ref.cols) {
    const group = x.subarray(start, start + ref.cols);
    const mean = kind === "layer" ? group.reduce((sum, value) => sum + value, 0) / ref.cols : 0;
    const variance = group.reduce((sum, value) => sum + (value - mean) ** 2, 0) / ref.cols;
    const own = (start / ref.cols) % ref.rows;
    group.forEach((value, i) => {
      const gained = ((value - mean) / Math.sqrt(variance + epsilon)) * gain[own * ref.cols + i];
      out[start + i] = gained + (bias?.[i] ?? 0);
    });
  }
  return out;
}

export function optionalNorm(model: LiteralModel, spec: NormSpec | undefined, x: Row): Row {
  return spec ? norm(model, spec, x) : x;
}

export function add(a: Row, b: Row): Row {
  return a.map((value, i) => value + b[i]);
}

/** 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, by Simpson's rule. */
function erf(x: number): number {
  const steps = 400;
  const at = (i: number) => Math.exp(-(((x * i) / steps) ** 2));
  let sum = at(0) + at(steps);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 0 ? 2 : 4) * at(i);
  return (2 / Math.sqrt(Math.PI)) * (x / (3 * steps)) * sum;
}

const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
  geluErf: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

export function silu(x: number): number {
  return ACTIVATIONS.silu(x);
}

function gated(gating: Gating, gate: number, up: number): number {
  if (gating !== "clampedSwiglu") return ACTIVATIONS[gating](gate) * up;
  const low = Math.min(gate, 7);
  return (low / (1 + Math.exp(-1.702 * low))) * (Math.min(Math.max(up, -7), 7) + 1);
}

export function feedForward(model: LiteralModel, spec: FeedForwardSpec, x: Row): Row {
  if (spec.kind === "experts") return mixture(model, spec, x);
  const up = linear(model, spec.up, x);
  if (spec.kind === "dense") return linear(model, spec.down, up.map(ACTIVATIONS[spec.activation]));
  const gate = linear(model, spec.gate, x);
  return linear(
    model,
    spec.down,
    gate.map((value, i) => gated(spec.gating, value, up[i])),
  );
}

function mixture(model: LiteralModel, spec: ExpertsSpec, x: Row): Row {
  const logits = linear(model, spec.router, x);
  const chosen = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, spec.used);
  const counted = spec.weighting === "chosen" ? chosen : [...logits.keys()];
  const total = counted.reduce((sum, expert) => sum + Math.exp(logits[expert]), 0);
  return chosen.reduce<Row>((sum, expert) => {
    const [gate, up, down] = [spec.gate, spec.up, spec.down].map((stack) => ofExpert(stack, spec.count, expert));
    const [gates, ups] = [linear(model, gate, x), linear(model, up, x)];
    const hidden = gates.map((value, i) => gated(spec.gating, value, ups[i]));
    const weight = Math.exp(logits[expert]) / total;
    return add(
      sum,
      linear(model, down, hidden).map((value) => value * weight),
    );
  }, new Float64Array(x.length));
}

/** The layer of one expert, as a part of the tensors of all. */
function ofExpert({ weight, bias }: LinearSpec, count: number, expert: number): LinearSpec {
  const part = (whole: WeightRef): WeightRef => {
    const { rows, cols } = whole;
    return { ...whole, rows: rows / count, part: { start: (expert * rows * cols) / count, rows, cols } };
  };
  return bias ? { weight: part(weight), bias: part(bias) } : { weight: part(weight) };
}
