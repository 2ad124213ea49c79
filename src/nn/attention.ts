/**
 * The attention layer: projections around an AttentionState. It knows neither cache nor policy: unrotated q, k, v go to
 * the state of each sequence, the mixed values come back.
 */
import type { AttentionShape, WholeAttentionState } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { Batch } from "./batch.js";
import { Linear } from "./linear.js";
import { type Norm, optionalNorm } from "./norm.js";
import type { AttentionSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Attention {
  private readonly query: Linear;
  private readonly key: Linear;
  private readonly value: Linear;
  private readonly output: Linear;
  private readonly queryNorm: Pick<Norm, "forward">;
  private readonly keyNorm: Pick<Norm, "forward">;
  private readonly sinks: Weight | undefined;
  private readonly table: Weight | undefined;

  constructor(
    private readonly spec: AttentionSpec,
    private readonly layer: number,
    weights: Weights,
  ) {
    this.query = new Linear(spec.query, weights);
    this.key = new Linear(spec.key, weights);
    this.value = new Linear(spec.value, weights);
    this.output = new Linear(spec.output, weights);
    this.queryNorm = optionalNorm(spec.queryNorm, weights);
    this.keyNorm = optionalNorm(spec.keyNorm, weights);
    this.sinks = spec.sinks && weights.get(spec.sinks);
    this.table = spec.relative && weights.get(spec.relative.table);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    const q = this.queryNorm.forward(ops, this.project(ops, this.query, x)); // [T, H*D]
    const k = this.keyNorm.forward(ops, this.project(ops, this.key, x)); // [T, Hkv*D]
    const v = this.project(ops, this.value, x); // [T, Hkv*Dv]
    const out = this.emptyOutput(ops, x.rows);
    const { sinks, table } = this;
    batch.states.attention(this.layer).attend(ops, { q, k, v, out, sinks, table });
    return this.output.forward(ops, out);
  }

  /** The keys and values of a source [n, C], which the rows of later steps attend to with `across`. */
  remember(ops: Backend, source: Tensor, state: WholeAttentionState): void {
    state.fill(ops, this.project(ops, this.key, source), this.project(ops, this.value, source));
  }

  /** x [T, C] -> [T, C]: attention to what each sequence remembers of its source. */
  across(ops: Backend, x: Tensor, batch: Batch): Tensor {
    const q = this.project(ops, this.query, x);
    const out = this.emptyOutput(ops, x.rows);
    batch.states.cross(this.layer).attend(ops, { q, out, table: this.table });
    return this.output.forward(ops, out);
  }

  private project(ops: Backend, linear: Linear, x: Tensor): Tensor {
    const { clamp } = this.spec;
    const projected = linear.forward(ops, x);
    return clamp === undefined ? projected : ops.map(projected, "clamp", clamp);
  }

  /** [T, H*Dv] */
  private emptyOutput(ops: Backend, rows: number): Tensor {
    return ops.empty(rows, this.spec.heads * this.spec.valueWidth);
  }
}

/** What a cache must know of an attention layer. */
export function attentionShape(spec: AttentionSpec, layer: number): AttentionShape {
  const { heads, kvHeads, keyWidth, valueWidth, scale, rope, alibi, relative, softcap, window } = spec;
  return { layer, heads, kvHeads, keyWidth, valueWidth, scale, rope, alibi, relative, softcap, window };
}
