/**
 * Bloom (2211.05100) and MPT: ALiBi instead of positions, LayerNorm, a feed-forward of two matrices. Bloom has biases
 * everywhere and a norm behind the embedding; MPT may cut off queries, keys and values.
 */
import type { AlibiSpec } from "../position/alibi.js";
import { alibi } from "../position/alibi.js";
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { blocks, decoder, denseMlp, layerNorm } from "./parts.js";

export const bloom: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const embeddingNorm = layerNorm(meta, "token_embd_norm", meta.count("embedding_length"));
    const { heads } = headSizes(meta);
    return { ...biased(meta, vocabulary, { alibi: alibi(heads) }), embeddingNorm };
  },
};

export const mpt: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const most = meta.number("attention.max_alibi_bias", 0);
    const clamp = meta.number("attention.clamp_kqv", 0);
    const { heads } = headSizes(meta);
    return biased(meta, vocabulary, {
      ...(most > 0 && { alibi: alibi(heads, most) }),
      ...(clamp > 0 && { clamp }),
    });
  },
};

function biased(
  meta: ModelMetadata,
  vocabulary: number,
  traits: { readonly alibi?: AlibiSpec; readonly clamp?: number },
) {
  const sizes = headSizes(meta);
  const width = meta.count("embedding_length");
  const layers = blocks(meta, (block) => ({
    residual: "sequential" as const,
    mixer: {
      norm: layerNorm(meta, `${block}.attn_norm`, width),
      body: { ...attention(meta, block, sizes), ...traits },
    },
    feedForward: { norm: layerNorm(meta, `${block}.ffn_norm`, width), body: denseMlp(meta, block, "gelu") },
  }));
  return { ...decoder(meta, vocabulary), layers, norm: layerNorm(meta, "output_norm", width) };
}
