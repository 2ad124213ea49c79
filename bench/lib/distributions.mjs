/** Next-token log-probabilities behind every token of a sequence, by both engines, with caches of f32. */
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { parsePolicy, SequenceMemory } from "../../dist/context/index.js";
import { loadLocal } from "../../dist/engine/index.js";

/** @param {ArrayLike<number>} logits */
function logSoftmax(logits) {
  const values = Float64Array.from(logits);
  const most = values.reduce((a, b) => Math.max(a, b));
  const total = Math.log(values.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) + most;
  return values.map((logit) => logit - total);
}

/**
 * An engine with a model: ids of a text (undefined where the file has no tokenizer), and rows of log-probabilities.
 * @typedef {object} Opened
 * @property {(text: string) => number[]} encode
 * @property {(ids: number[]) => Promise<Float64Array[]>} logprobs
 * @property {() => Promise<void>} close
 */

/** @returns {Promise<Opened & {info: import("../../src/engine/api.js").ModelInfo}>} */
export async function openSluice(path, options) {
  const model = await loadLocal(path, options);
  const { runner, info } = model;
  const { vocabulary } = info;
  const logprobs = async (ids) => {
    const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: ids.length };
    const memory = new SequenceMemory(runner.backend, runner.decoder.shapes, settings);
    const rows = [];
    for (let at = 0; at < ids.length; ) {
      const count = memory.stepLimit(Math.min(64, ids.length - at));
      await runner.run(memory, Int32Array.from(ids.slice(at, at + count)), "all", (logits) => {
        for (let t = 0; t < count; t++) rows.push(logSoftmax(logits.subarray(t * vocabulary, (t + 1) * vocabulary)));
      });
      at += count;
    }
    memory.dispose();
    return rows;
  };
  const encode = async (text) => [...(await model.encode(text, { addSpecial: false, parseSpecial: false }))];
  return { info, encode, logprobs, close: () => model.dispose() };
}

/** llama.cpp without flash attention, so that its own rounding is as small as it can be. @returns {Promise<Opened>} */
export async function openLlamaCpp(path, threads, contextSize) {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: 0,
    logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize,
    threads: { ideal: threads, min: threads },
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const sequence = context.getSequence();
  const logprobs = async (ids) => {
    await sequence.clearHistory();
    const rows = [];
    const input = ids.map((id) => [id, { generateNext: { logits: true } }]);
    await sequence.controlledEvaluate(input, {
      onTokenResult: (index, { next }) => {
        const logits = new Float64Array(next.logits.size);
        for (const [id, logit] of next.logits) logits[id] = logit;
        rows[index] = logSoftmax(logits);
      },
    });
    return rows;
  };
  const encode = async (text) => model.tokenize(text, false);
  return { encode, logprobs, close: () => llama.dispose() };
}
