/** Sluice in this process (no engine thread of its own), greedy, f16 cache, the kernels' threads as asked. */
import { serveEngine, timeRun } from "../lib/child.mjs";
import { importSluice } from "../lib/sluice.mjs";

const { enableWideVectors, load } = await importSluice();
// A process of ours, as that of the command line.
await enableWideVectors();

/** Ids of the parts; what a part says of the most likely tokens goes to `onTop`. */
async function* idsOf(parts, onTop) {
  for await (const { id, top } of parts) {
    if (id === undefined) continue;
    if (top) onTop(top.map((one) => [one.id, one.logprob]));
    yield id;
  }
}

serveEngine(async ({ model: path, threads, contextSize }) => {
  const start = performance.now();
  const model = await load(path, { backend: "wasm", threads, thread: false, prefixBytes: 0 });
  const session = model.session({ context: "full", kv: "f16", contextLength: contextSize });
  const loadMs = performance.now() - start;
  if (model.info.threads !== threads) throw new Error(`asked for ${threads} threads, got ${model.info.threads}`);
  const run = async (run) => {
    if (run.save || run.restore) throw new Error("only llama.cpp's state is saved");
    if (!run.keep) await session.reset();
    const before = session.usage.promptTokens;
    let top;
    const options = { temperature: 0, ignoreEnd: true, maxTokens: run.generate, ...(run.top && { logprobs: run.top }) };
    const ids = idsOf(session.generate(run.prompt, options), (found) => {
      top = found;
    });
    const result = await timeRun(run, ids);
    const read = session.usage.promptTokens - before;
    if (read !== run.prompt.length)
      throw new Error(`the prompt has ${run.prompt.length} tokens, but ${read} were read`);
    return top ? { ...result, top } : result;
  };
  return { loadMs, run };
});
