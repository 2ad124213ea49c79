/**
 * The sink-token study of StreamingLLM (2309.17453, table 3), in small.
 *
 * `node scripts/sink-study.mjs train --out FOLDER [--data PATH] [--threads N]` trains the three models of
 * examples/sink-study one after the other, each in a folder of its own; what was trained already is left alone, and what was
 * begun goes on.
 * `node scripts/sink-study.mjs table FOLDER [--text FILE] [--tokens 10000] [--window 256] [--batch 1]` streams the held-out
 * text through each with 0, 1, 2 and 4 initial tokens kept, in a cache of `window` tokens in all (f32), and prints
 * perplexities beside the paper's, and what attention each gives to the first places. The first window is left out of the
 * perplexities: nothing was evicted yet. Without --text, the book lies in ../shared.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { load } from "sluice";
import { attentionMassTable } from "./lib/attention.mjs";
import { encodeBook, formatPerplexity, markdownTable, perplexity, streamText } from "./lib/streaming.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const KEPT = [0, 1, 2, 4];
/** The paper's perplexities: models of 160M parameters. */
const VARIANTS = [
  { name: "vanilla", paper: ["27.87", "18.49", "18.05", "18.05"] },
  { name: "zero", paper: ["29,214", "19.90", "18.27", "18.01"] },
  { name: "learnable", paper: ["1,235", "18.01", "18.01", "18.02"] },
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string", default: "runs/sink-study" },
    data: { type: "string", default: join(root, "../shared/text") },
    text: { type: "string", default: join(root, "../shared/text/the-time-machine.txt") },
    tokens: { type: "string", default: "10000" },
    window: { type: "string", default: "256" },
    batch: { type: "string", default: "1" },
    threads: { type: "string" },
  },
});

/** Runs the command line, all its words on standard error; Ctrl-C and SIGTERM reach it, and it ends with a checkpoint. */
function sluice(args) {
  const child = spawn(process.execPath, [join(root, "dist/cli/main.js"), ...args], { stdio: [0, 2, 2] });
  const pass = (signal) => child.kill(signal);
  process.on("SIGINT", pass).on("SIGTERM", pass);
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("exit", (code) => {
      process.off("SIGINT", pass).off("SIGTERM", pass);
      if (code === 0) resolve();
      else process.exit(code ?? 1);
    });
  });
}

const threads = values.threads ? ["--threads", values.threads] : [];

async function train(folder) {
  for (const { name } of VARIANTS) {
    const run = join(folder, name);
    if (existsSync(join(run, `${name}.gguf`))) continue;
    const begin = [join(root, "examples/sink-study", `${name}.json`), "--data", values.data, "--out", run];
    const begun = existsSync(join(run, "config.json"));
    await sluice(["train", ...(begun ? ["--resume", run] : begin), ...threads]);
  }
}

async function measure(folder, name) {
  const path = join(folder, `${name}-f32.gguf`);
  await sluice(["export", join(folder, name), "--quant", "f32", "--out", path, "--quiet"]);
  const model = await load(path, values.threads ? { threads: Number(values.threads) } : {});
  const window = Number(values.window);
  const text = await encodeBook(model, values.text, Number(values.tokens));
  const found = [];
  for (const kept of KEPT) {
    const context = kept === 0 ? `recent:${window}` : `sinks:${kept},recent:${window - kept}`;
    const { logprobs } = await streamText(model, text, context, { batch: Number(values.batch) });
    found.push(perplexity(logprobs, window));
  }
  const { parameters } = model.info;
  await model.dispose();
  return { found, parameters };
}

async function table(folder) {
  const rows = [];
  for (const { name, paper } of VARIANTS) {
    if (!existsSync(join(folder, name, "config.json"))) continue;
    const { found, parameters } = await measure(folder, name);
    const size = `${(parameters / 1e6).toFixed(2)}M`;
    rows.push([name, size, ...found.map(formatPerplexity)], [`${name}, the paper's`, "160M", ...paper]);
  }
  if (rows.length === 0) throw new Error(`${folder} has none of ${VARIANTS.map(({ name }) => name).join(", ")}.`);
  const window = Number(values.window);
  console.log(markdownTable(["model", "parameters", ...KEPT.map((kept) => `${kept} + ${window - kept}`)], rows));
}

async function attention(folder) {
  for (const { name } of VARIANTS) {
    const path = join(folder, `${name}-f32.gguf`);
    if (!existsSync(path)) continue;
    const options = { window: Number(values.window), windows: 4, from: 64, places: Math.max(...KEPT), heads: false };
    console.log(`\nAttention of ${name}, mean over heads:\n`);
    console.log(await attentionMassTable(path, values.text, options));
  }
}

const [step, folder] = positionals;
if (step === "train") await train(values.out);
else if (step === "table" && folder !== undefined) {
  await table(folder);
  await attention(folder);
} else throw new Error("Say what to do: train --out FOLDER, or table FOLDER.");
