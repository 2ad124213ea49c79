/** Sluice in this process (no engine thread of its own), greedy, f16 cache, the kernels' threads as asked. */
import { serveJob } from "../lib/child.mjs";
import { importSluice } from "../lib/sluice.mjs";

/** @param {import("../lib/child.mjs").Run} run */
async function generate(session, run) {
  await session.reset();
  const ids = [];
  const start = performance.now();
  let first = start;
  let last = start;
  for await (const part of session.generate(run.prompt, { temperature: 0, ignoreEnd: true, maxTokens: run.generate })) {
    if (part.id === undefined) continue;
    last = performance.now();
    if (ids.push(part.id) === 1) first = last;
  }
  if (session.usage.promptTokens !== run.prompt.length) {
    throw new Error(`the prompt has ${run.prompt.length} tokens, but ${session.usage.promptTokens} were read`);
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

async function mostLikely(session, run) {
  await session.reset();
  const options = { temperature: 0, ignoreEnd: true, maxTokens: 1, logprobs: run.top };
  for await (const part of session.generate(run.prompt, options)) {
    if (part.top) return part.top.map(({ id, logprob }) => [id, logprob]);
  }
  throw new Error("no part carried log-probabilities");
}

serveJob(async ({ model: path, threads, contextSize, runs }) => {
  const start = performance.now();
  const { load } = await importSluice();
  const model = await load(path, { backend: "wasm", threads, thread: false });
  const session = model.session({ context: "full", kv: "f16", contextLength: contextSize });
  const loadMs = performance.now() - start;
  if (model.info.threads !== threads) throw new Error(`asked for ${threads} threads, got ${model.info.threads}`);
  const results = [];
  for (const run of runs) {
    const result = await generate(session, run);
    results.push(run.top ? { ...result, top: await mostLikely(session, run) } : result);
  }
  return { runs: results, loadMs };
});
