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
  const byTensor = new Map<string, WeightUse[]>();
  for (const use of weightUses(definition.spec)) {
    const { tensor } = use.ref;
    byTensor.set(tensor, [...(byTensor.get(tensor) ?? []), use]);
  }
  const tensors = [...byTensor].map(([name, uses]) => wholeTensor(source, file, name, uses));
  const { architecture, metadata } = definition;
  return { architecture, metadata, tensors, tokenizer };
}

function wholeTensor(
  source: ByteSource,
  file: SafetensorsFile,
  name: string,
  uses: readonly WeightUse[],
): TrainedTensor {
  const [{ ref }] = uses;
  const { rows, cols } = ref.part ?? ref;
  const read = async () => {
    const whole = new Float32Array(rows * cols);
    for (const use of uses) {
      const tensor = file.tensors.get(`weight:${use.name}`);
      const count = use.ref.rows * use.ref.cols;
      if (tensor?.dtype !== "f32" || tensor.rows * tensor.cols !== count) {
        throw new FormatError(`${source.name} has no f32 weight "${use.name}" of ${count} numbers.`, {
          name: use.name,
        });
      }
      const start = use.ref.part?.start ?? 0;
      await tensor.read(0, new Uint8Array(whole.buffer, 4 * start, 4 * count));
    }
    return whole;
  };
  return { name, rows, cols, exact: ref.exact, read };
}
