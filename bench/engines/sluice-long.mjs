/** Sluice with a cache that was filled without reading (lib/fill-cache.mjs), under any policy and cache type. */
import { serveEngine, timeRun } from "../lib/child.mjs";
import { fillCache } from "../lib/fill-cache.mjs";
import { importSluice } from "../lib/sluice.mjs";

const { enableWideVectors, load } = await importSluice();
await enableWideVectors();

/** Errors of what this version of Sluice does not know or refuses. */
const REFUSALS = new Set(["PolicyError", "ArgumentError", "UnsupportedError"]);

async function* idsOf(parts) {
  for await (const { id } of parts) if (id !== undefined) yield id;
}

async function open({ model: path, threads, contextSize, context, kv, gates }) {
  const model = await load(path, { backend: "wasm", threads, thread: false, prefixBytes: 0, ...(gates && { gates }) });
  try {
    return { model, session: model.session({ context, kv, contextLength: contextSize }) };
  } catch (error) {
    await model.dispose();
    throw error;
  }
}

serveEngine(async (setup) => {
  const start = performance.now();
  const took = () => performance.now() - start;
  let opened;
  try {
    opened = await open(setup);
  } catch (error) {
    if (!REFUSALS.has(error.name)) throw error;
    return { loadMs: took(), run: async () => ({ refused: error.message }) };
  }
  const { model, session } = opened;
  await fillCache(model, session, { ...setup, prompt: setup.prompt });
  const loadMs = took();
  const run = async (run) => {
    const parts = session.generate(run.prompt, { temperature: 0, ignoreEnd: true, maxTokens: run.generate });
    const result = await timeRun(run, idsOf(parts));
    const { cacheBytes, kept, read } = session.usage;
    return { ...result, cacheBytes, kept, read };
  };
  return { loadMs, run };
});
