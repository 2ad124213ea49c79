/** Mamba-2 (2405.21060): heads that share one decay, B and C convolved beside x, and a gated RMSNorm behind the scan. */
import type { RecurrentShape } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { Batch } from "./batch.js";
import { Convolution, convolutionState } from "./convolution.js";
import { Linear } from "./linear.js";
import { Norm } from "./norm.js";
import { scanSegments } from "./scan.js";
import type { Mamba2Spec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Mamba2 {
  private readonly gate: Linear;
  private readonly timeStep: Linear;
  /** Of x, B and C, each with the convolution that follows it. */
  private readonly inputs: readonly [Linear, Linear, Linear];
  private readonly convolutions: readonly [Convolution, Convolution, Convolution];
  private readonly decay: Weight;
  private readonly skip: Weight;
  private readonly norm: Norm;
  private readonly output: Linear;

  constructor(
    spec: Mamba2Spec,
    private readonly layer: number,
    weights: Weights,
  ) {
    const linear = (part: Mamba2Spec["input"]) => new Linear(part, weights);
    const convolution = (part: Mamba2Spec["convolution"]) => new Convolution(part, weights);
    this.gate = linear(spec.gate);
    this.timeStep = linear(spec.timeStep);
    this.inputs = [linear(spec.input), linear(spec.b), linear(spec.c)];
    this.convolutions = [convolution(spec.convolution), convolution(spec.bConvolution), convolution(spec.cConvolution)];
    this.decay = weights.get(spec.decay);
    this.skip = weights.get(spec.skip);
    this.norm = new Norm(spec.norm, weights);
    this.output = linear(spec.output);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    const z = this.gate.forward(ops, x); // [T, H*P]
    const dt = this.timeStep.forward(ops, x); // [T, H]
    const [inner, b, c] = this.inputs.map((input, i) =>
      this.convolutions[i].forward(ops, input.forward(ops, x), batch, (state) => state.recurrent(this.layer)[i]),
    );
    const { decay: a, skip } = this;
    const y = scanSegments(ops, { x: inner, dt, b, c }, { a, skip }, batch, (state) => state.recurrent(this.layer)[3]);
    return this.output.forward(ops, this.norm.forward(ops, ops.gated(z, y, "silu")));
  }
}

/** Inputs of the three convolutions, then the states of all heads. */
export function mamba2Shape(spec: Mamba2Spec, layer: number): RecurrentShape {
  const convolutions = [spec.convolution, spec.bConvolution, spec.cConvolution];
  const scan = { rows: spec.convolution.kernel.rows, cols: spec.stateSize };
  return { layer, tensors: [...convolutions.map(convolutionState), scan] };
}
