/** RMSNorm (1910.07467) or LayerNorm (1607.06450) over rows, or RMSNorm over each head or group of a row. */
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { NormSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Norm {
  readonly gain: Weight;
  private readonly bias: Weight | undefined;

  constructor(
    private readonly spec: NormSpec,
    weights: Weights,
  ) {
    this.gain = weights.get(spec.gain);
    this.bias = spec.bias && weights.get(spec.bias);
  }

  /** The same shape. */
  forward(ops: Backend, x: Tensor): Tensor {
    const { kind, epsilon } = this.spec;
    return kind === "rms" ? ops.rmsNorm(x, this.gain, epsilon) : ops.layerNorm(x, this.gain, this.bias, epsilon);
  }
}

/** The norm of an optional spec; without one, x itself. */
export function optionalNorm(spec: NormSpec | undefined, weights: Weights): Pick<Norm, "forward"> {
  return spec ? new Norm(spec, weights) : { forward: (_, x) => x };
}
