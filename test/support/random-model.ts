/** Small llama-like models with random weights, for properties that must hold for any numbers. */
import { Decoder } from "../../src/nn/decoder.js";
import type { AttentionSpec, LayerSpec, ModelSpec } from "../../src/nn/spec.js";
import { Weights, weightShapes } from "../../src/nn/weights.js";
import type { RopeSpec } from "../../src/position/rope.js";
import type { Backend } from "../../src/tensor/backend.js";
import type { Weight } from "../../src/tensor/tensor.js";
import { Random } from "../../src/util/random.js";

export interface RandomModelShape {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly vocabulary: number;
  readonly hidden: number;
  readonly rope?: Partial<RopeSpec>;
  readonly window?: number;
}

export interface RandomModel {
  readonly spec: ModelSpec;
  readonly values: ReadonlyMap<string, Float32Array>;
}

export const SMALL: RandomModelShape = { layers: 2, heads: 4, kvHeads: 2, headWidth: 8, vocabulary: 40, hidden: 24 };

export function randomModel(shape: RandomModelShape, seed: number): RandomModel {
  const random = new Random(seed);
  const spec = specOf(shape);
  const values = new Map(
    weightShapes(spec).map(({ name, rows, cols }) => {
      const vector = rows === 1;
      const spread = vector ? 0.3 : 2.7 / Math.sqrt(cols);
      const numbers = Float32Array.from(
        { length: rows * cols },
        () => (vector ? 1 : 0) + (random.double() * 2 - 1) * spread,
      );
      return [name, numbers];
    }),
  );
  return { spec, values };
}

function specOf({ layers, heads, kvHeads, headWidth, vocabulary, hidden, rope, window }: RandomModelShape): ModelSpec {
  const width = heads * headWidth;
  const norm = (weight: string) => ({ kind: "rms", weight, width, epsilon: 1e-5 }) as const;
  const linear = (weight: string, inputs: number, outputs: number) => ({ weight, inputs, outputs });
  const rotary: RopeSpec = { layout: "interleaved", dims: headWidth, base: 100, scaling: { kind: "none" }, ...rope };
  const attention = (block: string): AttentionSpec => ({
    kind: "attention",
    heads,
    kvHeads,
    keyWidth: headWidth,
    valueWidth: headWidth,
    scale: 1 / Math.sqrt(headWidth),
    query: linear(`${block}.q`, width, width),
    key: linear(`${block}.k`, width, kvHeads * headWidth),
    value: linear(`${block}.v`, width, kvHeads * headWidth),
    output: linear(`${block}.o`, width, width),
    rope: rotary,
    ...(window === undefined ? {} : { window }),
  });
  const layer = (_: unknown, index: number): LayerSpec => ({
    mixerNorm: norm(`${index}.norm1`),
    mixer: attention(`${index}`),
    feedForwardNorm: norm(`${index}.norm2`),
    feedForward: {
      kind: "gated",
      activation: "silu",
      gate: linear(`${index}.gate`, width, hidden),
      up: linear(`${index}.up`, width, hidden),
      down: linear(`${index}.down`, hidden, width),
    },
  });
  return {
    architecture: "random",
    width,
    vocabulary,
    contextLength: 4096,
    embedding: "embedding",
    layers: Array.from({ length: layers }, layer),
    norm: norm("norm"),
    head: linear("head", width, vocabulary),
  };
}

/** The model in a backend's memory. */
export function bind(model: RandomModel, backend: Backend): Decoder {
  const weights = new Map<string, Weight>();
  for (const { name, rows, cols, layer } of weightShapes(model.spec)) {
    const slot = backend.allocWeight({ name, dtype: "f32", rows, cols, layer });
    const values = model.values.get(name);
    if (!values) throw new Error(`no values for ${name}`);
    slot.bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    weights.set(name, slot.weight);
  }
  backend.weightsLoaded();
  return new Decoder(model.spec, new Weights(weights));
}

export function randomIds(count: number, vocabulary: number, seed: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => Math.floor(random.double() * vocabulary));
}
