/** Sluice's side of the training benchmark: the built package's trainer, the kernels' threads as asked. */
import { serveEngine } from "../lib/child.mjs";
import { timeSteps } from "../lib/training.mjs";

// TO BE FILLED IN, against this planned API: `createTrainer` of dist/train/index.js. It must start from the weights that
// the peer starts from (`randomWeights` of test/support/jax-llama.mjs, by the GGUF tensors' names), take each batch as it
// is, i32 [batch, sequence + 1], and give the mean loss before the step.
serveEngine(async ({ shape, adamW, seed, threads }) => {
  const start = performance.now();
  const { createTrainer } = await import("../../dist/train/index.js");
  const { randomWeights } = await import("../../test/support/jax-llama.mjs");
  const trainer = await createTrainer({ shape, adamW, weights: randomWeights(shape, seed), threads });
  const run = async (run) => {
    const result = await timeSteps((ids) => trainer.step(ids), shape, run);
    // Of one step, apart from the timed ones: measuring may cost time.
    const { productFlopsPerStep, productSeconds } = await trainer.measureProducts();
    return { ...result, productFlopsPerStep, productSeconds };
  };
  return { loadMs: performance.now() - start, run };
});
