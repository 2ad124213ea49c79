/**
 * The attention layer: projections around an AttentionState. It knows neither cache nor policy: unrotated q, k, v go to
 * the state of each sequence, the mixed values come back.
 */
import type { AttentionShape } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Batch } from "./batch.js";
import { Linear } from "./linear.js";
import { Norm } from "./norm.js";
import type { AttentionSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Attention {
  private readonly query: Linear;
  private readonly key: Linear;
  private readonly value: Linear;
  private readonly output: Linear;
  private readonly queryNorm: Norm | undefined;
  private readonly keyNorm: Norm | undefined;
  private readonly outWidth: number;

  constructor(
    spec: AttentionSpec,
    private readonly layer: number,
    weights: Weights,
  ) {
    this.query = new Linear(spec.query, weights);
    this.key = new Linear(spec.key, weights);
    this.value = new Linear(spec.value, weights);
    this.output = new Linear(spec.output, weights);
    this.queryNorm = spec.queryNorm && new Norm(spec.queryNorm, weights);
    this.keyNorm = spec.keyNorm && new Norm(spec.keyNorm, weights);
    this.outWidth = spec.heads * spec.valueWidth;
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    let q = this.query.forward(ops, x); // [T, H*D]
    let k = this.key.forward(ops, x); // [T, Hkv*D]
    const v = this.value.forward(ops, x); // [T, Hkv*Dv]
    if (this.queryNorm) q = this.queryNorm.forward(ops, q);
    if (this.keyNorm) k = this.keyNorm.forward(ops, k);
    const out = ops.empty(x.rows, this.outWidth); // [T, H*Dv]
    for (const { start, count, state } of batch.segments) {
      const part = (t: Tensor) => (count === t.rows ? t : ops.rows(t, start, count));
      state.layers[this.layer].attend(ops, part(q), part(k), part(v), part(out));
    }
    return this.output.forward(ops, out);
  }
}

/** What a cache must know of the attention layers of a spec. */
export function attentionShape(spec: AttentionSpec, layer: number): AttentionShape {
  const { heads, kvHeads, keyWidth, valueWidth, scale, rope, window } = spec;
  return { layer, heads, kvHeads, keyWidth, valueWidth, scale, rope, window };
}
