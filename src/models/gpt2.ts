/**
 * GPT-2, and StarCoder (GPTBigCode, 2305.06161), which differs in its single KV head alone: learned positions, LayerNorm,
 * biases, a feed-forward of two matrices.
 */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { denseMlp, layerNorm, matrix } from "./parts.js";

export const gpt2: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const positions = meta.count("context_length");
    const table = matrix("position_embd.weight", positions, meta.count("embedding_length"));
    const frame = decoder(meta, vocabulary, layerNorm, (block) => ({
      mixer: attention(meta, block, sizes),
      feedForward: denseMlp(meta, block, "gelu"),
    }));
    return { ...frame, positions: { kind: "learned", positions, table } };
  },
};
