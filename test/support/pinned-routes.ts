/**
 * The reference backend with rows that go on to the experts that the first step chose for them, whatever the logits then
 * say: what a mixture's gradients are those of. Differences of its loss are not spoilt by a choice that turns within a step.
 */
import { ReferenceRouting } from "../../src/backends/reference/experts.js";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { tensor } from "../../src/backends/reference/tensors.js";
import type { ExpertWeighting } from "../../src/tensor/backend.js";
import type { Tensor } from "../../src/tensor/tensor.js";

export class PinnedRoutes extends ReferenceBackend {
  /** By the number of the call within a step. */
  private readonly pinned: Int32Array[] = [];
  private call = 0;

  override beginStep(): void {
    super.beginStep();
    this.call = 0;
  }

  override route(logits: Tensor, used: number, weighting: ExpertWeighting): ReferenceRouting {
    const experts = this.pinned[this.call++];
    if (experts) return pinnedRoute(logits, used, weighting, experts);
    const routing = super.route(logits, used, weighting);
    this.pinned.push(routing.experts);
    return routing;
  }
}

function pinnedRoute(logits: Tensor, used: number, weighting: ExpertWeighting, experts: Int32Array): ReferenceRouting {
  const weights = new Float64Array(experts.length);
  for (let t = 0; t < logits.rows; t++) {
    const powers = Array.from(tensor(logits).row(t), Math.exp);
    const chosen = Array.from(experts.subarray(t * used, (t + 1) * used), (expert) => powers[expert]);
    const total = (weighting === "chosen" ? chosen : powers).reduce((sum, power) => sum + power, 0);
    weights.set(
      chosen.map((power) => power / total),
      t * used,
    );
  }
  return new ReferenceRouting(logits.rows, used, experts, weights);
}
