/** GPT-NeoX (2204.06745) and Pythia: rotary on a part of each head, parallel or sequential residual, LayerNorm, biases. */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { blocks, decoder, denseMlp, layerNorm } from "./parts.js";
import { ropeFromMetadata } from "./rope-metadata.js";

export const gptneox: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const width = meta.count("embedding_length");
    const rope = ropeFromMetadata(meta, "halves", sizes.keyWidth);
    const parallel = meta.flag("use_parallel_residual", true);
    const layers = blocks(meta, (block) => ({
      residual: parallel ? ("parallel" as const) : ("sequential" as const),
      mixer: { norm: layerNorm(meta, `${block}.attn_norm`, width), body: { ...attention(meta, block, sizes), rope } },
      feedForward: { norm: layerNorm(meta, `${block}.ffn_norm`, width), body: denseMlp(meta, block, "gelu") },
    }));
    return { ...decoder(meta, vocabulary), layers, norm: layerNorm(meta, "output_norm", width) };
  },
};
