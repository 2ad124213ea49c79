/**
 * Falcon (2311.16867): parallel residual, rotary, one KV head (7B) or some (40B), LayerNorm. The 7B has one norm for both
 * branches; in the 40B attention has its own (attn_norm_2) and the feed-forward attn_norm.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { blocks, decoder, denseMlp, layerNorm } from "./parts.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export const falcon: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const width = meta.count("embedding_length");
    const rope = ropeFromMetadata(meta, "halves", sizes.keyWidth);
    const layers = blocks(meta, (block) => {
      const own = meta.hasTensor(`${block}.attn_norm_2.weight`) ? "attn_norm_2" : "attn_norm";
      return {
        residual: "parallel" as const,
        mixer: { norm: layerNorm(meta, `${block}.${own}`, width), body: { ...attention(meta, block, sizes), rope } },
        feedForward: { norm: layerNorm(meta, `${block}.attn_norm`, width), body: denseMlp(meta, block, "gelu") },
      };
    });
    return { ...decoder(meta, vocabulary), layers, norm: layerNorm(meta, "output_norm", width) };
  },
};
