/** Mamba (2312.00752), Mamba-2 (2405.21060), and Jamba (2403.19887), which has attention in some layers and experts in some. */
import type { MixerSpec } from "../nn/spec.js";
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { mamba2Mixer, mambaMixer } from "./mamba-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { blocks, decoder, experts, gatedMlp, rmsNorm } from "./parts.js";

function stateSpaces(mixer: (meta: ModelMetadata, block: string) => MixerSpec): Architecture {
  return {
    auxiliary: [],
    build(meta, vocabulary) {
      const width = meta.count("embedding_length");
      const layers = blocks(meta, (block) => ({
        residual: "sequential" as const,
        mixer: { norm: rmsNorm(meta, `${block}.attn_norm`, width), body: mixer(meta, block) },
      }));
      return { ...decoder(meta, vocabulary), layers, norm: rmsNorm(meta, "output_norm", width) };
    },
  };
}

export const mamba = stateSpaces((meta, block) => mambaMixer(meta, block));
export const mamba2 = stateSpaces(mamba2Mixer);

export const jamba: Architecture = {
  auxiliary: [],
  build(meta, vocabulary) {
    const width = meta.count("embedding_length");
    const layers = blocks(meta, (block, index) => ({
      residual: "sequential" as const,
      mixer: {
        norm: rmsNorm(meta, `${block}.attn_norm`, width),
        body: meta.hasTensor(`${block}.ssm_in.weight`)
          ? mambaMixer(meta, block, true)
          : attention(meta, block, headSizes(meta, index)),
      },
      feedForward: {
        norm: rmsNorm(meta, `${block}.ffn_norm`, width),
        body: meta.hasTensor(`${block}.ffn_gate_inp.weight`)
          ? experts(meta, block, { gating: "silu", weighting: "all" })
          : gatedMlp(meta, block, "silu"),
      },
    }));
    return { ...decoder(meta, vocabulary), layers, norm: rmsNorm(meta, "output_norm", width) };
  },
};
