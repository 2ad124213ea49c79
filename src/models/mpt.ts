/** MPT (MosaicML, 2023): ALiBi with a largest bias of its own, no biases, queries, keys and values that may be cut off. */
import { alibi } from "../position/alibi.js";
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { denseMlp, layerNorm } from "./parts.js";

export const mpt: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const sizes = headSizes(meta);
    const most = meta.optional("attention.max_alibi_bias", 0);
    const clamp = meta.optional("attention.clamp_kqv", 0);
    const traits = {
      ...(most !== undefined && { alibi: alibi(sizes.heads, most) }),
      ...(clamp !== undefined && { clamp }),
    };
    return decoder(meta, vocabulary, layerNorm, (block) => ({
      mixer: { ...attention(meta, block, sizes), ...traits },
      feedForward: denseMlp(meta, block, "gelu"),
    }));
  },
};
