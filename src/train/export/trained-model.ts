/** A model as training hands it over: GGUF's vocabulary of keys, names and layouts, numbers in f32. */
import type { Checkpoint, Metadata, TensorEntry } from "../../formats/checkpoint.js";
import { architectureOf } from "../../models/index.js";
import { ModelMetadata } from "../../models/metadata.js";
import type { ModelSpec } from "../../nn/spec.js";
import { weightUses } from "../../nn/weights.js";
import { FormatError, NumericError } from "../../util/errors.js";

export interface TrainedTensor {
  /** GGUF's name. */
  readonly name: string;
  /** [rows, cols]; vectors have one row. */
  readonly rows: number;
  readonly cols: number;
  /** Kernels read it as f32: a vector, or a small table. */
  readonly exact: boolean;
  /** Row-major. The array may be used anew after the next call. */
  read(): Promise<Float32Array> | Float32Array;
}

export interface TrainedModel {
  /** `general.architecture` */
  readonly architecture: string;
  /** With the architecture in front: `llama.block_count`. Keys of a tokenizer may be among them. */
  readonly metadata: Metadata;
  readonly tensors: readonly TrainedTensor[];
  /** What tokenizer.json holds. */
  readonly tokenizer: object | undefined;
}

export function tensorNamed({ tensors }: TrainedModel, name: string): TrainedTensor | undefined {
  return tensors.find((tensor) => tensor.name === name);
}

/** The model's metadata, read with types. */
export function metadataOf(model: TrainedModel): ModelMetadata {
  return new ModelMetadata(checkpointOf(model));
}

/**
 * What the architecture makes of the model, which is what others will make of its export.
 * @throws FormatError for a key or a tensor that is missing or wrong, UnsupportedError for an unknown architecture
 */
export async function specOfTrained(model: TrainedModel): Promise<ModelSpec> {
  const architecture = architectureOf(model.architecture);
  const auxiliary = new Map<string, Float32Array>();
  for (const name of architecture.auxiliary) {
    const tensor = tensorNamed(model, name);
    if (tensor) auxiliary.set(name, (await tensor.read()).slice());
  }
  const vocabulary = tensorNamed(model, "token_embd.weight");
  if (!vocabulary) throw new FormatError('The trained model has no tensor "token_embd.weight".');
  const spec = architecture.build(metadataOf(model), vocabulary.rows, auxiliary);
  for (const { ref } of weightUses(spec)) checkTensor(model, ref.tensor, ref.part ?? ref);
  return spec;
}

function checkTensor(
  model: TrainedModel,
  name: string,
  expected: { readonly rows: number; readonly cols: number },
): void {
  const tensor = tensorNamed(model, name);
  const found = tensor ? `it is [${tensor.rows}, ${tensor.cols}]` : "it is missing";
  if (tensor?.rows === expected.rows && tensor.cols === expected.cols) return;
  throw new FormatError(
    `The trained model needs the tensor "${name}" [${expected.rows}, ${expected.cols}]; ${found}.`,
    { tensor: name },
  );
}

/** The largest f16. */
const F16_MAX = 65504;

/** The numbers of a tensor, fit to be stored. @throws NumericError for what is no number, or none in f16 where that is the type */
export async function readFinite(tensor: TrainedTensor, inHalves: boolean): Promise<Float32Array> {
  const values = await tensor.read();
  const most = inHalves ? F16_MAX : Number.MAX_VALUE;
  const wrong = values.findIndex((value) => !(Math.abs(value) <= most));
  if (wrong < 0) return values;
  throw new NumericError(
    `"${tensor.name}" has ${values[wrong]} at element ${wrong}, which ${inHalves ? "f16" : "a model"} cannot hold: ` +
      "the training diverged. Export an earlier checkpoint.",
    { tensor: tensor.name, index: wrong },
  );
}

/** The model as a checkpoint, which the architectures read. */
function checkpointOf({ architecture, metadata, tensors }: TrainedModel): Checkpoint {
  return {
    format: "gguf",
    location: "The trained model",
    architecture,
    metadata,
    tensors: new Map(tensors.map((tensor) => [tensor.name, entryOf(tensor)])),
    tokenizer: undefined,
    ropeLayout: undefined,
    close: async () => {},
  };
}

function entryOf(tensor: TrainedTensor): TensorEntry {
  const { name, rows, cols } = tensor;
  const read = async (at: number, into: Uint8Array) => {
    const values = await tensor.read();
    into.set(new Uint8Array(values.buffer, values.byteOffset + at, into.length));
  };
  return { name, dtype: "f32", rows, cols, bytes: 4 * rows * cols, read };
}
