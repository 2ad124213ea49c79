/**
 * Gemma 2 (2408.00118) and 3 (2503.19786): norms before and behind each branch (stored with the 1 added), a scaled
 * embedding, GeGLU. Gemma 2 has soft caps and a window in every other layer; gemma 3 has head norms and, where the checkpoint
 * has a window, that in five of six layers, with another base of RoPE there and no scaling.
 */
import type { AttentionSpec, ModelSpec } from "../nn/spec.js";
import type { Architecture } from "./architecture.js";
import { attention, type HeadSizes, headNorms, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { gatedMlp, rmsNorm } from "./parts.js";
import { plainRope, ropeFromMetadata, windowedRope } from "./rope-metadata.js";
import { windowOrNone, windowsOf } from "./windows.js";

export const gemma2: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, { layout: "halves", headWidth: sizes.keyWidth });
    const windowed = windowedRope(meta, rope);
    const windows = windowsOf(meta, { width: 4096, period: 2 });
    const softcap = meta.optional("attn_logit_softcapping", 50);
    const frame = gemma(meta, vocabulary, (block, index) => ({
      ...attention(meta, block, sizes),
      scale: scaleOf(meta, sizes, 46),
      ...windowOrNone(windows(index), windowed, rope),
      ...(softcap !== undefined && { softcap }),
    }));
    return withSoftcap(frame, meta.optional("final_logit_softcapping", 30));
  },
};

export const gemma3: Architecture = {
  auxiliary: [],
  // The part for images of files that have both in one; the text model is run.
  ignored: /^(v|mm)\./,
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, { layout: "halves", headWidth: sizes.keyWidth });
    const windowed = plainRope(meta, rope, meta.number("rope.freq_base_swa", 10_000));
    const windows = windowsOf(meta, { period: 6 });
    const softcap = meta.optional("attn_logit_softcapping", 0);
    const frame = gemma(meta, vocabulary, (block, index) => ({
      ...attention(meta, block, sizes),
      ...headNorms(meta, block, sizes),
      scale: scaleOf(meta, sizes, 62),
      ...windowOrNone(windows(index), windowed, rope),
      ...(softcap !== undefined && { softcap }),
    }));
    return withSoftcap(frame, meta.optional("final_logit_softcapping", 0));
  },
};

function withSoftcap(frame: ModelSpec, logitSoftcap: number | undefined): ModelSpec {
  return logitSoftcap === undefined ? frame : { ...frame, logitSoftcap };
}

/** What both share around their attention. */
function gemma(meta: ModelMetadata, vocabulary: number, mixer: (block: string, index: number) => AttentionSpec) {
  const frame = decoder(meta, vocabulary, rmsNorm, (block, index) => ({
    mixer: mixer(block, index),
    feedForward: gatedMlp(meta, block, "gelu"),
    norms: { afterMixer: "post_attention_norm", afterFeedForward: "post_ffw_norm" },
  }));
  return { ...frame, embeddingScale: Math.sqrt(frame.width) };
}

/**
 * `attention.scale`, which Hugging Face configurations give. GGUF leaves it to the architecture: the 27B models, known by
 * their number of layers, scale by the width that a head had if all shared the model's evenly.
 */
function scaleOf(meta: ModelMetadata, { heads, keyWidth }: HeadSizes, largest: number): number {
  const width = meta.count("block_count") === largest ? meta.count("embedding_length") / heads : keyWidth;
  return meta.number("attention.scale", 1 / Math.sqrt(width));
}
