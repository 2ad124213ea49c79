/**
 * llama.cpp through node-llama-cpp's sequences: no chat wrapper, greedy, memory-mapped weights, its defaults otherwise
 * (f16 cache, flash attention where it chooses). The binding's own cost per token is part of what is measured.
 */
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { serveJob } from "../lib/child.mjs";

/** @param {import("../lib/child.mjs").Run} run */
async function generate(sequence, run) {
  await sequence.clearHistory();
  const ids = [];
  const start = performance.now();
  let first = start;
  let last = start;
  for await (const id of sequence.evaluate(run.prompt, { temperature: 0, yieldEogToken: true })) {
    last = performance.now();
    if (ids.push(id) === 1) first = last;
    if (ids.length === run.generate) break;
  }
  return {
    name: run.name,
    promptTokens: run.prompt.length,
    prefillMs: first - start,
    decodeTokens: ids.length - 1,
    decodeMs: last - first,
    ids,
  };
}

/** @returns {Promise<[number, number][]>} */
async function mostLikely(sequence, run) {
  await sequence.clearHistory();
  const input = [...run.prompt];
  const end = input.length - 1;
  const result = await sequence.controlledEvaluate([
    ...input.slice(0, end),
    [input[end], { generateNext: { probabilities: true, options: { temperature: 0 } } }],
  ]);
  const all = [...result[end].next.probabilities].map(([id, probability]) => [id, Math.log(probability)]);
  return all.sort((a, b) => b[1] - a[1]).slice(0, run.top);
}

serveJob(async ({ model: modelPath, threads, contextSize, runs }) => {
  const start = performance.now();
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: 0,
    logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({ contextSize, threads: { ideal: threads, min: threads } });
  const sequence = context.getSequence();
  const loadMs = performance.now() - start;
  if (context.currentThreads !== threads)
    throw new Error(`asked for ${threads} threads, got ${context.currentThreads}`);
  const results = [];
  for (const run of runs) {
    const result = await generate(sequence, run);
    results.push(run.top ? { ...result, top: await mostLikely(sequence, run) } : result);
  }
  return { runs: results, loadMs };
});
