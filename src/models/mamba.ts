/** Mamba (2312.00752) and Mamba-2 (2405.21060): state spaces alone, without feed-forwards. */
import type { MixerSpec } from "../nn/spec.js";
import type { Architecture } from "./architecture.js";
import { decoder } from "./decoder-parts.js";
import { mamba2Mixer, mambaMixer } from "./mamba-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { rmsNorm } from "./parts.js";

function stateSpaces(mixer: (meta: ModelMetadata, block: string) => MixerSpec): Architecture {
  return {
    auxiliary: [],
    build: (meta, vocabulary) => decoder(meta, vocabulary, rmsNorm, (block) => ({ mixer: mixer(meta, block) })),
  };
}

export const mamba = stateSpaces((meta, block) => mambaMixer(meta, block));
export const mamba2 = stateSpaces(mamba2Mixer);
