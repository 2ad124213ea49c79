/**
 * `npm run kl -- [--models FOLDER] [--json FILE]`: how far the wasm backend's next-token probabilities are from the
 * reference backend's, for every model of a folder: mean and largest Kullback-Leibler divergence in nats over the
 * positions of a seeded text read at once, with f32, f16 and q8 caches; and mean absolute differences of log-probabilities
 * of the tokens that follow, from the reference's: read token by token, read at once (where prefill multiplies in 8 bits),
 * and llama.cpp's on the same tokens.
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
async function distributions(model, ids, kv, chunk) {
  const rows = [];
  for (let length = 1; length <= ids.length; length++) {
    const session = model.session({ context: "full", kv, contextLength: 1024, chunk });
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
  const next = exact.slice(0, -1).map((row, i) => row[run.tokens[i + 1]]);
  const tokenByToken = meanError(run.tokens, await distributions(wasm, run.tokens, "f32", 1), next);
  const caches = {};
  let atOnce;
  for (const kv of CACHES) {
    const rows = await distributions(wasm, run.tokens, kv, run.tokens.length);
    atOnce ??= meanError(run.tokens, rows, next);
    caches[kv] = summary(exact, rows);
  }
  await wasm.dispose();
  return {
    model: golden.name,
    caches,
    tokenByTokenMeanError: tokenByToken,
    meanError: atOnce,
    llamaCppMeanError: meanError(run.tokens, exact, run.next_logprobs),
  };
}

const results = [];
const figure = (x) => x.toExponential(1).padStart(9);
console.log(
  "model              KL f32: mean      most   f16: mean      most    q8: mean      most   |dlogp|: 1   at once  llama.cpp",
);
for (const file of readdirSync(options.models).filter((name) => name.endsWith(".gguf"))) {
  try {
    const result = await measure(file);
    results.push(result);
    const cells = CACHES.map((kv) => `${figure(result.caches[kv].mean)} ${figure(result.caches[kv].most)}`).join("   ");
    const errors = [result.tokenByTokenMeanError, result.meanError, result.llamaCppMeanError].map(figure).join(" ");
    console.log(`${result.model.padEnd(18)} ${cells}   ${errors}`);
  } catch (error) {
    if (error.code !== "unsupported") throw error;
    console.log(`${file.padEnd(18)} ${error.message.replace(/^.*?: /, "").slice(0, 80)}`);
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
