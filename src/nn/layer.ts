/** One layer: its branches with their norms, added to x one after the other or together. */
import type { Backend, ScopeBody } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import { Attention } from "./attention.js";
import type { Batch } from "./batch.js";
import { feedForward } from "./feed-forward.js";
import { mixer } from "./mixer.js";
import { Norm, optionalNorm } from "./norm.js";
import type { BranchSpec, LayerSpec } from "./spec.js";
import type { Weights } from "./weights.js";

/** What a branch does between its norms: [T, C] -> [T, C]. */
type Body = (ops: Backend, x: Tensor, batch: Batch) => Tensor;

class Branch {
  readonly norm: Norm;
  private readonly postNorm: Pick<Norm, "forward">;

  constructor(
    spec: BranchSpec<unknown>,
    weights: Weights,
    private readonly body: Body,
  ) {
    this.norm = new Norm(spec.norm, weights);
    this.postNorm = optionalNorm(spec.postNorm, weights);
  }

  /** What the branch adds to x, of x behind its norm. */
  forward(ops: Backend, normed: Tensor, batch: Batch): Tensor {
    return this.postNorm.forward(ops, this.body(ops, normed, batch));
  }
}

export class Layer implements ScopeBody<Batch> {
  /** Attention over the encoder's output. */
  readonly cross: Attention | undefined;
  private readonly branches: readonly Branch[];

  constructor(
    private readonly spec: LayerSpec,
    readonly layer: number,
    weights: Weights,
  ) {
    const { mixer: mixing, cross, feedForward: feeding } = spec;
    const mix = mixer(mixing.body, layer, weights);
    const branches = [new Branch(mixing, weights, (ops, x, batch) => mix.forward(ops, x, batch))];
    if (cross) {
      const across = new Attention(cross.body, layer, weights);
      this.cross = across;
      branches.push(new Branch(cross, weights, (ops, x, batch) => across.across(ops, x, batch)));
    }
    if (feeding) {
      const feed = feedForward(feeding.body, weights);
      branches.push(new Branch(feeding, weights, (ops, x) => feed.forward(ops, x)));
    }
    this.branches = branches;
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    return this.spec.residual === "parallel" ? this.parallel(ops, x, batch) : this.sequential(ops, x, batch);
  }

  private sequential(ops: Backend, x: Tensor, batch: Batch): Tensor {
    return this.branches.reduce((sum, branch) => {
      const normed = branch.norm.forward(ops, sum);
      return ops.add(sum, branch.forward(ops, normed, batch));
    }, x);
  }

  /** Branches with the same norm share what it makes of x (Falcon 7B). */
  private parallel(ops: Backend, x: Tensor, batch: Batch): Tensor {
    const byGain = new Map<Weight, Tensor>();
    return this.branches.reduce((sum, branch) => {
      const { norm } = branch;
      const normed = byGain.get(norm.gain) ?? norm.forward(ops, x);
      byGain.set(norm.gain, normed);
      return ops.add(sum, branch.forward(ops, normed, batch));
    }, x);
  }
}
