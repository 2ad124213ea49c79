/** The weights that a spec names: what to ask a checkpoint for, and how layers get at them. */
import type { Weight } from "../tensor/tensor.js";
import { InternalError } from "../util/errors.js";
import type { ModelSpec, WeightRef } from "./spec.js";

/** A weight of the spec and the layer that uses it first; undefined for embedding, head and the like. */
export interface WeightUse {
  /** Unique: the tensor's name, and where the weight is a part of it, its first element. */
  readonly name: string;
  readonly ref: WeightRef;
  readonly layer: number | undefined;
}

export class Weights {
  constructor(private readonly byName: ReadonlyMap<string, Weight>) {}

  get(ref: WeightRef): Weight {
    const weight = this.byName.get(weightName(ref));
    if (!weight) throw new InternalError(`The model asks for the weight "${weightName(ref)}", which was not loaded.`);
    return weight;
  }
}

export function weightName({ tensor, part }: WeightRef): string {
  return part ? `${tensor}[${part.start}]` : tensor;
}

/** Every weight of the spec, once, in the order of use. Layers of an encoder are numbered after those of the decoder. */
export function weightUses(spec: ModelSpec): WeightUse[] {
  const uses = new Map<string, WeightUse>();
  const add = (part: unknown, layer?: number) => {
    for (const ref of weightRefs(part)) {
      const name = weightName(ref);
      if (!uses.has(name)) uses.set(name, { name, ref, layer });
    }
  };
  const { layers, encoder, norm, head, ...before } = spec;
  add(before);
  encoder?.layers.forEach((layer, index) => {
    add(layer, layers.length + index);
  });
  add(encoder?.norm);
  layers.forEach((layer, index) => {
    add(layer, index);
  });
  add(norm);
  add(head);
  return [...uses.values()];
}

/** All WeightRefs within a part of a spec, in the order in which they stand there. */
export function weightRefs(part: unknown): WeightRef[] {
  if (typeof part !== "object" || part === null || ArrayBuffer.isView(part)) return [];
  if (isWeightRef(part)) return [part];
  return Object.values(part).flatMap(weightRefs);
}

function isWeightRef(part: object): part is WeightRef {
  return "tensor" in part && "exact" in part;
}
