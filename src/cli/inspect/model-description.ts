/** What a ModelSpec says of a model, as plain data without its weights: what `sluice inspect --json` writes. */
import type {
  AttentionSpec,
  FeedForwardSpec,
  LayerSpec,
  Mamba2Spec,
  MambaSpec,
  MixerSpec,
  ModelSpec,
  NormSpec,
} from "../../nn/spec.js";
import type { RopeSpec } from "../../position/rope.js";
import { groupLayers, type LayerGroup } from "./layer-groups.js";

export type PositionDescription =
  | { readonly kind: "none" }
  | {
      readonly kind: "rope";
      readonly layout: RopeSpec["layout"];
      /** Rotated elements of a head of `width`. */
      readonly dims: number;
      readonly width: number;
      readonly base: number;
      /** Its kind and numbers; null: none. */
      readonly scaling: Readonly<Record<string, string | number>> | null;
      /** Every pair's angle is divided by a factor of the checkpoint's. */
      readonly factors: boolean;
    }
  | { readonly kind: "alibi"; readonly largestSlope: number; readonly smallestSlope: number }
  | { readonly kind: "relative"; readonly buckets: number; readonly maximum: number };

export interface AttentionDescription {
  readonly kind: "attention";
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly headNorms: NormSpec["kind"] | null;
  readonly positions: PositionDescription;
  readonly window: number | null;
  /** Multiplies q.k. */
  readonly scale: number;
  readonly softcap: number | null;
  readonly clamp: number | null;
  /** A learned logit per head in the softmax's denominator. */
  readonly sinks: boolean;
}

export interface StateSpaceDescription {
  readonly kind: "mamba" | "mamba2";
  readonly channels: number;
  /** Numbers of state a channel. */
  readonly stateSize: number;
  readonly convolution: number;
  /** Mamba: width of the time step's projection; null in Mamba-2. */
  readonly timeStepRank: number | null;
  /** Mamba-2: heads that share a decay, and groups of them that share B and C; null in Mamba. */
  readonly heads: number | null;
  readonly groups: number | null;
  /** Norms of dt, B and C (Jamba). */
  readonly innerNorms: boolean;
}

export type MixerDescription = AttentionDescription | StateSpaceDescription;

export type FeedForwardDescription =
  | { readonly kind: "none" }
  | { readonly kind: "dense"; readonly activation: string; readonly hidden: number }
  | { readonly kind: "gated"; readonly gating: string; readonly hidden: number }
  | {
      readonly kind: "experts";
      readonly experts: number;
      readonly used: number;
      readonly gating: string;
      /** Of each expert. */
      readonly hidden: number;
      /** Weights of the chosen sum to 1. */
      readonly renormalised: boolean;
    };

export interface NormDescription {
  readonly kind: NormSpec["kind"];
  readonly epsilon: number;
  /** Behind the branches too. */
  readonly behind: boolean;
}

/** A stack of layers: each respect with the layers that have it. */
export interface StackDescription {
  readonly layers: number;
  readonly mixers: readonly LayerGroup<MixerDescription>[];
  /** Attention over what the encoder read; empty where there is none. */
  readonly cross: readonly LayerGroup<AttentionDescription>[];
  readonly feedForwards: readonly LayerGroup<FeedForwardDescription>[];
  readonly residuals: readonly LayerGroup<LayerSpec["residual"]>[];
  readonly norms: readonly LayerGroup<NormDescription>[];
}

export interface ModelDescription extends StackDescription {
  readonly width: number;
  readonly vocabulary: number;
  readonly contextLength: number;
  readonly embedding: {
    /** The head is the same matrix. */
    readonly tied: boolean;
    readonly scale: number | null;
    readonly norm: NormSpec["kind"] | null;
    /** What is added for a token's position. */
    readonly positions: "learned" | "sinusoidal" | null;
    /** Rows of a learned table. */
    readonly mostPositions: number | null;
  };
  readonly logitSoftcap: number | null;
  readonly encoder: StackDescription | null;
}

