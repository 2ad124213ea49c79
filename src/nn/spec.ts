/**
 * A model as data: what `models/<architecture>.ts` makes of a checkpoint's metadata and `nn/` runs. Every weight is a
 * WeightRef, wherever it stands in the spec (weights.ts collects them). Tensors are named as in GGUF; shapes are [outputs,
 * inputs]. Letters: C width, H heads, Hkv KV heads, D head width, V vocabulary, E experts.
 */
import type { AlibiSpec } from "../position/alibi.js";
import type { LearnedSpec } from "../position/learned.js";
import type { RelativeSpec } from "../position/relative.js";
import type { RopeSpec } from "../position/rope.js";
import type { SinusoidalSpec } from "../position/sinusoidal.js";
import type { Activation, ExpertWeighting, Gating } from "../tensor/backend.js";

/** A tensor of the checkpoint, or some of its rows, as one weight. */
export interface WeightRef {
  readonly tensor: string;
  readonly rows: number;
  readonly cols: number;
  /** Kept as f32 whatever the file has: vectors, and small tables that kernels read as such. */
  readonly exact: boolean;
  /** Where it is only a part: its first element, and the shape of the whole tensor. */
  readonly part?: { readonly start: number; readonly rows: number; readonly cols: number };
  /** E, where the rows are those of the matrices of so many experts, one behind the other. */
  readonly experts?: number;
}

/** y = x W^T + b: W [outputs, inputs], b [1, outputs]. */
export interface LinearSpec {
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
}

/** RMSNorm or LayerNorm over groups of gain.cols elements: the row, a head, or each of several groups with its own gain. */
export interface NormSpec {
  readonly kind: "rms" | "layer";
  readonly gain: WeightRef;
  readonly bias?: WeightRef;
  readonly epsilon: number;
}

export interface AttentionSpec {
  readonly kind: "attention";
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly scale: number;
  readonly query: LinearSpec;
  readonly key: LinearSpec;
  readonly value: LinearSpec;
  readonly output: LinearSpec;
  /** Queries, keys and values are cut off at plus and minus this. */
  readonly clamp?: number;
  /** Norms of every head's query and key, before rotation. */
  readonly queryNorm?: NormSpec;
  readonly keyNorm?: NormSpec;
  readonly rope?: RopeSpec;
  readonly alibi?: AlibiSpec;
  /** Buckets of distances; `table` [buckets, H] has what is added to the scores. */
  readonly relative?: RelativeSpec & { readonly table: WeightRef };
  /** Scores are c tanh(score / c). */
  readonly softcap?: number;
  /** [1, H]: learned logits that join the softmax's denominator. */
  readonly sinks?: WeightRef;
  /** The model's own sliding window. */
  readonly window?: number;
}

/** Mamba (2312.00752). Channels are the inner width; N the size of a channel's state. */
export interface MambaSpec {
  readonly kind: "mamba";
  readonly stateSize: number;
  /** x and the gate z, [channels, C] each. */
  readonly input: LinearSpec;
  readonly gate: LinearSpec;
  readonly convolution: ConvolutionSpec;
  /** [rank, channels], then [channels, rank] with the bias of dt. */
  readonly timeStepDown: LinearSpec;
  readonly timeStepUp: LinearSpec;
  /** [N, channels] each. */
  readonly b: LinearSpec;
  readonly c: LinearSpec;
  /** RMSNorms of dt, B and C (Jamba). */
  readonly timeStepNorm?: NormSpec;
  readonly bNorm?: NormSpec;
  readonly cNorm?: NormSpec;
  /** [channels, N], negative; [1, channels]. */
  readonly decay: WeightRef;
  readonly skip: WeightRef;
  readonly output: LinearSpec;
}

