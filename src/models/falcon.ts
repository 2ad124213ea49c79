/**
 * Falcon (2311.16867): parallel residual, rotary, one KV head (7B) or some (40B), LayerNorm. The 7B has one norm for both
 * branches; in the 40B attention has its own (attn_norm_2) and the feed-forward attn_norm.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { denseMlp, layerNorm } from "./parts.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export const falcon: Architecture = {
  auxiliary: [],
  fixed: { use_parallel_residual: [true] },
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, { layout: "halves", headWidth: sizes.keyWidth });
    return decoder(meta, vocabulary, layerNorm, (block) => ({
      residual: "parallel",
      mixer: { ...attention(meta, block, sizes), rope },
      feedForward: denseMlp(meta, block, "gelu"),
      norms: {
        mixer: meta.hasTensor(`${block}.attn_norm_2.weight`) ? "attn_norm_2" : "attn_norm",
        feedForward: "attn_norm",
      },
    }));
  },
};
