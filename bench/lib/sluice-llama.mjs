/** A llama of any shape in Sluice's trainer, and AdamW on it without the folders, texts and schedules of a run. */
import { importSluice } from "./sluice.mjs";

/**
 * @param {object} setup
 * @param {import("../../test/support/jax-llama.mjs").LlamaShape} setup.shape
 * @param {number} setup.threads
 * @param {ReadonlyMap<string, Float32Array>} [setup.weights] to start from, by the names of GGUF's tensors; random without
 * @param {boolean} [setup.checkpointing] keep only the inputs of layers
 */
export async function createSluiceLlama({ shape, threads, weights, checkpointing = false }) {
  // For the platform.
  await importSluice();
  const { createWasmBackend } = await import("../../dist/backends/index.js");
  const { defineModel, ModelPass, parsePattern, TrainedWeights } = await import("../../dist/train/index.js");
  const backend = await createWasmBackend({ threads });
  const { spec } = defineModel("llama", modelOf(shape), shape.vocabulary);
  const trained = new TrainedWeights(backend, backend.training, spec, undefined);
  if (weights) fill(trained, weights);
  else trained.initialise(spec, 1);
  const pattern = parsePattern("full");
  const pass = new ModelPass(backend, backend.training, spec, trained, {
    pattern,
    activationCheckpointing: checkpointing,
  });
  /** Forward and back; gradients are those of the mean over all rows. @returns that mean */
  const learn = async (ids) => {
    const losses = await pass.learn(samplesOf(shape, ids), 1 / (shape.batch * shape.sequence));
    const sum = losses.reduce((all, row) => row.reduce((total, loss) => total + loss, all), 0);
    return sum / (shape.batch * shape.sequence);
  };
  let steps = 0;
  return {
    backend,
    trained,
    learn,
    /** One step of AdamW, without clipping. @returns the loss before it */
    async step(ids, { rate, beta1, beta2, stabiliser, decay }) {
      const loss = await learn(ids);
      const settings = {
        rate,
        beta1,
        beta2,
        epsilon: stabiliser,
        decay,
        clip: Number.POSITIVE_INFINITY,
        step: ++steps,
      };
      await trained.update(settings);
      await trained.settle();
      return loss;
    },
  };
}

function modelOf({ width, layers, heads, kvHeads, hidden, sequence, ropeBase = 10000, epsilon = 1e-5 }) {
  return {
    architecture: "llama",
    keys: {
      context_length: sequence,
      embedding_length: width,
      block_count: layers,
      feed_forward_length: hidden,
      "attention.head_count": heads,
      "attention.head_count_kv": kvHeads,
      "attention.layer_norm_rms_epsilon": epsilon,
      "rope.dimension_count": width / heads,
      "rope.freq_base": ropeBase,
    },
    tied: true,
    sinks: "none",
    tensors: "",
  };
}

function fill(trained, weights) {
  for (const { use, values } of trained.list) {
    const numbers = weights.get(use.name);
    if (numbers?.length !== values.length) {
      throw new Error(`${use.name}: expected ${values.length} numbers, found ${numbers?.length}`);
    }
    values.set(numbers);
  }
}

/** ids [batch, sequence + 1] as samples; every prediction counts. */
function samplesOf({ batch, sequence }, ids) {
  return Array.from({ length: batch }, (_, row) => ({
    ids: ids.subarray(row * (sequence + 1), (row + 1) * (sequence + 1)),
    weights: new Float32Array(sequence).fill(1),
  }));
}
