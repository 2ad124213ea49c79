/**
 * Parts that architectures share, by GGUF's names of tensors: weights and their parts, linear layers, norms, feed-forwards.
 * Biases are taken where the checkpoint has them.
 */
import type { DenseMlpSpec, ExpertsSpec, GatedMlpSpec, LinearSpec, NormSpec, WeightRef } from "../nn/spec.js";
import type { Activation, ExpertWeighting, Gating } from "../tensor/backend.js";
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";

export function matrix(tensor: string, rows: number, cols: number): WeightRef {
  return { tensor, rows, cols, exact: false };
}

export function vector(tensor: string, cols: number): WeightRef {
  return { tensor, rows: 1, cols, exact: true };
}

/** A small matrix that kernels read as f32. */
export function table(tensor: string, rows: number, cols: number): WeightRef {
  return { tensor, rows, cols, exact: true };
}

/** Rows [start, start + count) of a weight. */
export function slice(ref: WeightRef, start: number, count: number): WeightRef {
  const { rows, cols } = ref;
  return { ...ref, rows: count, part: { start: start * cols, rows, cols } };
}

/** Elements [start, start + count) of a vector. */
export function vectorSlice(ref: WeightRef, start: number, count: number): WeightRef {
  const { rows, cols } = ref;
  return { ...ref, cols: count, part: { start, rows, cols } };
}

/** The layer `<name>.weight` with `<name>.bias` where that is there. */
export function linear(meta: ModelMetadata, name: string, inputs: number, outputs: number): LinearSpec {
  const weight = matrix(`${name}.weight`, outputs, inputs);
  return meta.hasTensor(`${name}.bias`) ? { weight, bias: vector(`${name}.bias`, outputs) } : { weight };
}

/** The outputs [start, start + count) of a layer as a layer of their own. */
export function linearSlice({ weight, bias }: LinearSpec, start: number, count: number): LinearSpec {
  const part = { weight: slice(weight, start, count) };
  return bias ? { ...part, bias: vectorSlice(bias, start, count) } : part;
}

/** Layers that lie in one, one after the other. */
export function linearSlices(fused: LinearSpec, outputs: readonly number[]): LinearSpec[] {
  let start = 0;
  return outputs.map((count) => {
    const part = linearSlice(fused, start, count);
    start += count;
    return part;
  });
}

export function rmsNorm(meta: ModelMetadata, name: string, width: number): NormSpec {
  const epsilon = meta.epsilon("attention.layer_norm_rms_epsilon");
  return { kind: "rms", gain: vector(`${name}.weight`, width), epsilon };
}

export function layerNorm(meta: ModelMetadata, name: string, width: number): NormSpec {
  const epsilon = meta.epsilon("attention.layer_norm_epsilon");
  const norm = { kind: "layer", gain: vector(`${name}.weight`, width), epsilon } as const;
  return meta.hasTensor(`${name}.bias`) ? { ...norm, bias: vector(`${name}.bias`, width) } : norm;
}

const ACTIVATIONS: readonly Activation[] = ["silu", "gelu", "geluErf", "relu"];

/** `hidden_act`, which Hugging Face configurations have; GGUF leaves it to the architecture. */
export function activationOf(meta: ModelMetadata, usual: Activation): Activation {
  const name = meta.text("hidden_act") ?? usual;
  const found = ACTIVATIONS.find((activation) => activation === name);
  if (found) return found;
  throw new UnsupportedError(
    `${meta.checkpoint.location}: the activation "${name}" is not supported; known are ${ACTIVATIONS.join(", ")}.`,
  );
}

/** ffn_up and ffn_down of a block. */
export function denseMlp(meta: ModelMetadata, block: string, activation: Activation): DenseMlpSpec {
  const [width, hidden] = [meta.count("embedding_length"), meta.countOfAll("feed_forward_length")];
  return {
    kind: "dense",
    activation: activationOf(meta, activation),
    up: linear(meta, `${block}.ffn_up`, width, hidden),
    down: linear(meta, `${block}.ffn_down`, hidden, width),
  };
}

/** ffn_gate, ffn_up and ffn_down of a block; without ffn_gate, ffn_up holds first the gate, then the values. */
export function gatedMlp(meta: ModelMetadata, block: string, activation: Activation): GatedMlpSpec {
  const [width, hidden] = [meta.count("embedding_length"), meta.countOfAll("feed_forward_length")];
  const both = [hidden, hidden];
  const [gate, up] = meta.hasTensor(`${block}.ffn_gate.weight`)
    ? [linear(meta, `${block}.ffn_gate`, width, hidden), linear(meta, `${block}.ffn_up`, width, hidden)]
    : linearSlices(linear(meta, `${block}.ffn_up`, width, 2 * hidden), both);
  const down = linear(meta, `${block}.ffn_down`, hidden, width);
  return { kind: "gated", gating: activationOf(meta, activation), gate, up, down };
}

/** More than any model has, in all of its blocks: a file that says so is not believed, before anything is made of it. */
const MOST_EXPERTS = 65536;

/** ffn_gate_inp chooses among the experts that lie in ffn_gate_exps, ffn_up_exps and ffn_down_exps. */
export function experts(
  meta: ModelMetadata,
  block: string,
  { gating, weighting }: { readonly gating: Gating; readonly weighting: ExpertWeighting },
): ExpertsSpec {
  const width = meta.count("embedding_length");
  const hidden = meta.has("expert_feed_forward_length")
    ? meta.countOfAll("expert_feed_forward_length")
    : meta.countOfAll("feed_forward_length");
  const count = meta.count("expert_count");
  const used = meta.count("expert_used_count");
  const blocks = meta.count("block_count");
  if (used > count || count * blocks > MOST_EXPERTS) {
    const found = `${used} of ${count} experts in ${blocks} blocks cannot be used`;
    throw new FormatError(`${meta.checkpoint.location}: ${found}.`, { count, used });
  }
  const stack = (name: string, inputs: number, outputs: number): LinearSpec => {
    const weight = { ...matrix(`${block}.${name}.weight`, count * outputs, inputs), experts: count };
    const bias = table(`${block}.${name}.bias`, count, outputs);
    return meta.hasTensor(bias.tensor) ? { weight, bias } : { weight };
  };
  return {
    kind: "experts",
    count,
    used,
    weighting,
    gating,
    router: linear(meta, `${block}.ffn_gate_inp`, width, count),
    gate: stack("ffn_gate_exps", width, hidden),
    up: stack("ffn_up_exps", width, hidden),
    down: stack("ffn_down_exps", hidden, width),
  };
}
