/** GPT-NeoX (2204.06745) and Pythia: rotary on a part of each head, parallel or sequential residual, LayerNorm, biases. */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { denseMlp, layerNorm } from "./parts.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export const gptneox: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const rope = ropeFromMetadata(meta, { layout: "halves", headWidth: sizes.keyWidth });
    const residual = meta.flag("use_parallel_residual", true) ? "parallel" : "sequential";
    return decoder(meta, vocabulary, layerNorm, (block) => ({
      residual,
      mixer: { ...attention(meta, block, sizes), rope },
      feedForward: denseMlp(meta, block, "gelu"),
    }));
  },
};
