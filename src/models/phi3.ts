/**
 * Phi-3 (2404.14219): llama with fused projections, rotary on a part of each head, and LongRoPE where the checkpoint has
 * its factors. Its window is that of `attention.window`, which Hugging Face folders give; GGUF's `attention.sliding_window` is
 * ignored, as llama.cpp does.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { gatedMlp, rmsNorm } from "./parts.js";
import { LONG_DIVISORS, ropeFromMetadata, SHORT_DIVISORS } from "./rope-metadata.js";
import { FOLDER, windowOrNone, windowsOf } from "./windows.js";

export const phi3: Architecture = {
  auxiliary: [SHORT_DIVISORS, LONG_DIVISORS],
  build(meta, vocabulary, auxiliary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, { layout: "halves", headWidth: sizes.keyWidth, auxiliary });
    const windows = windowsOf(meta, { period: 0 }, FOLDER);
    // A folder says the same by GGUF's name.
    if (meta.has(FOLDER.width)) meta.has("attention.sliding_window");
    return decoder(meta, vocabulary, rmsNorm, (block, index) => ({
      mixer: { ...attention(meta, block, sizes), ...windowOrNone(windows(index), rope, rope) },
      feedForward: gatedMlp(meta, block, "silu"),
    }));
  },
};
