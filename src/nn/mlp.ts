/** Feed-forward layers of two matrices, and gated ones of three (GLU variants, 2002.05202). */
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { Linear } from "./linear.js";
import type { DenseMlpSpec, GatedMlpSpec } from "./spec.js";
import type { Weights } from "./weights.js";

/** down(activation(up x)) */
export class DenseMlp {
  private readonly up: Linear;
  private readonly down: Linear;

  constructor(
    private readonly spec: DenseMlpSpec,
    weights: Weights,
  ) {
    this.up = new Linear(spec.up, weights);
    this.down = new Linear(spec.down, weights);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor): Tensor {
    return this.down.forward(ops, ops.map(this.up.forward(ops, x), this.spec.activation));
  }
}

/** down(activation(gate x) * up x) */
export class GatedMlp {
  private readonly gate: Linear;
  private readonly up: Linear;
  private readonly down: Linear;

  constructor(
    private readonly spec: GatedMlpSpec,
    weights: Weights,
  ) {
    this.gate = new Linear(spec.gate, weights);
    this.up = new Linear(spec.up, weights);
    this.down = new Linear(spec.down, weights);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor): Tensor {
    const hidden = ops.gated(this.gate.forward(ops, x), this.up.forward(ops, x), this.spec.gating);
    return this.down.forward(ops, hidden);
  }
}
