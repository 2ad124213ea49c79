/** The model of a checkpoint as it is exported: whole tensors by GGUF's names, put together where the model reads parts. */
import { readSafetensors, type SafetensorsFile } from "../formats/safetensors.js";
import { type WeightUse, weightUses } from "../nn/weights.js";
import { FormatError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";
import type { TrainedModel, TrainedTensor } from "./export/trained-model.js";
import type { ModelDefinition } from "./model-definition.js";

/** `source` must stay open while tensors are read. @throws FormatError */
export async function checkpointModel(
  source: ByteSource,
  definition: ModelDefinition,
  tokenizer: object,
): Promise<TrainedModel> {
  const file = await readSafetensors(source);
  return modelToExport(definition, tokenizer, (uses) => readWhole(source, file, uses));
}

/** @param read the numbers of a tensor, of which the uses are the parts */
export function modelToExport(
  { architecture, metadata, spec }: ModelDefinition,
  tokenizer: object,
  read: (uses: readonly WeightUse[]) => Promise<Float32Array>,
): TrainedModel {
  const byTensor = new Map<string, WeightUse[]>();
  for (const use of weightUses(spec)) {
    const { tensor } = use.ref;
    byTensor.set(tensor, [...(byTensor.get(tensor) ?? []), use]);
  }
  const tensors = [...byTensor].map(([name, uses]): TrainedTensor => {
    const [{ ref }] = uses;
    const { rows, cols } = ref.part ?? ref;
    return { name, rows, cols, exact: ref.exact, read: () => read(uses) };
  });
  return { architecture, metadata, tensors, tokenizer };
}

async function readWhole(source: ByteSource, file: SafetensorsFile, uses: readonly WeightUse[]): Promise<Float32Array> {
  const [{ ref }] = uses;
  const { rows, cols } = ref.part ?? ref;
  // All is looked for before the memory is taken: sizes of a wrong configuration are of any size.
  const parts = uses.map((use) => {
    const tensor = file.tensors.get(`weight:${use.name}`);
    const count = use.ref.rows * use.ref.cols;
    if (tensor?.dtype === "f32" && tensor.rows * tensor.cols === count) return { tensor, use, count };
    throw new FormatError(`${source.name} has no f32 weight "${use.name}" of ${count} numbers.`, { name: use.name });
  });
  const whole = new Float32Array(rows * cols);
  for (const { tensor, use, count } of parts) {
    await tensor.read(0, new Uint8Array(whole.buffer, 4 * (use.ref.part?.start ?? 0), 4 * count));
  }
  return whole;
}
