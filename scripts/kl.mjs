/**
 * `npm run kl -- [--models FOLDER] [--json FILE]`: how far the wasm backend's next-token probabilities are from the
 * reference backend's, for every model of a folder: mean and largest Kullback-Leibler divergence in nats over the
 * positions of a seeded text read at once, with f32, f16 and q8 caches; and mean absolute differences of log-probabilities
 * of the tokens that follow, from the reference's: read token by token, read at once (where prefill multiplies in 8 bits),
 * and llama.cpp's on the same tokens. Every position is read as the end of a prompt of its own; those of fewer than eight
 * tokens, which keep 16 bits, are left out of all columns. The last line is over all quantised models.
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
/** Tokens of the shortest prompt that counts: shorter ones are never multiplied in 8 bits. */
const LEAST = 8;

/** Log-probabilities of the whole vocabulary after each prefix of the text. */
async function distributions(model, ids, kv, chunk) {
  const rows = [];
  // Some models have positions for fewer.
  const contextLength = Math.min(1024, model.info.positions ?? 1024);
  for (let length = LEAST; length <= ids.length; length++) {
    const session = model.session({ context: "full", kv, contextLength, chunk });
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

/** Log-probabilities of the tokens that follow, by rows. */
function following(ids, rows) {
  return rows.slice(0, -1).map((row, i) => row[ids[LEAST + i]]);
}

/** Mean |difference|. */
function meanError(some, others) {
  return some.reduce((sum, logprob, i) => sum + Math.abs(logprob - others[i]), 0) / some.length;
}

async function measure(file) {
  const golden = JSON.parse(readFileSync(join(options.models, file.replace(/\.gguf$/, ".json")), "utf8"));
  const run = golden.runs[0];
  const path = join(options.models, file);
  const reference = await load(path, { backend: "reference", thread: false, prefixBytes: 0 });
  const exact = await distributions(reference, run.tokens, "f32");
  await reference.dispose();
  const wasm = await load(path, { thread: false, prefixBytes: 0 });
  const next = following(run.tokens, exact);
  const errorOf = (rows) => meanError(following(run.tokens, rows), next);
  const tokenByToken = errorOf(await distributions(wasm, run.tokens, "f32", 1));
  const caches = {};
  let atOnce;
  for (const kv of CACHES) {
    const rows = await distributions(wasm, run.tokens, kv, run.tokens.length);
    atOnce ??= errorOf(rows);
    caches[kv] = summary(exact, rows);
  }
  await wasm.dispose();
  return {
    model: golden.name,
    caches,
    tokenByTokenMeanError: tokenByToken,
    meanError: atOnce,
    llamaCppMeanError: meanError(run.next_logprobs.slice(LEAST - 1), next),
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

/** Mean and standard error over models of log(error read at once / llama.cpp's), where both multiply in 8 bits. */
const ratios = results
  .filter(({ meanError: own, tokenByTokenMeanError: precise }) => own > 10 * precise)
  .map(({ meanError: own, llamaCppMeanError: peer }) => Math.log(own / peer));
if (ratios.length > 1) {
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  const variance = ratios.reduce((sum, ratio) => sum + (ratio - mean) ** 2, 0) / (ratios.length - 1);
  const deviation = Math.sqrt(variance / ratios.length);
  const factor = (power) => Math.exp(mean + power * deviation).toFixed(2);
  console.log(
    `at once, of llama.cpp's error, over ${ratios.length} models in 8 bits: ${factor(0)} (standard error ${factor(-1)} to ${factor(1)})`,
  );
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