/** Mamba-2 (2405.21060): heads with one decay each; B and C belong to groups of heads and are convolved too. */
export interface Mamba2Spec {
  readonly kind: "mamba2";
  readonly heads: number;
  readonly stateSize: number;
  readonly input: LinearSpec;
  readonly gate: LinearSpec;
  readonly b: LinearSpec;
  readonly c: LinearSpec;
  readonly convolution: ConvolutionSpec;
  readonly bConvolution: ConvolutionSpec;
  readonly cConvolution: ConvolutionSpec;
  /** [H, C] with the bias of dt. */
  readonly timeStep: LinearSpec;
  /** [H, 1] each. */
  readonly decay: WeightRef;
  readonly skip: WeightRef;
  /** Of y * silu(z), in groups. */
  readonly norm: NormSpec;
  readonly output: LinearSpec;
}

/** Causal, depthwise: kernel [channels, K]. */
export interface ConvolutionSpec {
  readonly kernel: WeightRef;
  readonly bias?: WeightRef;
}

export type MixerSpec = AttentionSpec | MambaSpec | Mamba2Spec;

export interface DenseMlpSpec {
  readonly kind: "dense";
  readonly activation: Activation;
  readonly up: LinearSpec;
  readonly down: LinearSpec;
}

export interface GatedMlpSpec {
  readonly kind: "gated";
  readonly gating: Gating;
  readonly gate: LinearSpec;
  readonly up: LinearSpec;
  readonly down: LinearSpec;
}

/** Mixture of experts (Mixtral 2401.04088): each row goes to the `used` experts of E that its router prefers. */
export interface ExpertsSpec {
  readonly kind: "experts";
  readonly used: number;
  readonly weighting: ExpertWeighting;
  readonly gating: Gating;
  /** [E, C] */
  readonly router: LinearSpec;
  /** E */
  readonly count: number;
  /** The layers of all experts in one: W [E * outputs, inputs], b [E, outputs]. */
  readonly gate: LinearSpec;
  readonly up: LinearSpec;
  readonly down: LinearSpec;
}

export type FeedForwardSpec = DenseMlpSpec | GatedMlpSpec | ExpertsSpec;

/**
 * A part of a layer with its norms: postNorm(body(norm(x))), which is added to x. Absent norms are left out.
 */
export interface BranchSpec<B> {
  readonly norm: NormSpec;
  readonly body: B;
  readonly postNorm?: NormSpec;
}

/**
 * `sequential`: x += mixer(x); then x += cross(x), in decoders of encoder-decoder models; then x += feedForward(x).
 * `parallel`: x += mixer(x) + feedForward(x).
 */
export interface LayerSpec {
  readonly residual: "sequential" | "parallel";
  readonly mixer: BranchSpec<MixerSpec>;
  /** Attention over what the encoder read. */
  readonly cross?: BranchSpec<AttentionSpec>;
  readonly feedForward?: BranchSpec<FeedForwardSpec>;
}

/** What is added to the embedding of the token at a position; the table is [positions, C]. */
export type PositionEmbeddingSpec = (LearnedSpec & { readonly table: WeightRef }) | SinusoidalSpec;

/** Reads the whole source at once, every token seeing all (T5 1910.10683). */
export interface EncoderSpec {
  readonly layers: readonly LayerSpec[];
  readonly norm: NormSpec;
  /** What the decoder's text begins with. */
  readonly startToken: number;
}

export interface ModelSpec {
  readonly architecture: string;
  readonly width: number;
  readonly vocabulary: number;
  /** Tokens that it was trained for. */
  readonly contextLength: number;
  /** [V, C] */
  readonly embedding: WeightRef;
  /** Multiplies the embedding. */
  readonly embeddingScale?: number;
  readonly embeddingNorm?: NormSpec;
  readonly positions?: PositionEmbeddingSpec;
  readonly encoder?: EncoderSpec;
  readonly layers: readonly LayerSpec[];
  readonly norm: NormSpec;
  readonly head: LinearSpec;
  /** Logits are c tanh(logit / c). */
  readonly logitSoftcap?: number;
}
