/** The kinds of mixers, by their spec's kind: what carries information from token to token. Adding one is a file and a line. */
import type { AttentionShape, MixerShapes, RecurrentShape } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { Attention, attentionShape } from "./attention.js";
import type { Batch } from "./batch.js";
import { Mamba, mambaShape } from "./mamba.js";
import { Mamba2, mamba2Shape } from "./mamba2.js";
import type { MixerSpec, ModelSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export interface Mixer {
  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor;
}

export function mixer(spec: MixerSpec, layer: number, weights: Weights): Mixer {
  switch (spec.kind) {
    case "attention":
      return new Attention(spec, layer, weights);
    case "mamba":
      return new Mamba(spec, layer, weights);
    case "mamba2":
      return new Mamba2(spec, layer, weights);
  }
}

/** What a sequence's memory must know of the layers. Those of an encoder are numbered after the decoder's. */
export function mixerShapes({ layers, encoder }: ModelSpec): MixerShapes {
  const attention: AttentionShape[] = [];
  const recurrent: RecurrentShape[] = [];
  layers.forEach(({ mixer: { body } }, layer) => {
    if (body.kind === "attention") attention.push(attentionShape(body, layer));
    else recurrent.push(body.kind === "mamba" ? mambaShape(body, layer) : mamba2Shape(body, layer));
  });
  const cross = layers.flatMap((layer, index) => (layer.cross ? [attentionShape(layer.cross.body, index)] : []));
  const encoders = (encoder?.layers ?? []).flatMap(({ mixer: { body } }, index) =>
    body.kind === "attention" ? [attentionShape(body, layers.length + index)] : [],
  );
  return { attention, recurrent, cross, encoder: encoders };
}
