/** The weights that a spec names: what to ask a checkpoint for, and how layers get at them. */
import type { Weight } from "../tensor/tensor.js";
import { InternalError } from "../util/errors.js";
import type { LayerSpec, LinearSpec, ModelSpec, NormSpec } from "./spec.js";

/** A weight by name, with the shape that the model needs it to have. */
export interface WeightShape {
  readonly name: string;
  /** Vectors have one row. */
  readonly rows: number;
  readonly cols: number;
  readonly layer: number | undefined;
}

export class Weights {
  constructor(private readonly byName: ReadonlyMap<string, Weight>) {}

  get(name: string): Weight {
    const weight = this.byName.get(name);
    if (!weight) throw new InternalError(`The model asks for the weight "${name}", which was not loaded.`);
    return weight;
  }
}

/** Every weight of the spec, once, in the order of use. */
export function weightShapes(spec: ModelSpec): WeightShape[] {
  const shapes = new Map<string, WeightShape>();
  const add = (name: string, rows: number, cols: number, layer?: number) => {
    if (!shapes.has(name)) shapes.set(name, { name, rows, cols, layer });
  };
  const linear = (part: LinearSpec, layer?: number) => {
    add(part.weight, part.outputs, part.inputs, layer);
    if (part.bias !== undefined) add(part.bias, 1, part.outputs, layer);
  };
  const norm = (part: NormSpec | undefined, layer?: number) => part && add(part.weight, 1, part.width, layer);
  add(spec.embedding, spec.vocabulary, spec.width);
  spec.layers.forEach(({ mixerNorm, mixer, feedForwardNorm, feedForward }: LayerSpec, layer) => {
    for (const part of [mixerNorm, mixer.queryNorm, mixer.keyNorm, feedForwardNorm]) norm(part, layer);
    for (const part of [mixer.query, mixer.key, mixer.value, mixer.output]) linear(part, layer);
    for (const part of [feedForward.gate, feedForward.up, feedForward.down]) linear(part, layer);
  });
  norm(spec.norm);
  linear(spec.head);
  return [...shapes.values()];
}
