/** The peer of Sluice's training, written in @jax-js/jax: what jax-llama.mjs exports. */

export interface LlamaShape {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly hidden: number;
  /** Ids that a row reads; it has one more, since each is followed by what is to be said. */
  readonly sequence: number;
  readonly batch: number;
  /** 10000 */
  readonly ropeBase?: number;
  /** 1e-5 */
  readonly epsilon?: number;
}

/** Numbers by the names of GGUF tensors; matrices are [out, in]. */
export type Weights = ReadonlyMap<string, Float32Array>;

/** Names and shapes of a shape's weights, in the order in which they are drawn. */
export function weightShapes(shape: LlamaShape): Map<string, number[]>;

/** Matrices normal with this deviation (0.02), gains of norms one. */
export function randomWeights(shape: LlamaShape, seed: number, deviation?: number): Map<string, Float32Array>;

export interface JaxModel {
  /** Mean cross-entropy over the rows' ids after the first. ids: i32 [batch, sequence + 1]. */
  loss(weights: Weights, ids: Int32Array): Promise<number>;
  /** The gradient of that mean with respect to each weight, in the weight's shape. */
  lossAndGradients(
    weights: Weights,
    ids: Int32Array,
  ): Promise<{ readonly loss: number; readonly gradients: Map<string, Float32Array> }>;
}

/** The loss and its gradients at any weights of this shape; compiled at their first calls. */
export function createJaxModel(shape: LlamaShape): JaxModel;

export interface AdamWSettings {
  /** 1e-3 */
  readonly rate?: number;
  /** 0.9 */
  readonly beta1?: number;
  /** 0.95 */
  readonly beta2?: number;
  /** Added to the root of the second moment: 1e-8. */
  readonly stabiliser?: number;
  /** Of matrices, not of norms: 0.1. */
  readonly decay?: number;
}

export interface JaxTrainer {
  /** One step of AdamW, without clipping. ids: i32 [batch, sequence + 1]. @returns the loss before it */
  step(ids: Int32Array): Promise<number>;
  weights(): Promise<Map<string, Float32Array>>;
}

/** `weights`: what to start from, random without. The whole step is one compiled program. */
export function createJaxTrainer(
  options: LlamaShape & AdamWSettings & { readonly seed: number; readonly weights?: Weights },
): JaxTrainer;
