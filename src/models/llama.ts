/**
 * Llama and its relatives: pre-norm RMSNorm, rotary attention with grouped KV heads, SwiGLU. One builder; the relatives
 * differ in RoPE's layout, head norms and window. Biases are taken where the checkpoint has them.
 */
import type { AttentionSpec, LayerSpec, LinearSpec, ModelSpec, NormSpec } from "../nn/spec.js";
import type { RopeSpec } from "../position/rope.js";
import type { RopeLayout } from "../tensor/backend.js";
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import type { ModelMetadata } from "./metadata.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export interface LlamaTraits {
  readonly rope: RopeLayout;
  /** RMSNorm of every head's query and key (qwen3). */
  readonly headNorms: boolean;
  /** Whether `attention.sliding_window` is meant (mistral); llama.cpp ignores it for `llama`. */
  readonly window: boolean;
}

interface Sizes {
  readonly width: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly epsilon: number;
  readonly window: number | undefined;
}

export function llamaLike(traits: LlamaTraits): Architecture {
  return {
    auxiliary: ["rope_freqs.weight"],
    build(meta, vocabulary, auxiliary) {
      refuseExperts(meta);
      const sizes = readSizes(meta, traits);
      const rope = ropeFromMetadata(meta, traits.rope, sizes.keyWidth, auxiliary.get("rope_freqs.weight"));
      const layers = Array.from({ length: blockCount(meta) }, (_, i) => layer(meta, sizes, traits, rope, i));
      const norm = rms("output_norm.weight", sizes.width, sizes.epsilon);
      const tied = !meta.hasTensor("output.weight");
      return {
        architecture: meta.checkpoint.architecture,
        width: sizes.width,
        vocabulary,
        contextLength: meta.count("context_length"),
        embedding: "token_embd.weight",
        layers,
        norm,
        head: linear(meta, tied ? "token_embd" : "output", sizes.width, vocabulary),
      } satisfies ModelSpec;
    },
  };
}

/** Bounded by the tensors that are there, so that a hostile count allocates nothing. */
function blockCount(meta: ModelMetadata): number {
  const count = meta.count("block_count");
  const { location, tensors } = meta.checkpoint;
  if (count <= tensors.size) return count;
  throw new FormatError(`${location}: ${count} blocks are announced, but there are only ${tensors.size} tensors.`, {
    count,
  });
}

function readSizes(meta: ModelMetadata, traits: LlamaTraits): Sizes {
  const width = meta.count("embedding_length");
  const heads = meta.count("attention.head_count");
  const kvHeads = meta.count("attention.head_count_kv", heads);
  if (heads % kvHeads !== 0) {
    throw new FormatError(`${meta.checkpoint.location}: ${heads} heads cannot share ${kvHeads} KV heads evenly.`);
  }
  const keyWidth = meta.count("attention.key_length", width / heads);
  return {
    width,
    heads,
    kvHeads,
    keyWidth,
    valueWidth: meta.count("attention.value_length", keyWidth),
    hidden: meta.count("feed_forward_length"),
    epsilon: meta.number("attention.layer_norm_rms_epsilon"),
    window: traits.window && meta.has("attention.sliding_window") ? meta.count("attention.sliding_window") : undefined,
  };
}

function layer(meta: ModelMetadata, sizes: Sizes, traits: LlamaTraits, rope: RopeSpec, index: number): LayerSpec {
  const block = `blk.${index}`;
  const { width, hidden, epsilon } = sizes;
  return {
    mixerNorm: rms(`${block}.attn_norm.weight`, width, epsilon),
    mixer: attention(meta, sizes, traits, rope, block),
    feedForwardNorm: rms(`${block}.ffn_norm.weight`, width, epsilon),
    feedForward: {
      kind: "gated",
      activation: "silu",
      gate: linear(meta, `${block}.ffn_gate`, width, hidden),
      up: linear(meta, `${block}.ffn_up`, width, hidden),
      down: linear(meta, `${block}.ffn_down`, hidden, width),
    },
  };
}

function attention(
  meta: ModelMetadata,
  sizes: Sizes,
  traits: LlamaTraits,
  rope: RopeSpec,
  block: string,
): AttentionSpec {
  const { width, heads, kvHeads, keyWidth, valueWidth, epsilon, window } = sizes;
  return {
    kind: "attention",
    heads,
    kvHeads,
    keyWidth,
    valueWidth,
    scale: 1 / Math.sqrt(keyWidth),
    query: linear(meta, `${block}.attn_q`, width, heads * keyWidth),
    key: linear(meta, `${block}.attn_k`, width, kvHeads * keyWidth),
    value: linear(meta, `${block}.attn_v`, width, kvHeads * valueWidth),
    output: linear(meta, `${block}.attn_output`, heads * valueWidth, width),
    rope,
    ...(window === undefined ? {} : { window }),
    ...(traits.headNorms && {
      queryNorm: rms(`${block}.attn_q_norm.weight`, keyWidth, epsilon),
      keyNorm: rms(`${block}.attn_k_norm.weight`, keyWidth, epsilon),
    }),
  };
}

function rms(weight: string, width: number, epsilon: number): NormSpec {
  return { kind: "rms", weight, width, epsilon };
}

function linear(meta: ModelMetadata, name: string, inputs: number, outputs: number): LinearSpec {
  const spec = { weight: `${name}.weight`, inputs, outputs };
  return meta.hasTensor(`${name}.bias`) ? { ...spec, bias: `${name}.bias` } : spec;
}

function refuseExperts(meta: ModelMetadata): void {
  if (meta.number("expert_count", 0) === 0) return;
  throw new UnsupportedError(`${meta.checkpoint.location}: mixtures of experts are not supported yet.`, {
    architecture: meta.checkpoint.architecture,
  });
}
