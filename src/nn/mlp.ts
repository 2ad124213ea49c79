/** Gated feed-forward (SwiGLU, 2002.05202): down(activation(gate x) * up x). */
import type { Activation, Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { Linear } from "./linear.js";
import type { GatedMlpSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class GatedMlp {
  private readonly gate: Linear;
  private readonly up: Linear;
  private readonly down: Linear;
  private readonly activation: Activation;

  constructor(spec: GatedMlpSpec, weights: Weights) {
    this.gate = new Linear(spec.gate, weights);
    this.up = new Linear(spec.up, weights);
    this.down = new Linear(spec.down, weights);
    this.activation = spec.activation;
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor): Tensor {
    const hidden = ops.gated(this.gate.forward(ops, x), this.up.forward(ops, x), this.activation);
    return this.down.forward(ops, hidden);
  }
}
