/**
 * llama.cpp through node-llama-cpp's sequences: no chat wrapper, greedy, memory-mapped weights, its defaults otherwise
 * (f16 cache, flash attention where it chooses). The binding's own cost per token is part of what is measured.
 */
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { serveEngine, timeRun } from "../lib/child.mjs";

const GREEDY = { temperature: 0, yieldEogToken: true };

/** The first token and its probabilities, through the same evaluation as any other prompt. */
async function* withTop(sequence, ids, count, onTop) {
  for await (const { token, probabilities } of sequence.evaluateWithMetadata(ids, { probabilities: true }, GREEDY)) {
    const all = [...probabilities].map(([id, probability]) => [id, Math.log(probability)]);
    onTop(all.sort((a, b) => b[1] - a[1]).slice(0, count));
    yield token;
  }
}

serveEngine(async ({ model: modelPath, threads, contextSize, kv }) => {
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
  const type = kv && { experimentalKvCacheKeyType: kv.toUpperCase(), experimentalKvCacheValueType: kv.toUpperCase() };
  const context = await model.createContext({ contextSize, threads: { ideal: threads, min: threads }, ...type });
  const sequence = context.getSequence();
  const loadMs = performance.now() - start;
  if (context.currentThreads !== threads)
    throw new Error(`asked for ${threads} threads, got ${context.currentThreads}`);

  /** The newest token, which was given out and not yet read. */
  let waiting;
  const prepare = async ({ keep, restore }) => {
    if (keep) return;
    waiting = restore?.waiting;
    if (restore) await sequence.loadStateFromFile(restore.file, { acceptRisk: true });
    else await sequence.clearHistory();
  };
  const run = async (run) => {
    await prepare(run);
    const ids = waiting === undefined ? run.prompt : [waiting, ...run.prompt];
    let top;
    const source = run.top
      ? withTop(sequence, ids, run.top, (found) => {
          top = found;
        })
      : sequence.evaluate(ids, GREEDY);
    const result = await timeRun(run, source);
    waiting = result.ids.at(-1);
    if (run.save) await sequence.saveStateToFile(run.save);
    return top ? { ...result, top } : result;
  };
  return { loadMs, run };
});
