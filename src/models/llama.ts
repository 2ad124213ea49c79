/**
 * Llama and its relatives: pre-norm RMSNorm, rotary attention with grouped KV heads, SwiGLU or a mixture of SwiGLU experts
 * (Mixtral, 2401.04088). The relatives differ in RoPE's layout, head norms and window.
 */
import type { RopeLayout } from "../tensor/backend.js";
import type { Architecture } from "./architecture.js";
import { attention, headNorms, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { experts, gatedMlp, rmsNorm } from "./parts.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export interface LlamaTraits {
  readonly rope: RopeLayout;
  /** RMSNorm of every head's query and key (qwen3). */
  readonly headNorms?: boolean;
  /** Whether `attention.sliding_window` is meant (mistral); llama.cpp ignores it for `llama`. */
  readonly window?: boolean;
}

export function llamaLike(traits: LlamaTraits): Architecture {
  return {
    auxiliary: ["rope_freqs.weight"],
    build(meta, vocabulary, auxiliary) {
      const sizes = headSizes(meta);
      const rope = ropeFromMetadata(meta, traits.rope, sizes.keyWidth, auxiliary.get("rope_freqs.weight"));
      const window = traits.window && meta.has("attention.sliding_window") && meta.count("attention.sliding_window");
      const mixture = meta.number("expert_count", 0) > 0;
      return decoder(meta, vocabulary, rmsNorm, (block) => ({
        mixer: {
          ...attention(meta, block, sizes),
          rope,
          ...(traits.headNorms && headNorms(meta, block, sizes)),
          ...(window && { window }),
        },
        feedForward: mixture
          ? experts(meta, block, { gating: "silu", weighting: "chosen" })
          : gatedMlp(meta, block, "silu"),
      }));
    },
  };
}
