/**
 * gpt-oss (2508.10925): experts with biases and a clamped SwiGLU, a learned logit per head in the softmax's denominator,
 * windows in every other layer, YaRN. Its `post_attention_norm` is the norm before the feed-forward.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { experts, rmsNorm, vector } from "./parts.js";
import { ropeFromMetadata, windowedRope } from "./rope-metadata.js";
import { windowOrNone, windowsOf } from "./windows.js";

export const gptOss: Architecture = {
  auxiliary: [],
  // The softmax over the chosen ones is that over all, renormalised.
  fixed: { expert_gating_func: [0, 1, 3], expert_weights_norm: [true, false] },
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, { layout: "halves", headWidth: sizes.keyWidth });
    const windowed = windowedRope(meta, rope);
    // Every model has one; a file that does not say which would be read wrongly.
    meta.number("attention.sliding_window");
    const windows = windowsOf(meta, { period: 2 });
    return decoder(meta, vocabulary, rmsNorm, (block, index) => ({
      mixer: {
        ...attention(meta, block, sizes),
        ...windowOrNone(windows(index), windowed, rope),
        sinks: vector(`${block}.attn_sinks.weight`, sizes.heads),
      },
      feedForward: experts(meta, block, { gating: "clampedSwiglu", weighting: "chosen" }),
      norms: { feedForward: "post_attention_norm" },
    }));
  },
};
