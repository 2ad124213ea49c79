/**
 * What a change costs those who do not use it: `node scripts/compare-builds.mjs BEFORE AFTER [--model FILE] [--contexts
 * "full;sinks:4,recent:508"] [--prompt 512] [--tokens 200] [--rounds 12] [--repeats 4] [--threads N] [--json FILE]`. BEFORE and AFTER are checkouts
 * that were built (`npm run build`). In each round both read and write the same, in turn, each in a process of its own, the
 * order changing, several times of which the fastest counts; the ratio is that of the medians of all rounds, after over before: above
 * 1, the change made it faster. In each round BEFORE runs a second time: the ratio of these runs to the first is what the same
 * build differs from itself by, and a ratio that is no further from 1 says nothing. Both must write the same ids. With --threads 1 it is processor time that counts, which other work on the machine changes less.
 */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { markdownTable, median } from "./lib/streaming.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../assets/sluice-tiny.gguf", import.meta.url)) },
    contexts: { type: "string", default: "full;sinks:4,recent:508" },
    prompt: { type: "string", default: "512" },
    tokens: { type: "string", default: "200" },
    rounds: { type: "string", default: "12" },
    repeats: { type: "string", default: "4" },
    threads: { type: "string" },
    /** For the processes that it starts. */
    measure: { type: "string" },
    json: { type: "string" },
  },
});
const [prompt, tokens, rounds, repeats] = ["prompt", "tokens", "rounds", "repeats"].map((name) => Number(values[name]));
const contexts = values.contexts.split(";").map((text) => text.trim());

/** The fastest of several times, by context, and what was written. */
async function measure(folder) {
  const { enableWideVectors, load } = await import(pathToFileURL(join(folder, "dist/index-node.js")).href);
  await enableWideVectors?.();
  const options = { thread: false, ...(values.threads && { threads: Number(values.threads) }) };
  // Each session is to read its prompt; a build that keeps nothing for others does not know the option.
  const model = await load(values.model, { ...options, prefixBytes: 0 }).catch((error) => {
    if (error.code === "bad_argument") return load(values.model, options);
    throw error;
  });
  const figures = {};
  // The first time warms up.
  for (let time = 0; time <= repeats; time++) {
    for (const context of contexts) {
      const { prefill, decode, ids } = await readAndWrite(model, context);
      const best = time === 0 ? { prefill: 0, decode: 0 } : figures[context];
      figures[context] = { prefill: Math.max(best.prefill, prefill), decode: Math.max(best.decode, decode), ids };
    }
  }
  await model.dispose();
  return figures;
}

/** Milliseconds: of the processor where all work is this thread's. */
function now() {
  if (values.threads !== "1") return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Tokens per second. */
async function readAndWrite(model, context) {
  const { vocabulary } = model.info;
  const ids = Int32Array.from({ length: prompt }, (_, i) => (i * 7919 + 13) % vocabulary);
  const limit = context.startsWith("full") ? { contextLength: prompt + tokens + 16 } : {};
  const session = model.session({ context, ...limit });
  const written = [];
  const start = now();
  let first = start;
  for await (const { id } of session.generate(ids, { temperature: 0, ignoreEnd: true, maxTokens: tokens + 1 })) {
    if (id !== undefined && written.push(id) === 1) first = now();
  }
  const decodeMs = now() - first;
  await session.dispose();
  return { prefill: (1000 * prompt) / (first - start), decode: (1000 * tokens) / decodeMs, ids: written.join() };
}

function run(folder) {
  const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2), "--measure", folder];
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`${folder}: the run ended with status ${status}.`);
  return JSON.parse(stdout);
}

if (values.measure !== undefined) {
  process.stdout.write(JSON.stringify(await measure(values.measure)));
} else {
  const folders = positionals.map((folder) => resolve(folder));
  const missing = folders.find((folder) => !existsSync(join(folder, "dist/index-node.js")));
  if (folders.length !== 2) throw new Error("Name two checkouts that were built: the one before and the one after.");
  if (missing !== undefined) throw new Error(`${missing} is not built: run \`npm run build\` there.`);
  // Before, after, and before again.
  const builds = [...folders, folders[0]];
  const runs = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 1 ? [2, 1, 0] : [0, 1, 2];
    const found = [];
    for (const side of order) found[side] = run(builds[side]);
    runs.push(found);
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  const rows = contexts.flatMap((context) =>
    ["prefill", "decode"].map((kind) => {
      const rates = builds.map((_, side) => runs.map((found) => found[side][context][kind]));
      const [before, after, again] = rates.map(median);
      const same = runs.every(([one, other]) => one[context].ids === other[context].ids);
      return { context, kind, before, after, ratio: after / before, noise: again / before, rates, same };
    }),
  );
  const shown = ({ context, kind, before, after, ratio, noise, same }) => [
    `${context}, ${kind}`,
    before.toFixed(1),
    after.toFixed(1),
    ratio.toFixed(3),
    noise.toFixed(3),
    same ? "yes" : "NO",
  ];
  process.stdout.write(
    `${markdownTable(["", "before, tokens/s", "after", "after / before", "before / before", "same ids"], rows.map(shown))}\n`,
  );
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ folders, prompt, tokens, rows }, null, 2)}\n`);
  process.exitCode = rows.every(({ same }) => same) ? 0 : 1;
}
