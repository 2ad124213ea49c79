/**
 * gpt-oss (2508.10925): experts with biases and a clamped SwiGLU, a learned logit per head in the softmax's denominator,
 * windows in every other layer, YaRN. Its `post_attention_norm` is the norm before the feed-forward.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { experts, rmsNorm, vector } from "./parts.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export const gptOss: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, "halves", sizes.keyWidth);
    const window = meta.count("attention.sliding_window");
    return decoder(meta, vocabulary, rmsNorm, (block, index) => ({
      mixer: {
        ...attention(meta, block, sizes),
        rope,
        sinks: vector(`${block}.attn_sinks.weight`, sizes.heads),
        ...(index % 2 === 0 && { window }),
      },
      feedForward: experts(meta, block, { gating: "clampedSwiglu", weighting: "chosen" }),
      norms: { feedForward: "post_attention_norm" },
    }));
  },
};
