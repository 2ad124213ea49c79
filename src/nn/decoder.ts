/** Runs a ModelSpec: embedding, layers, final norm, head. One definition for inference and, later, training. */
import type { AttentionShape } from "../context/mixer-state.js";
import type { Backend, ScopeBody } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import { Attention, attentionShape } from "./attention.js";
import type { Batch } from "./batch.js";
import { Linear } from "./linear.js";
import { GatedMlp } from "./mlp.js";
import { Norm } from "./norm.js";
import type { LayerSpec, ModelSpec } from "./spec.js";
import type { Weights } from "./weights.js";

class DecoderLayer implements ScopeBody<Batch> {
  private readonly mixerNorm: Norm;
  private readonly mixer: Attention;
  private readonly feedForwardNorm: Norm;
  private readonly feedForward: GatedMlp;

  constructor(
    spec: LayerSpec,
    readonly layer: number,
    weights: Weights,
  ) {
    this.mixerNorm = new Norm(spec.mixerNorm, weights);
    this.mixer = new Attention(spec.mixer, layer, weights);
    this.feedForwardNorm = new Norm(spec.feedForwardNorm, weights);
    this.feedForward = new GatedMlp(spec.feedForward, weights);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    const mixed = ops.add(x, this.mixer.forward(ops, this.mixerNorm.forward(ops, x), batch));
    return ops.add(mixed, this.feedForward.forward(ops, this.feedForwardNorm.forward(ops, mixed)));
  }
}

export class Decoder {
  readonly attentionShapes: readonly AttentionShape[];
  private readonly embedding: Weight;
  private readonly layers: readonly DecoderLayer[];
  private readonly norm: Norm;
  private readonly head: Linear;

  constructor(
    readonly spec: ModelSpec,
    weights: Weights,
  ) {
    this.attentionShapes = spec.layers.map((layer, index) => attentionShape(layer.mixer, index));
    this.embedding = weights.get(spec.embedding);
    this.layers = spec.layers.map((layer, index) => new DecoderLayer(layer, index, weights));
    this.norm = new Norm(spec.norm, weights);
    this.head = new Linear(spec.head, weights);
  }

  /** Logits [outputs, V] of the batch's output rows. The states' `begin` has been called; `end` is the caller's. */
  forward(ops: Backend, batch: Batch): Tensor {
    let x = ops.embed(this.embedding, batch.ids); // [T, C]
    for (const layer of this.layers) x = ops.scope(layer, x, batch);
    const wanted = batch.outputs ? ops.gather(x, batch.outputs) : x; // [outputs, C]
    return this.head.forward(ops, this.norm.forward(ops, wanted));
  }
}
