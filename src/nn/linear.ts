/** A linear layer: picks its kernel by the format of the weight. */
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { LinearSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Linear {
  readonly weight: Weight;
  readonly bias: Weight | undefined;

  constructor(spec: LinearSpec, weights: Weights) {
    this.weight = weights.get(spec.weight);
    this.bias = spec.bias && weights.get(spec.bias);
  }

  /** x [T, inputs] -> [T, outputs] */
  forward(ops: Backend, x: Tensor): Tensor {
    return ops.linear(x, this.weight, this.bias);
  }
}
