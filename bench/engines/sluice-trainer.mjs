/** Sluice's side of the training benchmark: the built package's model pass and optimizer, the kernels' threads as asked. */
import { serveEngine } from "../lib/child.mjs";
import { commandTimes, isProduct } from "../lib/command-times.mjs";
import { median } from "../lib/report.mjs";
import { createSluiceLlama } from "../lib/sluice-llama.mjs";
import { batchOf, timeSteps } from "../lib/training.mjs";

/** Passes whose products are timed; of an odd number there is a median. */
const PRODUCT_PASSES = 5;

serveEngine(async ({ shape, adamW, seed, threads }) => {
  const start = performance.now();
  const { randomWeights } = await import("../../test/support/jax-llama.mjs");
  const llama = await createSluiceLlama({ shape, threads, weights: randomWeights(shape, seed) });
  const run = async (run) => {
    const result = await timeSteps((ids) => llama.step(ids, adamW), shape, run);
    return { ...result, ...(await measureProducts(llama, shape, threads)) };
  };
  return { loadMs: performance.now() - start, run };
});

/**
 * The matrix products of a step, forward and back, as a pass runs them, other commands between them; apart from the timed
 * steps, as every product is then a list of its own. The weights stay as they are. Of one thread the processor's time
 * counts, as in scripts/bench-linear.mjs, whose rate this is compared with.
 */
async function measureProducts({ backend, trained, learn }, shape, threads) {
  const clock = () => {
    if (threads > 1) return performance.now();
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const passes = [];
  for (let i = 0; i < PRODUCT_PASSES; i++) {
    const times = await commandTimes(backend, () => learn(batchOf(shape, i)), { wanted: isProduct, clock });
    trained.clearGradients();
    const sum = (of) => [...times.values()].reduce((all, one) => all + of(one), 0);
    passes.push({ flops: sum(({ flops }) => flops), seconds: sum(({ ms }) => ms) / 1000 });
  }
  return { productFlopsPerStep: passes[0].flops, productSeconds: median(passes.map(({ seconds }) => seconds)) };
}
