/** Mamba and Mamba-2 token by token, as their recurrences are written (2312.00752, 2405.21060), in double precision. */
import type { ConvolutionSpec, Mamba2Spec, MambaSpec } from "../../src/nn/spec.js";
import { type LiteralModel, linear, norm, numbers, optionalNorm, type Row, silu } from "./literal-parts.js";

/** What a layer carries: the last inputs of its convolutions, newest last, and the state of every channel. */
export interface StateSpace {
  readonly inputs: Row[][];
  state: Float64Array;
}

export function emptyStateSpace(): StateSpace {
  return { inputs: [[], [], []], state: new Float64Array(0) };
}

export function stateSpace(model: LiteralModel, spec: MambaSpec | Mamba2Spec, x: Row, carried: StateSpace): Row {
  return spec.kind === "mamba" ? mamba(model, spec, x, carried) : mamba2(model, spec, x, carried);
}

function mamba(model: LiteralModel, spec: MambaSpec, x: Row, carried: StateSpace): Row {
  const gate = linear(model, spec.gate, x);
  const inner = convolve(model, spec.convolution, linear(model, spec.input, x), carried.inputs[0]);
  const low = optionalNorm(model, spec.timeStepNorm, linear(model, spec.timeStepDown, inner));
  const b = optionalNorm(model, spec.bNorm, linear(model, spec.b, inner));
  const c = optionalNorm(model, spec.cNorm, linear(model, spec.c, inner));
  const dt = linear(model, spec.timeStepUp, low);
  const decay = numbers(model, spec.decay);
  const y = scan(carried, inner, b, c, {
    size: spec.stateSize,
    step: (channel) => dt[channel],
    decay: (channel, n) => decay[channel * spec.stateSize + n],
    skip: (channel) => numbers(model, spec.skip)[channel],
    shared: () => 0,
  });
  return linear(
    model,
    spec.output,
    y.map((value, i) => value * silu(gate[i])),
  );
}

function mamba2(model: LiteralModel, spec: Mamba2Spec, x: Row, carried: StateSpace): Row {
  const gate = linear(model, spec.gate, x);
  const convolved = (input: Mamba2Spec["input"], convolution: ConvolutionSpec, index: number) =>
    convolve(model, convolution, linear(model, input, x), carried.inputs[index]);
  const inner = convolved(spec.input, spec.convolution, 0);
  const b = convolved(spec.b, spec.bConvolution, 1);
  const c = convolved(spec.c, spec.cConvolution, 2);
  const dt = linear(model, spec.timeStep, x);
  const headOf = (channel: number) => Math.floor(channel / (inner.length / spec.heads));
  const groups = b.length / spec.stateSize;
  const y = scan(carried, inner, b, c, {
    size: spec.stateSize,
    step: (channel) => dt[headOf(channel)],
    decay: (channel) => numbers(model, spec.decay)[headOf(channel)],
    skip: (channel) => numbers(model, spec.skip)[headOf(channel)],
    shared: (channel) => Math.floor(headOf(channel) / (spec.heads / groups)),
  });
  return linear(
    model,
    spec.output,
    norm(
      model,
      spec.norm,
      y.map((value, i) => value * silu(gate[i])),
    ),
  );
}

function convolve(model: LiteralModel, { kernel, bias }: ConvolutionSpec, x: Row, inputs: Row[]): Row {
  const weights = numbers(model, kernel);
  const shift = bias && numbers(model, bias);
  const { cols: taps } = kernel;
  inputs.push(x);
  if (inputs.length > taps) inputs.shift();
  return x.map((_, channel) => {
    let sum = shift?.[channel] ?? 0;
    inputs.forEach((input, i) => {
      sum += weights[channel * taps + taps - inputs.length + i] * input[channel];
    });
    return silu(sum);
  });
}

interface ScanParts {
  readonly size: number;
  readonly step: (channel: number) => number;
  readonly decay: (channel: number, n: number) => number;
  readonly skip: (channel: number) => number;
  /** The group of B and C that a channel uses. */
  readonly shared: (channel: number) => number;
}

function scan(carried: StateSpace, x: Row, b: Row, c: Row, { size, step, decay, skip, shared }: ScanParts): Row {
  if (carried.state.length === 0) carried.state = new Float64Array(x.length * size);
  const { state } = carried;
  return x.map((input, channel) => {
    const delta = Math.log1p(Math.exp(step(channel)));
    let sum = skip(channel) * input;
    for (let n = 0; n < size; n++) {
      const at = channel * size + n;
      const other = shared(channel) * size + n;
      state[at] = Math.exp(delta * decay(channel, n)) * state[at] + delta * b[other] * input;
      sum += c[other] * state[at];
    }
    return sum;
  });
}
