/**
 * The peer in training: test/support/jax-llama.mjs on the wasm backend of @jax-js/jax. With one thread it runs as Node runs
 * it; with more, over a Worker as in a browser.
 */
import { setFlagsFromString } from "node:v8";
import { serveEngine } from "../lib/child.mjs";
import { timeSteps } from "../lib/training.mjs";
import { provideWorkers } from "../lib/web-worker.mjs";

serveEngine(async ({ shape, adamW, seed, threads }) => {
  const start = performance.now();
  // Node 20 has relaxed SIMD, whose multiply-add jax uses, behind a flag.
  if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
  if (threads > 1) provideWorkers(threads);
  const { createJaxTrainer } = await import("../../test/support/jax-llama.mjs");
  const trainer = createJaxTrainer({ ...shape, ...adamW, seed });
  return { loadMs: performance.now() - start, run: (run) => timeSteps(trainer.step, shape, run) };
});
