/** Jamba (2403.19887): Mamba layers with norms inside, attention without positions in some, experts in some. */
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import { mambaMixer } from "./mamba-parts.js";
import { experts, gatedMlp, rmsNorm } from "./parts.js";

export const jamba: Architecture = {
  auxiliary: [],
  fixed: { expert_weights_norm: [false] },
  build: (meta, vocabulary) =>
    decoder(meta, vocabulary, rmsNorm, (block, index) => ({
      mixer: meta.hasTensor(`${block}.ssm_in.weight`)
        ? mambaMixer(meta, block, true)
        : attention(meta, block, headSizes(meta, index)),
      feedForward: meta.hasTensor(`${block}.ffn_gate_inp.weight`)
        ? experts(meta, block, { gating: "silu", weighting: "all" })
        : gatedMlp(meta, block, "silu"),
    })),
};
