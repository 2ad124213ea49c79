/**
 * A training run as one file: weights, moments and counters, in safetensors. One file is written whole or not at all, so a
 * run that is killed while it writes has the checkpoint before.
 */
import { readSafetensors, type SafetensorsFile } from "../formats/safetensors.js";
import type { StreamedFile } from "../formats/write/gguf-writer.js";
import { safetensorsFile } from "../formats/write/safetensors-writer.js";
import type { TensorToWrite } from "../formats/write/stored-rows.js";
import { FormatError } from "../util/errors.js";
import { type ByteSource, platform } from "../util/platform.js";
import type { TrainedWeight, TrainedWeights } from "./trained-weights.js";
import type { TrainerState } from "./trainer.js";

const KIND = "sluice-training";
const VERSION = "1";
const STATE_KEYS = ["step", "stage", "stageStep", "tokens"] as const;

/** Everything that a run goes on from. Read the chunks before the next step. */
export function checkpointFile(weights: TrainedWeights, state: TrainerState): StreamedFile {
  const learning = new Set(weights.learning);
  const tensors = weights.list.flatMap((of): TensorToWrite[] => {
    const { rows, cols } = of.use.ref;
    const { name } = of.use;
    const tensor = (kind: string, read: TensorToWrite["read"]): TensorToWrite => ({
      name: `${kind}:${name}`,
      dtype: "f32",
      rows,
      cols,
      read,
    });
    const weight = tensor("weight", () => weights.settle().then(() => of.values));
    if (!learning.has(of)) return [weight];
    return [weight, tensor("first", () => of.first.read()), tensor("second", () => of.second.read())];
  });
  const counters = Object.fromEntries(STATE_KEYS.map((key) => [key, String(state[key])]));
  return safetensorsFile({ tensors, metadata: { kind: KIND, version: VERSION, ...counters } });
}

/** Brings weights and moments back; returns the counters. @throws FormatError, NotFoundError; then weights may be mixed */
export async function restoreCheckpoint(location: string, weights: TrainedWeights): Promise<TrainerState> {
  const source = await platform().open(location);
  try {
    return await restore(source, weights);
  } finally {
    await source.close();
  }
}

async function restore(source: ByteSource, weights: TrainedWeights): Promise<TrainerState> {
  const file = await readSafetensors(source);
  if (file.metadata.get("kind") !== KIND || file.metadata.get("version") !== VERSION) {
    throw new FormatError(`${source.name} is no training checkpoint of this version of Sluice.`);
  }
  const state = readState(source, file);
  const learning = new Set(weights.learning);
  await weights.settle();
  for (const of of weights.list) {
    of.values.set(await numbers(source, file, "weight", of));
    if (!learning.has(of)) continue;
    of.first.write(await numbers(source, file, "first", of));
    of.second.write(await numbers(source, file, "second", of));
  }
  return state;
}

/** The counters. @throws FormatError */
export function readState(source: ByteSource, { metadata }: SafetensorsFile): TrainerState {
  const read = (key: (typeof STATE_KEYS)[number]) => {
    const text = metadata.get(key);
    const value = text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value)) return value;
    throw new FormatError(`${source.name}: "${key}" is ${text}, expected a whole number.`, { key });
  };
  return { step: read("step"), stage: read("stage"), stageStep: read("stageStep"), tokens: read("tokens") };
}

async function numbers(
  source: ByteSource,
  file: SafetensorsFile,
  kind: string,
  { use }: TrainedWeight,
): Promise<Float32Array> {
  const name = `${kind}:${use.name}`;
  const { rows, cols } = use.ref;
  const tensor = file.tensors.get(name);
  if (tensor?.dtype !== "f32" || tensor.rows * tensor.cols !== rows * cols) {
    const found = tensor ? `it is ${tensor.dtype} [${tensor.shape}]` : "it is missing";
    throw new FormatError(`${source.name}: expected "${name}" as f32 [${rows}, ${cols}]; ${found}.`, { name });
  }
  const values = new Float32Array(rows * cols);
  await tensor.read(0, new Uint8Array(values.buffer));
  return values;
}
