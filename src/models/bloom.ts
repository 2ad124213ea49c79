/** Bloom (2211.05100): ALiBi instead of positions, a norm behind the embedding, LayerNorm, biases everywhere. */
import { alibi } from "../position/alibi.js";
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { denseMlp, layerNorm } from "./parts.js";

export const bloom: Architecture = {
  auxiliary: [],
  fixed: { "attention.max_alibi_bias": [0, 8] },
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const slopes = alibi(sizes.heads);
    const frame = decoder(meta, vocabulary, layerNorm, (block) => ({
      mixer: { ...attention(meta, block, sizes), alibi: slopes },
      feedForward: denseMlp(meta, block, "gelu"),
    }));
    return { ...frame, embeddingNorm: layerNorm(meta, "token_embd_norm", meta.count("embedding_length")) };
  },
};
