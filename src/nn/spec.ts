/**
 * A model as data: what `models/<architecture>.ts` makes of a checkpoint's metadata and `nn/` runs. Weights are named as
 * in GGUF; shapes are [outputs, inputs]. Letters: C width, H heads, Hkv KV heads, D head width, V vocabulary.
 */

import type { RopeSpec } from "../position/rope.js";
import type { Activation } from "../tensor/backend.js";

/** y = x W^T + b. */
export interface LinearSpec {
  readonly weight: string;
  readonly bias?: string;
  readonly inputs: number;
  readonly outputs: number;
}

export interface NormSpec {
  readonly kind: "rms";
  readonly weight: string;
  /** Elements that are normalised together: the row, or one head. */
  readonly width: number;
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
  /** Norms of every head's query and key, before rotation. */
  readonly queryNorm?: NormSpec;
  readonly keyNorm?: NormSpec;
  readonly rope?: RopeSpec;
  /** The model's own sliding window. */
  readonly window?: number;
}

export interface GatedMlpSpec {
  readonly kind: "gated";
  readonly activation: Activation;
  readonly gate: LinearSpec;
  readonly up: LinearSpec;
  readonly down: LinearSpec;
}

/** Sequential residual: x += mixer(norm(x)); x += feedForward(norm(x)). */
export interface LayerSpec {
  readonly mixerNorm: NormSpec;
  readonly mixer: AttentionSpec;
  readonly feedForwardNorm: NormSpec;
  readonly feedForward: GatedMlpSpec;
}

export interface ModelSpec {
  readonly architecture: string;
  readonly width: number;
  readonly vocabulary: number;
  /** Tokens that it was trained for. */
  readonly contextLength: number;
  readonly embedding: string;
  readonly layers: readonly LayerSpec[];
  readonly norm: NormSpec;
  readonly head: LinearSpec;
}
