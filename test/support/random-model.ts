/** Small llama-like models with random weights, for properties that must hold for any numbers. */
import { Decoder } from "../../src/nn/decoder.js";
import type { AttentionSpec, LayerSpec, ModelSpec, NormSpec, WeightRef } from "../../src/nn/spec.js";
import { Weights, weightUses } from "../../src/nn/weights.js";
import { alibi } from "../../src/position/alibi.js";
import type { RopeSpec } from "../../src/position/rope.js";
import { quantiseRow } from "../../src/quant/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { type DType, rowBytes } from "../../src/tensor/dtype.js";
import type { Weight } from "../../src/tensor/tensor.js";
import { Random } from "../../src/util/random.js";

export interface RandomModelShape {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly vocabulary: number;
  readonly hidden: number;
  /** Instead of rotary positions on whole heads. */
  readonly rope?: Partial<RopeSpec>;
  readonly positions?: "alibi" | "none" | undefined;
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
    weightUses(spec).map(({ name, ref: { rows, cols, exact } }) => {
      const spread = exact ? 0.3 : 2.7 / Math.sqrt(cols);
      const numbers = Float32Array.from(
        { length: rows * cols },
        () => (exact ? 1 : 0) + (random.double() * 2 - 1) * spread,
      );
      return [name, numbers];
    }),
  );
  return { spec, values };
}

function specOf(shape: RandomModelShape): ModelSpec {
  const { layers, heads, kvHeads, headWidth, vocabulary, hidden, rope, positions, window } = shape;
  const width = heads * headWidth;
  const norm = (tensor: string): NormSpec => ({
    kind: "rms",
    gain: { tensor, rows: 1, cols: width, exact: true },
    epsilon: 1e-5,
  });
  const matrix = (tensor: string, cols: number, rows: number): WeightRef => ({ tensor, rows, cols, exact: false });
  const linear = (tensor: string, inputs: number, outputs: number) => ({ weight: matrix(tensor, inputs, outputs) });
  const rotary: RopeSpec = { layout: "interleaved", dims: headWidth, base: 100, scaling: { kind: "none" }, ...rope };
  const slopes = alibi(heads);
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
    ...(positions === undefined && { rope: rotary }),
    ...(positions === "alibi" && { alibi: slopes }),
    ...(window === undefined ? {} : { window }),
  });
  const layer = (_: unknown, index: number): LayerSpec => ({
    residual: "sequential",
    mixer: { norm: norm(`${index}.norm1`), body: attention(`${index}`) },
    feedForward: {
      norm: norm(`${index}.norm2`),
      body: {
        kind: "gated",
        gating: "silu",
        gate: linear(`${index}.gate`, width, hidden),
        up: linear(`${index}.up`, width, hidden),
        down: linear(`${index}.down`, hidden, width),
      },
    },
  });
  return {
    architecture: "random",
    width,
    vocabulary,
    contextLength: 4096,
    embedding: matrix("embedding", width, vocabulary),
    layers: Array.from({ length: layers }, layer),
    norm: norm("norm"),
    head: linear("head", width, vocabulary),
  };
}

/** The model in a backend's memory. */
export function bind(model: RandomModel, backend: Backend, type: DType = "f32"): Decoder {
  const weights = new Map<string, Weight>();
  for (const { name, ref, layer } of weightUses(model.spec)) {
    const dtype = ref.exact ? "f32" : type;
    const slot = backend.allocWeight({ name, dtype, rows: ref.rows, cols: ref.cols, layer });
    const values = model.values.get(name);
    if (!values) throw new Error(`no values for ${name}`);
    // Rows are whole blocks, so that all of them are as one.
    const bytes = new Uint8Array(ref.rows * rowBytes(dtype, ref.cols));
    quantiseRow(dtype, values, bytes, 0, values.length);
    slot.write(0, bytes);
    weights.set(name, slot.weight);
  }
  backend.weightsLoaded();
  return new Decoder(model.spec, new Weights(weights));
}

export function randomIds(count: number, vocabulary: number, seed: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => Math.floor(random.double() * vocabulary));
}
