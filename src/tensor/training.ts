/**
 * What training needs of a backend beside inference: derivatives of the operations, attention and losses that keep what
 * their derivatives read, optimizer steps. An optional tier: `Backend.training` is absent where a backend only runs models.
 *
 * Each derivative takes dy, the gradient of the loss with respect to the operation's result, and returns those of its
 * inputs as new tensors of the current arena. Gradients of weights are *accumulated* (+=) into kept tensors of the weight's
 * shape. Trained weights are f32. All results are the same bits on any number of threads.
 */
import type { Angles, AttentionBias, ElementFunction, ExpertWeighting, Gating, Routing } from "./operands.js";
import type { ExpertWeights, KeptTensor, StepInput, Tensor, Weight } from "./tensor.js";

export interface LinearTraining {
  /** Of linear: dy [T, out] times W [out, in]: [T, in]. */
  linearInput(dy: Tensor, weight: Weight): Tensor;
  /** Of linear: gradient [out, in] += dy^T x. */
  linearWeight(dy: Tensor, x: Tensor, gradient: KeptTensor): void;
  /** Of a bias: gradient [1, cols] += the sums of dy's columns. */
  sumRows(dy: Tensor, gradient: KeptTensor): void;
  crossEntropy(call: CrossEntropyCall): CrossEntropyResult;
}

/**
 * Cross-entropy of the head's logits (x W^T + b, soft-capped) against target ids, in chunks of rows: never [T, V] at once.
 * The total is sum over t of weights[t] * -log softmax(logits[t])[targets[t]].
 */
export interface CrossEntropyCall {
  /** [T, C], behind the last norm. */
  readonly x: Tensor;
  /** [V, C] */
  readonly head: Weight;
  /** [1, V] */
  readonly bias?: Weight | undefined;
  /** Logits are c tanh(logit / c). */
  readonly softcap?: number | undefined;
  /** i32 [T], each in [0, V). Where the weight is 0 the row costs nothing. */
  readonly targets: StepInput;
  /** f32 [T] */
  readonly weights: StepInput;
  /** Absent: only the losses are wanted. */
  readonly gradients?: { readonly head?: KeptTensor | undefined; readonly bias?: KeptTensor | undefined } | undefined;
}

export interface CrossEntropyResult {
  /** [T, 1]: -log softmax(logits[t])[targets[t]], without the weights; 0 where the weight is 0. */
  readonly losses: Tensor;
  /** [T, C]: of the total with respect to x; only with `gradients`. */
  readonly dx: Tensor | undefined;
}

export interface RowTraining {
  /** [rows, cols] of zeros. */
  zeros(rows: number, cols: number): Tensor;
  /** A copy of x in the current arena. */
  copy(x: Tensor): Tensor;
  /** into += x, same shape. */
  accumulate(into: Tensor, x: Tensor): void;
  /** Of embed: gradient[ids[t]] += dy[t]; ids may repeat. */
  scatterRows(dy: Tensor, ids: StepInput, gradient: KeptTensor): void;
  /** Of gather: zeros [rows, C], then result[indices[t]] += dy[t]; indices may repeat. */
  ungather(dy: Tensor, indices: StepInput, rows: number): Tensor;
  /** Of rmsNorm (gains of several rows too): dx. `gradient`, of the gain's shape, is accumulated. */
  rmsNormInput(call: NormCall): Tensor;
  /** Of layerNorm. */
  layerNormInput(call: NormCall & { readonly biasGradient?: KeptTensor | undefined }): Tensor;
  /** Of map: f'(x) dy. */
  mapInput(x: Tensor, f: ElementFunction, parameter: number | undefined, dy: Tensor): Tensor;
  /** Of gated. */
  gatedInputs(gate: Tensor, up: Tensor, gating: Gating, dy: Tensor): { readonly gate: Tensor; readonly up: Tensor };
  /** Of rotate: by the transposed rotation, with the same magnitude. */
  rotateBack(dy: Tensor, headWidth: number, angles: Angles): Tensor;
}

export interface NormCall {
  readonly x: Tensor;
  readonly gain: Weight;
  readonly epsilon: number;
  readonly dy: Tensor;
  readonly gradient?: KeptTensor | undefined;
}

/**
 * Exact attention over visible ranges of rows, with no store: the query of row t sees rows of k and v. The cost is that of
 * what is seen, the memory linear in T.
 */
export interface AttentionTrainingCall {
  /** [T, H*D], rotated. */
  readonly q: Tensor;
  /** [N, Hkv*D], rotated, and [N, Hkv*Dv]. */
  readonly k: Tensor;
  readonly v: Tensor;
  /** i32 [T, R, 2]: first row and row after the last that row t sees in range r; ascending, not overlapping, may be empty. */
  readonly spans: StepInput;
  /** KV heads [head, head + heads) are meant, with their G query heads each; the columns of others are left alone. */
  readonly head: number;
  readonly heads: number;
  /** G */
  readonly group: number;
  /** Multiplies q.k. */
  readonly scale: number;
  /** Then scores are c tanh(score / c). */
  readonly softcap?: number | undefined;
  /** Then this is added; distance = places[t, r] - row of the key. Slopes and table columns are by query head. */
  readonly bias?: AttentionBias | undefined;
  /** [1, H]: logits that join the denominator and have no value (all zero: SoftMax1). */
  readonly sinks?: Weight | undefined;
}

