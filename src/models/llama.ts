/**
 * Llama and its relatives: pre-norm RMSNorm, rotary attention with grouped KV heads, SwiGLU or a mixture of SwiGLU experts
 * (Mixtral, 2401.04088). The relatives differ in RoPE's layout, head norms and window.
 */
import type { RopeLayout } from "../tensor/backend.js";
import type { Architecture } from "./architecture.js";
import { attention, headNorms, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { experts, gatedMlp, rmsNorm } from "./parts.js";
import { DIVISORS, LONG_DIVISORS, ropeFromMetadata, SHORT_DIVISORS } from "./rope-metadata.js";
import { FOLDER, windowOrNone, windowsOf } from "./windows.js";

export interface LlamaTraits {
  readonly rope: RopeLayout;
  /** RMSNorm of every head's query and key (qwen3). */
  readonly headNorms?: boolean;
  /** Whether `attention.sliding_window` is meant (mistral); llama.cpp ignores it for the others. */
  readonly window?: boolean;
}

export function llamaLike(traits: LlamaTraits): Architecture {
  return {
    auxiliary: [DIVISORS, SHORT_DIVISORS, LONG_DIVISORS],
    build(meta, vocabulary, auxiliary) {
      const sizes = headSizes(meta);
      const rope = ropeFromMetadata(meta, { layout: traits.rope, headWidth: sizes.keyWidth, auxiliary });
      const windows = windowsOf(meta, { period: 0 }, traits.window ? undefined : FOLDER);
      const mixture = meta.number("expert_count", 0) > 0;
      return decoder(meta, vocabulary, rmsNorm, (block, index) => ({
        mixer: {
          ...attention(meta, block, sizes),
          ...windowOrNone(windows(index), rope, rope),
          ...(traits.headNorms && headNorms(meta, block, sizes)),
        },
        feedForward: mixture
          ? experts(meta, block, { gating: "silu", weighting: "chosen" })
          : gatedMlp(meta, block, "silu"),
      }));
    },
  };
}
