/** One layer: its branches with their norms, added to x one after the other or together. */
import type { Backend, ScopeBody } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
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
  private readonly norm: Norm;
  private readonly postNorm: Pick<Norm, "forward">;

  constructor(
    spec: BranchSpec<unknown>,
    weights: Weights,
    private readonly body: Body,
  ) {
    this.norm = new Norm(spec.norm, weights);
    this.postNorm = optionalNorm(spec.postNorm, weights);
  }

  /** What the branch adds to x. */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    return this.postNorm.forward(ops, this.body(ops, this.norm.forward(ops, x), batch));
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
    const parallel = this.spec.residual === "parallel";
    return this.branches.reduce((sum, branch) => ops.add(sum, branch.forward(ops, parallel ? x : sum, batch)), x);
  }
}
