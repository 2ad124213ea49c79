/** What a file `hf-*.ts` provides: how an architecture is said in a folder of `transformers`; the inverse of src/formats/hf. */
import type { TensorTable } from "../../formats/hf/tensor-table.js";
import type { JsonObject } from "../../formats/json-file.js";
import type { ModelMetadata } from "../../models/metadata.js";
import type { ModelSpec } from "../../nn/spec.js";

export interface Shape {
  readonly rows: number;
  readonly cols: number;
}

/** Another layout of a tensor. */
export interface Rearrangement {
  /** Dimensions in the file, outermost first. */
  readonly shape: (tensor: Shape) => readonly number[];
  readonly apply: (values: Float32Array, tensor: Shape, meta: ModelMetadata) => Float32Array;
}

export interface HfWriter {
  readonly modelType: string;
  /** The class that has the head. */
  readonly className: string;
  /** The reader's names, read backwards; of several for one tensor the first. */
  readonly table: TensorTable;
  /** What stands before the names, but not before the head's. */
  readonly prefix: string;
  readonly head: string;
  /** The biases that the class can have, by GGUF's names with # for the layer. */
  readonly biases: RegExp;
  /** Fields beside those that all have. @throws UnsupportedError for what the class cannot do */
  readonly config: (meta: ModelMetadata, spec: ModelSpec) => JsonObject;
  /** By GGUF's names, with # for the layer. */
  readonly rearranged?: Readonly<Record<string, Rearrangement>>;
}