export interface AttentionTraining {
  /** Writes the heads' columns of out [T, H*Dv] and of logSums [T, H]: log of the softmax's denominator, sinks included.
   * A row that sees nothing has an out of 0, and without sinks a logSum of -Infinity. */
  attendRows(call: AttentionTrainingCall, out: Tensor, logSums: Tensor): void;
  /** Adds to the heads' columns of dq, dk, dv (FlashAttention 2205.14135, backward: tiles are computed anew from logSums). */
  attendRowsBack(call: AttentionBackCall): void;
}

export interface AttentionBackCall extends AttentionTrainingCall {
  readonly out: Tensor;
  readonly logSums: Tensor;
  /** [T, H*Dv] */
  readonly dOut: Tensor;
  readonly dq: Tensor;
  readonly dk: Tensor;
  readonly dv: Tensor;
  /** [1, H] */
  readonly sinksGradient?: KeptTensor | undefined;
  /** [buckets, H] of a table bias. */
  readonly tableGradient?: KeptTensor | undefined;
}

export interface StateSpaceTraining {
  /** Of convolution (with its SiLU) from a state of zeros: dx. */
  convolutionInput(call: {
    readonly x: Tensor;
    /** [channels, K] */
    readonly kernel: Weight;
    /** [1, channels] */
    readonly bias?: Weight | undefined;
    readonly dy: Tensor;
    readonly kernelGradient?: KeptTensor | undefined;
    readonly biasGradient?: KeptTensor | undefined;
  }): Tensor;
  /** Of scan from a state of zeros. States between rows are computed anew; memory linear in T. */
  scanInputs(call: ScanBackCall): { readonly x: Tensor; readonly dt: Tensor; readonly b: Tensor; readonly c: Tensor };
}

/** As ScanCall. */
export interface ScanBackCall {
  readonly x: Tensor;
  readonly dt: Tensor;
  readonly a: Weight;
  readonly b: Tensor;
  readonly c: Tensor;
  readonly skip: Weight;
  /** N, which the columns of b and c, G*N, do not tell. */
  readonly states: number;
  /** [T, H*P] */
  readonly dy: Tensor;
  readonly aGradient?: KeptTensor | undefined;
  readonly skipGradient?: KeptTensor | undefined;
}

/** Of mixtures of experts. Which experts a row goes to has no derivative, but with which weights has. */
export interface ExpertTraining {
  /** [T, k]: the weights of a routing, as a tensor that can have a gradient. */
  routingWeights(routing: Routing): Tensor;
  /** Of route: that of the logits, [T, E]. */
  routeInput(call: RouteBackCall): Tensor;
  /** Of expertLinear: dx. */
  expertLinearInput(call: ExpertLinearBackCall): Tensor;
  /** Of mixExperts. */
  mixExpertsInputs(y: Tensor, routing: Routing, dy: Tensor): { readonly y: Tensor; readonly weights: Tensor };
}

export interface RouteBackCall {
  /** [T, E] */
  readonly logits: Tensor;
  readonly routing: Routing;
  readonly weighting: ExpertWeighting;
  /** Of the weights, [T, k]. */
  readonly dy: Tensor;
  /**
   * Adds the gradient of this times E sum over e of f_e P_e (Switch, 2101.03961): f_e is the part of the T*k choices that
   * fell on expert e, P_e the mean of its probability among all experts. 1 when the experts share the work evenly.
   */
  readonly balance?: number | undefined;
}

export interface ExpertLinearBackCall {
  /** [T, in] or [T*k, in] */
  readonly x: Tensor;
  readonly experts: ExpertWeights;
  readonly routing: Routing;
  /** [T*k, out] */
  readonly dy: Tensor;
  /** As the matrices and biases, accumulated. Nothing is added to the rows of experts that no row of x goes to. */
  readonly gradient?: KeptTensor | undefined;
  readonly biasGradient?: KeptTensor | undefined;
}

export interface OptimizerTraining {
  /** Sets all numbers to zero. */
  clear(x: KeptTensor): void;
  /** [1, n]: the sum of squares of each, summed so that long ones lose nothing. */
  sumsOfSquares(x: readonly KeptTensor[]): Tensor;
  /** One step of AdamW (1711.05101) for one weight, whose numbers change in place. */
  adamW(call: AdamWCall): void;
}

/**
 * g = gradient * gradientScale; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
 * w = w - rate (m / correction1 / (sqrt(v / correction2) + epsilon) + decay w), with correction_i = 1 - beta_i^step.
 */
export interface AdamWCall {
  readonly weight: Weight;
  readonly gradient: KeptTensor;
  readonly first: KeptTensor;
  readonly second: KeptTensor;
  readonly rate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly decay: number;
  readonly correction1: number;
  readonly correction2: number;
  /** What clips the gradient. */
  readonly gradientScale: number;
}

/** All of it. */
export interface TrainingOps
  extends LinearTraining,
    RowTraining,
    AttentionTraining,
    StateSpaceTraining,
    ExpertTraining,
    OptimizerTraining {}
