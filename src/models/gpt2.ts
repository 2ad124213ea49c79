/**
 * GPT-2, and StarCoder (GPTBigCode, 2305.06161), which differs in its single KV head alone: learned positions, LayerNorm,
 * biases, a feed-forward of two matrices.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { blocks, decoder, denseMlp, layerNorm, matrix } from "./parts.js";

export const gpt2: Architecture = {
  auxiliary: [],
  build: (meta, vocabulary) => learnedPositions(meta, vocabulary),
};

function learnedPositions(meta: ModelMetadata, vocabulary: number) {
  const sizes = headSizes(meta);
  const width = meta.count("embedding_length");
  const positions = meta.count("context_length");
  const layers = blocks(meta, (block) => ({
    residual: "sequential" as const,
    mixer: { norm: layerNorm(meta, `${block}.attn_norm`, width), body: attention(meta, block, sizes) },
    feedForward: { norm: layerNorm(meta, `${block}.ffn_norm`, width), body: denseMlp(meta, block, "gelu") },
  }));
  return {
    ...decoder(meta, vocabulary),
    positions: { kind: "learned" as const, positions, table: matrix("position_embd.weight", positions, width) },
    layers,
    norm: layerNorm(meta, "output_norm", width),
  };
}
