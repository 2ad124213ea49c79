/** The kinds of feed-forward layers, by their spec's kind. Adding one is adding its file and a line here. */
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { Experts } from "./experts.js";
import { DenseMlp, GatedMlp } from "./mlp.js";
import type { FeedForwardSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export interface FeedForward {
  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor): Tensor;
}

export function feedForward(spec: FeedForwardSpec, weights: Weights): FeedForward {
  switch (spec.kind) {
    case "dense":
      return new DenseMlp(spec, weights);
    case "gated":
      return new GatedMlp(spec, weights);
    case "experts":
      return new Experts(spec, weights);
  }
}