export function describeModel(spec: ModelSpec): ModelDescription {
  const { positions } = spec;
  return {
    ...describeStack(spec.layers),
    width: spec.width,
    vocabulary: spec.vocabulary,
    contextLength: spec.contextLength,
    embedding: {
      tied: spec.head.weight.tensor === spec.embedding.tensor,
      scale: spec.embeddingScale ?? null,
      norm: spec.embeddingNorm?.kind ?? null,
      positions: positions?.kind ?? null,
      mostPositions: positions?.kind === "learned" ? positions.positions : null,
    },
    logitSoftcap: spec.logitSoftcap ?? null,
    encoder: spec.encoder ? describeStack(spec.encoder.layers) : null,
  };
}

function describeStack(layers: readonly LayerSpec[]): StackDescription {
  const cross = layers.flatMap((layer, index) =>
    layer.cross ? [{ index, value: describeAttention(layer.cross.body) }] : [],
  );
  return {
    layers: layers.length,
    mixers: groupLayers(layers.map(({ mixer }) => describeMixer(mixer.body))),
    cross: groupLayers(cross.map(({ value }) => value)).map((group) => ({
      ...group,
      layers: group.layers.map((at) => cross[at].index),
    })),
    feedForwards: groupLayers(layers.map(({ feedForward }) => describeFeedForward(feedForward?.body))),
    residuals: groupLayers(layers.map(({ residual }) => residual)),
    norms: groupLayers(layers.map(describeNorm)),
  };
}

function describeMixer(spec: MixerSpec): MixerDescription {
  switch (spec.kind) {
    case "attention":
      return describeAttention(spec);
    case "mamba":
      return { ...stateSpace(spec), timeStepRank: spec.timeStepDown.weight.rows, heads: null, groups: null };
    case "mamba2":
      return {
        ...stateSpace(spec),
        timeStepRank: null,
        heads: spec.heads,
        groups: spec.b.weight.rows / spec.stateSize,
      };
  }
}

function stateSpace(spec: MambaSpec | Mamba2Spec) {
  const { kind, stateSize, convolution } = spec;
  const innerNorms = spec.kind === "mamba" && spec.timeStepNorm !== undefined;
  return { kind, channels: convolution.kernel.rows, stateSize, convolution: convolution.kernel.cols, innerNorms };
}

function describeAttention(spec: AttentionSpec): AttentionDescription {
  const { heads, kvHeads, keyWidth, valueWidth, scale } = spec;
  return {
    kind: "attention",
    heads,
    kvHeads,
    keyWidth,
    valueWidth,
    headNorms: spec.queryNorm?.kind ?? null,
    positions: describePositions(spec),
    window: spec.window ?? null,
    scale,
    softcap: spec.softcap ?? null,
    clamp: spec.clamp ?? null,
    sinks: spec.sinks !== undefined,
  };
}

function describePositions({ rope, alibi, relative, keyWidth }: AttentionSpec): PositionDescription {
  if (rope) {
    const { layout, dims, base, scaling, divisors } = rope;
    return {
      kind: "rope",
      layout,
      dims,
      width: keyWidth,
      base,
      scaling: scaling.kind === "none" ? null : numbersOf(scaling),
      factors: divisors !== undefined,
    };
  }
  if (alibi) {
    const { slopes } = alibi;
    return { kind: "alibi", largestSlope: Math.max(...slopes), smallestSlope: Math.min(...slopes) };
  }
  if (relative) return { kind: "relative", buckets: relative.buckets, maximum: relative.maximum };
  return { kind: "none" };
}

/** Without the tables of LongRoPE. */
function numbersOf(scaling: RopeSpec["scaling"]): Record<string, string | number> {
  const entries = Object.entries(scaling).filter(([, value]) => typeof value === "string" || typeof value === "number");
  return Object.fromEntries(entries);
}

function describeFeedForward(spec: FeedForwardSpec | undefined): FeedForwardDescription {
  switch (spec?.kind) {
    case undefined:
      return { kind: "none" };
    case "dense":
      return { kind: "dense", activation: spec.activation, hidden: spec.up.weight.rows };
    case "gated":
      return { kind: "gated", gating: spec.gating, hidden: spec.up.weight.rows };
    case "experts":
      return {
        kind: "experts",
        experts: spec.count,
        used: spec.used,
        gating: spec.gating,
        hidden: spec.up.weight.rows / spec.count,
        renormalised: spec.weighting === "chosen",
      };
  }
}

function describeNorm({ mixer, feedForward }: LayerSpec): NormDescription {
  const { kind, epsilon } = mixer.norm;
  return { kind, epsilon, behind: (mixer.postNorm ?? feedForward?.postNorm) !== undefined };
}
