/** Sluice's side of the comparison in test/autograd/jax.test.ts: the trainer's own pass, from the same weights. */
import { createBackend } from "../../src/backends/create.js";
import type { BackendName } from "../../src/tensor/backend.js";
import { type ModelConfig, ModelPass, TrainedWeights } from "../../src/train/index.js";
import { defineModel } from "../../src/train/model-definition.js";
import { parsePattern } from "../../src/train/patterns/pattern.js";
import type { LlamaShape, Weights } from "./jax-llama.mjs";

export interface SluiceOptions {
  readonly backend: BackendName;
  readonly activationCheckpointing: boolean;
}

/** As JaxModel's: ids i32 [batch, sequence + 1], the loss their mean, gradients by the GGUF tensors' names. */
export async function sluiceLossAndGradients(
  shape: LlamaShape,
  weights: Weights,
  ids: Int32Array,
  options: SluiceOptions,
): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, Float32Array> }> {
  const backend = await createBackend(options.backend, { threads: 2 });
  const { training } = backend;
  if (!training) throw new Error(`${backend.name} does not train`);
  try {
    const { spec } = defineModel("llama", modelOf(shape), shape.vocabulary);
    const trained = new TrainedWeights(backend, training, spec, undefined);
    for (const { use, values } of trained.list) values.set(weights.get(use.name) ?? missing(use.name));
    const { activationCheckpointing } = options;
    const pass = new ModelPass(backend, training, spec, trained, {
      pattern: parsePattern("full"),
      activationCheckpointing,
    });
    const { batch, sequence } = shape;
    const rows = Array.from({ length: batch }, (_, row) => ({
      ids: ids.subarray(row * (sequence + 1), (row + 1) * (sequence + 1)),
      weights: new Float32Array(sequence).fill(1),
    }));
    const losses = await pass.learn(rows, 1 / (batch * sequence));
    const gradients = new Map<string, Float32Array>();
    for (const { use, gradient } of trained.learning) gradients.set(use.name, (await gradient.read()).slice());
    const sum = losses.flatMap((row) => [...row]).reduce((total, loss) => total + loss, 0);
    return { loss: sum / (batch * sequence), gradients };
  } finally {
    await backend.dispose();
  }
}

function modelOf(shape: LlamaShape): ModelConfig {
  const { width, layers, heads, kvHeads, hidden, sequence, ropeBase = 10000, epsilon = 1e-5 } = shape;
  const keys = {
    context_length: sequence,
    embedding_length: width,
    block_count: layers,
    feed_forward_length: hidden,
    "attention.head_count": heads,
    "attention.head_count_kv": kvHeads,
    "attention.layer_norm_rms_epsilon": epsilon,
    "rope.dimension_count": width / heads,
    "rope.freq_base": ropeBase,
  };
  return { architecture: "llama", keys, tied: true, sinks: "none", tensors: "", balance: 0 };
}

function missing(name: string): never {
  throw new Error(`There is no ${name}.`);
}
