/** Mixture of experts (1701.06538, Mixtral 2401.04088): gated feed-forwards of which each row uses a few. */
import type { Backend, Routing } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import { Linear } from "./linear.js";
import type { ExpertsSpec, LinearSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Experts {
  private readonly router: Linear;
  private readonly gate: ExpertLinear;
  private readonly up: ExpertLinear;
  private readonly down: ExpertLinear;

  constructor(
    private readonly spec: ExpertsSpec,
    weights: Weights,
  ) {
    this.router = new Linear(spec.router, weights);
    this.gate = new ExpertLinear(spec.gate, weights);
    this.up = new ExpertLinear(spec.up, weights);
    this.down = new ExpertLinear(spec.down, weights);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor): Tensor {
    const { used, weighting, gating } = this.spec;
    const routing = ops.route(this.router.forward(ops, x), used, weighting);
    const gate = this.gate.forward(ops, x, routing); // [T*k, hidden]
    const hidden = ops.gated(gate, this.up.forward(ops, x, routing), gating);
    return ops.mixExperts(this.down.forward(ops, hidden, routing), routing);
  }
}

/** The same matrix of all experts. */
class ExpertLinear {
  private readonly matrices: readonly Weight[];
  private readonly biases: readonly Weight[] | undefined;

  constructor(specs: readonly LinearSpec[], weights: Weights) {
    const parts = specs.map((spec) => new Linear(spec, weights));
    this.matrices = parts.map(({ weight }) => weight);
    const biases = parts.flatMap(({ bias }) => bias ?? []);
    this.biases = biases.length > 0 ? biases : undefined;
  }

  forward(ops: Backend, x: Tensor, routing: Routing): Tensor {
    return ops.expertLinear(x, this.matrices, routing, this.biases);
  }
}
