/** MPT (MosaicML, 2023): ALiBi with a largest bias of its own, no biases, queries, keys and values that may be cut off. */
import { alibi } from "../position/alibi.js";
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { denseMlp, layerNorm, refuseTensors } from "./parts.js";

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
    refuseTensors(meta, ["position_embd.weight"]);
    return decoder(meta, vocabulary, layerNorm, (block) => {
      refuseTensors(meta, [`${block}.attn_q_norm.weight`, `${block}.attn_k_norm.weight`, `${block}.ffn_act.scales`]);
      const mixer = { ...attention(meta, block, sizes), ...traits };
      return { mixer, feedForward: denseMlp(meta, block, "gelu") };
    });
  },
};
