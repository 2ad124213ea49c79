/** The causal convolution of state-space layers; each sequence carries the last inputs of the step before. */
import type { CarriedStates, RecurrentTensor } from "../context/mixer-state.js";
import { segmentRows } from "../context/segments.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import { type Batch, mapSegments } from "./batch.js";
import type { ConvolutionSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Convolution {
  private readonly kernel: Weight;
  private readonly bias: Weight | undefined;

  constructor(spec: ConvolutionSpec, weights: Weights) {
    this.kernel = weights.get(spec.kernel);
    this.bias = spec.bias && weights.get(spec.bias);
  }

  /** x [T, channels] -> SiLU of the convolution, [T, channels] */
  forward(ops: Backend, x: Tensor, batch: Batch, stateOf: (states: CarriedStates) => RecurrentTensor): Tensor {
    const { kernel, bias } = this;
    return mapSegments(ops, batch, (segment) => {
      const { before, after } = stateOf(segment.state);
      return ops.convolution({ x: segmentRows(ops, x, segment), kernel, bias, before, after });
    });
  }
}

/** What a sequence carries: the inputs that the next row still sees. */
export function convolutionState({ kernel }: ConvolutionSpec): { readonly rows: number; readonly cols: number } {
  return { rows: kernel.cols - 1, cols: kernel.rows };
}
