/**
 * `npm run kl -- [--models FOLDER] [--json FILE]`: how far the wasm backend's next-token probabilities are from the
 * reference backend's, for every model of a folder: mean and largest Kullback-Leibler divergence in nats over the
 * positions of a seeded text, with f32, f16 and q8 caches; and, where the folder has llama.cpp's probabilities, how far
 * llama.cpp itself is from the reference on the same tokens (mean absolute difference of log-probabilities of both).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { load } from "sluice";

const own = fileURLToPath(new URL("../test/golden", import.meta.url));
const shared = fileURLToPath(new URL("../../shared/golden", import.meta.url));
const { values: options } = parseArgs({
  options: { models: { type: "string", default: existsSync(shared) ? shared : own }, json: { type: "string" } },
});
const CACHES = ["f32", "f16", "q8"];

/** Log-probabilities of the whole vocabulary after each prefix of the text. */
async function distributions(model, ids, kv) {
  const rows = [];
  for (let length = 1; length <= ids.length; length++) {
    const session = model.session({ context: "full", kv, contextLength: 1024 });
    const row = new Float64Array(model.info.vocabulary);
    const sampling = { maxTokens: 1, temperature: 0, logprobs: row.length, ignoreEnd: true };
    for await (const part of session.generate(ids.slice(0, length), sampling)) {
      for (const { id, logprob } of part.top ?? []) row[id] = logprob;
    }
    rows.push(row);
    await session.dispose();
  }
  return rows;
}

/** KL divergence of q from p, both as log-probabilities. */
function divergence(p, q) {
  return p.reduce((sum, logprob, id) => sum + Math.exp(logprob) * (logprob - q[id]), 0);
}

function summary(exact, other) {
  const all = exact.map((row, i) => divergence(row, other[i]));
  return { mean: all.reduce((a, b) => a + b, 0) / all.length, most: Math.max(...all) };
}

/** Mean |difference| of the log-probability of the tokens that follow. */
function meanError(ids, rows, logprobs) {
  return logprobs.reduce((sum, logprob, i) => sum + Math.abs(logprob - rows[i][ids[i + 1]]), 0) / logprobs.length;
}

async function measure(file) {
  const golden = JSON.parse(readFileSync(join(options.models, file.replace(/\.gguf$/, ".json")), "utf8"));
  const run = golden.runs[0];
  const path = join(options.models, file);
  const reference = await load(path, { backend: "reference", thread: false });
  const exact = await distributions(reference, run.tokens, "f32");
  await reference.dispose();
  const wasm = await load(path, { thread: false });
  const caches = {};
  let ours;
  for (const kv of CACHES) {
    const rows = await distributions(wasm, run.tokens, kv);
    ours ??= meanError(
      run.tokens,
      rows,
      exact.slice(0, -1).map((row, i) => row[run.tokens[i + 1]]),
    );
    caches[kv] = summary(exact, rows);
  }
  await wasm.dispose();
  return {
    model: golden.name,
    caches,
    meanError: ours,
    llamaCppMeanError: meanError(run.tokens, exact, run.next_logprobs),
  };
}

const results = [];
const figure = (x) => x.toExponential(1).padStart(9);
console.log(
  "model              KL f32: mean      most   f16: mean      most    q8: mean      most   |dlogp|  llama.cpp",
);
for (const file of readdirSync(options.models).filter((name) => name.endsWith(".gguf"))) {
  try {
    const result = await measure(file);
    results.push(result);
    const cells = CACHES.map((kv) => `${figure(result.caches[kv].mean)} ${figure(result.caches[kv].most)}`).join("   ");
    console.log(`${result.model.padEnd(18)} ${cells} ${figure(result.meanError)}  ${figure(result.llamaCppMeanError)}`);
  } catch (error) {
    if (error.code !== "unsupported") throw error;
    console.log(`${file.padEnd(18)} ${error.message.replace(/^.*?: /, "").slice(0, 80)}`);
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
