/** Mixture of experts (1701.06538, Mixtral 2401.04088): gated feed-forwards of which each row uses a few. */
import type { Backend } from "../tensor/backend.js";
import type { ExpertWeights, Tensor } from "../tensor/tensor.js";
import { Linear } from "./linear.js";
import type { ExpertsSpec, LinearSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Experts {
  private readonly router: Linear;
  private readonly gate: ExpertWeights;
  private readonly up: ExpertWeights;
  private readonly down: ExpertWeights;

  constructor(
    private readonly spec: ExpertsSpec,
    weights: Weights,
  ) {
    this.router = new Linear(spec.router, weights);
    const stack = ({ weight, bias }: LinearSpec): ExpertWeights => ({
      count: spec.count,
      matrix: weights.get(weight),
      bias: bias && weights.get(bias),
    });
    this.gate = stack(spec.gate);
    this.up = stack(spec.up);
    this.down = stack(spec.down);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor): Tensor {
    const { used, weighting, gating } = this.spec;
    const routing = ops.route(this.router.forward(ops, x), used, weighting);
    const gate = ops.expertLinear(x, this.gate, routing); // [T*k, hidden]
    const hidden = ops.gated(gate, ops.expertLinear(x, this.up, routing), gating);
    return ops.mixExperts(ops.expertLinear(hidden, this.down, routing), routing);
  }
}
