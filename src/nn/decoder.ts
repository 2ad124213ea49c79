/** Runs a ModelSpec: embedding, layers, final norm, head. One definition for inference and training. */
import type { LayerStates, MixerShapes } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { Batch } from "./batch.js";
import { Layer } from "./layer.js";
import { Linear } from "./linear.js";
import { mixerShapes } from "./mixer.js";
import { Norm, optionalNorm } from "./norm.js";
import { PositionEmbedding } from "./position-embedding.js";
import type { ModelSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Decoder {
  readonly shapes: MixerShapes;
  private readonly embedding: Weight;
  private readonly embeddingNorm: Pick<Norm, "forward">;
  private readonly positions: PositionEmbedding | undefined;
  private readonly encoderLayers: readonly Layer[];
  private readonly encoderNorm: Pick<Norm, "forward">;
  private readonly layers: readonly Layer[];
  private readonly norm: Norm;
  /** Training takes it together with the loss. */
  readonly head: Linear;

  constructor(
    readonly spec: ModelSpec,
    weights: Weights,
  ) {
    const { layers, encoder } = spec;
    this.shapes = mixerShapes(spec);
    this.embedding = weights.get(spec.embedding);
    this.embeddingNorm = optionalNorm(spec.embeddingNorm, weights);
    this.positions = spec.positions && new PositionEmbedding(spec.positions, weights);
    this.encoderLayers = (encoder?.layers ?? []).map((layer, i) => new Layer(layer, layers.length + i, weights));
    this.encoderNorm = optionalNorm(encoder?.norm, weights);
    this.layers = layers.map((layer, index) => new Layer(layer, index, weights));
    this.norm = new Norm(spec.norm, weights);
    this.head = new Linear(spec.head, weights);
  }

  /** Logits [outputs, V] of the batch's output rows. The states' `begin` has been called; `end` is the caller's. */
  forward(ops: Backend, batch: Batch): Tensor {
    const logits = this.head.forward(ops, this.hidden(ops, batch));
    const { logitSoftcap } = this.spec;
    return logitSoftcap === undefined ? logits : ops.map(logits, "softcap", logitSoftcap);
  }

  /** What the head reads: [outputs, C], behind the last norm. */
  hidden(ops: Backend, batch: Batch): Tensor {
    let x = this.embed(ops, batch); // [T, C]
    for (const layer of this.layers) x = ops.scope(layer, x, batch);
    const wanted = batch.outputs ? ops.gather(x, batch.outputs) : x;
    return this.norm.forward(ops, wanted);
  }

  /**
   * Reads a source whole: the batch's states are an encoder's. Every decoder layer's keys and values of it go to `memory`.
   * Between layers it gives what it has, [n, C], so that whoever runs it may stop; the last is what the encoder makes of the
   * source.
   */
  *encode(ops: Backend, batch: Batch, memory: Pick<LayerStates, "cross">): Generator<Tensor, void, undefined> {
    let x = this.embed(ops, batch);
    for (const layer of this.encoderLayers) {
      x = ops.scope(layer, x, batch);
      yield x;
    }
    const source = this.encoderNorm.forward(ops, x);
    this.layers.forEach(({ cross }, index) => {
      cross?.remember(ops, source, memory.cross(index));
    });
    yield source;
  }

  /** [T, C] */
  private embed(ops: Backend, batch: Batch): Tensor {
    const { embeddingScale } = this.spec;
    const plain = ops.embed(this.embedding, batch.ids);
    const scaled = embeddingScale === undefined ? plain : ops.map(plain, "scale", embeddingScale);
    const placed = this.positions?.forward(ops, scaled, batch) ?? scaled;
    return this.embeddingNorm.forward(ops, placed);
  }
}
