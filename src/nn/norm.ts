/** RMSNorm (1910.07467) over rows, or over each head of a row. */
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { NormSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Norm {
  private readonly gain: Weight;
  private readonly epsilon: number;

  constructor(spec: NormSpec, weights: Weights) {
    this.gain = weights.get(spec.weight);
    this.epsilon = spec.epsilon;
  }

  forward(ops: Backend, x: Tensor): Tensor {
    return ops.rmsNorm(x, this.gain, this.epsilon);
  }
}
