/** Training runs of a few small steps: copying strings of ten symbols, without tokenizer or files. */
import { writeFileSync } from "node:fs";
import type { Backend } from "../../src/tensor/backend.js";
import { checkpointFile } from "../../src/train/checkpoint.js";
import { parseConfig, type TrainingConfig } from "../../src/train/config.js";
import { CopyTask } from "../../src/train/data/copy.js";
import { Trainer, type TrainerParts } from "../../src/train/trainer.js";
import { writeStreamed } from "./trained.js";

export const SYMBOLS = 10;
/** The symbols, and what parts a string from its copy. */
export const VOCABULARY = SYMBOLS + 1;

const KEYS = {
  block_count: 2,
  embedding_length: 16,
  feed_forward_length: 24,
  "attention.head_count": 4,
  "attention.head_count_kv": 2,
  "attention.layer_norm_rms_epsilon": 1e-5,
};
const STAGE = { name: "one", tokens: 4 * 32, contextLength: 8, batchTokens: 32, microBatchTokens: 16 };

export interface TinyChange {
  readonly model?: Readonly<Record<string, unknown>>;
  readonly keys?: Readonly<Record<string, unknown>>;
  /** Each beside those of one small stage; default: that one. */
  readonly stages?: readonly object[];
  readonly optimizer?: object;
  readonly activationCheckpointing?: boolean;
}

export function tinyConfig({ model, keys, stages = [{}], optimizer, ...rest }: TinyChange = {}): TrainingConfig {
  const json = {
    name: "tiny",
    model: { keys: { ...KEYS, ...keys }, ...model },
    tokenizer: { vocabularySize: 300 },
    stages: stages.map((stage) => ({ ...STAGE, ...stage })),
    optimizer: { warmupSteps: 2, ...optimizer },
    ...rest,
  };
  return parseConfig(json, "tiny.json");
}

export function tinyTrainer(backend: Backend, config: TrainingConfig, more: Partial<TrainerParts> = {}): Trainer {
  const symbols = Array.from({ length: SYMBOLS }, (_, i) => i);
  const sources: TrainerParts["sources"] = (_, index) => {
    const task = new CopyTask({ seed: index + 1, symbols, separator: SYMBOLS });
    return { sample: async (n, length) => ({ source: task.name, sample: await task.sample(n, length) }) };
  };
  return new Trainer({ backend, config, vocabulary: VOCABULARY, sources, ...more });
}

/** Every number that a run goes on from, in one file. */
export function saveTrainer({ weights, state }: Trainer, path: string): Promise<string> {
  return writeStreamed(path, checkpointFile(weights, state));
}

/** Weights, gradients and moments by name, copied. */
export async function numbersOf({ weights }: Trainer): Promise<Map<string, Float32Array>> {
  await weights.settle();
  const all = new Map<string, Float32Array>();
  for (const { use, values, gradient, first, second } of weights.list) {
    all.set(use.name, values.slice());
    for (const [kind, kept] of Object.entries({ gradient, first, second })) {
      all.set(`${kind} of ${use.name}`, (await kept.read()).slice());
    }
  }
  return all;
}

/** Names of what is not the same bits. */
export function differing(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): string[] {
  const bytes = (x: Float32Array | undefined) => x && Buffer.from(x.buffer, x.byteOffset, x.byteLength);
  return [...a.keys()].filter((name) => {
    const [one, two] = [bytes(a.get(name)), bytes(b.get(name))];
    return one === undefined || two === undefined || !one.equals(two);
  });
}

/** Writes bytes beside others of a test. */
export function writeBytes(path: string, bytes: Uint8Array): string {
  writeFileSync(path, bytes);
  return path;
}
