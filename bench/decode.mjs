/**
 * Sluice beside llama.cpp on the same file of random weights: decode tokens/s after 256 tokens of context, prefill
 * tokens/s, load time, time to the first token, peak memory. Both engines in turn, each in its own process, several
 * rounds, medians.
 */

import { agreement, collect, compare, decodeRate, prefillRate } from "./lib/compare.mjs";
import { readOptions, usageError, wholeNumber, wholeNumbers } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { bytesPerToken, makeModel, randomPrompt, SHAPES, warmPageCache } from "./make-model.mjs";

const HELP = `Usage: npm run bench -- decode [options]

  --shape NAME     1.1b, 0.5b, neox-160m or mamba-130m (1.1b)
  --formats LIST   f32,q8_0,q4_0,q4_k,q4_k_m (q8_0,q4_0); k-quants only for 1.1b
  --context LIST   tokens of context at which decoding is timed (256)
  --prefill LIST   prompt lengths of which only the prefill is timed (512)
  --tokens N       tokens decoded after the first (32)
  --threads N      threads of each engine (2)
  --rounds N       rounds; medians are shown (3)
  --floor R        least ratio of decode speeds; below it the exit code is 1 (0.5)
  --quick          one round, not repeated when disturbed
  --json FILE      all figures
`;

function readJobOptions() {
  const values = readOptions(HELP, {
    shape: { type: "string", default: "1.1b" },
    formats: { type: "string", default: "q8_0,q4_0" },
    context: { type: "string", default: "256" },
    prefill: { type: "string", default: "512" },
    tokens: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    floor: { type: "string", default: "0.5" },
    quick: { type: "boolean", default: false },
  });
  const formats = values.formats.split(",");
  if (!Object.hasOwn(SHAPES, values.shape)) usageError(`--shape: expected ${Object.keys(SHAPES).join(", ")}`);
  if (formats.some((format) => format.includes("_k")) && values.shape !== "1.1b")
    usageError(`--formats: k-quants need rows of 256, which ${values.shape} has not everywhere`);
  return {
    shape: values.shape,
    formats,
    contexts: wholeNumbers("context", values.context),
    prefills: wholeNumbers("prefill", values.prefill),
    tokens: wholeNumber("tokens", values.tokens),
    threads: wholeNumber("threads", values.threads),
    rounds: values.quick ? 1 : wholeNumber("rounds", values.rounds),
    repeat: !values.quick,
    floor: Number(values.floor),
    json: values.json,
  };
}

const WARM_UP = "warm-up";
const AGREEMENT = "agreement";

/** @returns {import("./lib/child.mjs").Run[]} */
function plan({ shape, contexts, prefills, tokens }) {
  const { vocabulary } = SHAPES[shape];
  const prompt = (length) => randomPrompt(length, length, vocabulary);
  const decodes = contexts.map((length) => ({
    name: `context ${length}`,
    prompt: prompt(length),
    generate: tokens + 1,
  }));
  const others = prefills
    .filter((length) => !contexts.includes(length))
    .map((length) => ({ name: `prompt ${length}`, prompt: prompt(length), generate: 1 }));
  return [
    { name: WARM_UP, prompt: randomPrompt(64, 1, vocabulary), generate: 8 },
    ...decodes,
    ...others,
    { name: AGREEMENT, prompt: prompt(contexts[0]), generate: 1, top: 40 },
  ];
}

/** Rows of the table: key, what it says, and both engines' values. `ratio` above 1 is where Sluice is the better one. */
function measures(runs, results) {
  const row = (key, label, measure, better = "more") => {
    const values = Object.fromEntries(Object.entries(results).map(([engine, all]) => [engine, measure(all)]));
    const ratio = median(values.sluice) / median(values["llama.cpp"]);
    return { key, label, values, ratio: better === "more" ? ratio : 1 / ratio };
  };
  const timed = runs.filter(({ name }) => name !== WARM_UP && name !== AGREEMENT);
  const rate = (kind, run, measure) =>
    row(`${kind}@${run.prompt.length}`, `${kind} at ${run.prompt.length}, tokens/s`, (all) =>
      collect(all, run.name, measure),
    );
  const coldStart = ({ loadMs, runs: [warmUp] }) => (loadMs + warmUp.prefillMs) / 1000;
  return [
    ...timed.filter(({ generate }) => generate > 1).map((run) => rate("decode", run, decodeRate)),
    ...timed.map((run) => rate("prefill", run, prefillRate)),
    row("load", "load, s", (all) => all.map(({ loadMs }) => loadMs / 1000), "less"),
    row("cold", "load and first token of 64, s", (all) => all.map(coldStart), "less"),
    ...timed.map(({ name, prompt: { length } }) =>
      row(
        `first@${length}`,
        `first token of ${length}, s`,
        (all) => collect(all, name, ({ prefillMs }) => prefillMs / 1000),
        "less",
      ),
    ),
    row("memory", "peak resident memory, MB", (all) => all.map(({ peakBytes }) => peakBytes / 1e6), "less"),
  ];
}

/** Bytes of weights, states and cache that decoding at this length reads a second: key, label, gigabytes per engine. */
function readRates(rows, shape, format) {
  const { weights, cache } = bytesPerToken(shape, format);
  return rows
    .filter(({ key }) => key.startsWith("decode@"))
    .map(({ key, values }) => {
      const length = Number(key.slice("decode@".length));
      const bytes = weights + cache * length;
      const gigabytes = Object.entries(values).map(([engine, rates]) => [engine, (bytes * median(rates)) / 1e9]);
      return { key, label: `decode at ${length} reads, GB/s`, gigabytes: Object.fromEntries(gigabytes) };
    });
}

async function benchFormat(format, options) {
  const { shape, threads, rounds, repeat } = options;
  const model = makeModel(shape, format);
  warmPageCache(model);
  const runs = plan(options);
  const contextSize = Math.max(...runs.map(({ prompt, generate }) => prompt.length + generate)) + 32;
  const results = await compare({ model, threads, contextSize, runs, repeat }, rounds, `${shape} ${format}`);
  const rows = measures(runs, results);
  const top = Object.values(results).map((all) => all[0].runs.find(({ name }) => name === AGREEMENT).top);
  const others = Object.values(results).flatMap((all) => all.map((result) => result.others));
  return {
    shape,
    format,
    rows,
    reads: readRates(rows, shape, format),
    agreement: agreement(top[0], top[1]),
    others: summariseOthers(others, threads),
  };
}

function print({ shape, format, rows, reads, agreement: agreed, others }) {
  const lines = rows.map(({ label, values, ratio }) => [
    label,
    spread(values.sluice),
    spread(values["llama.cpp"]),
    figure(ratio),
  ]);
  for (const { label, gigabytes } of reads)
    lines.push([label, figure(gigabytes.sluice), figure(gigabytes["llama.cpp"]), ""]);
  const head = [`${shape} ${format}`, "Sluice", "llama.cpp", "ratio, more is better"];
  process.stdout.write(`\n${table(head, lines)}`);
  process.stdout.write(
    `next token: the likeliest is ${agreed.sameFirst ? "the same" : "different"}; of llama.cpp's ${agreed.of} likeliest ` +
      `${agreed.shared} are among ours, log-probabilities differ by ${figure(agreed.meanDifference)} on average, ` +
      `${figure(agreed.maxDifference)} at most${agreed.sane ? "" : ": NOT THE SAME MODEL"}\n`,
  );
  process.stdout.write(others.line);
}

const options = readJobOptions();
const reports = [];
for (const format of options.formats) {
  const report = await benchFormat(format, options);
  print(report);
  reports.push(report);
}
const slow = reports.flatMap(({ format, rows }) =>
  rows
    .filter(({ key, ratio }) => key.startsWith("decode@") && !(ratio >= options.floor))
    .map(({ label }) => `${format} ${label}`),
);
const disturbed = reports.some(({ others }) => others.disturbed);
process.stdout.write(
  slow.length === 0
    ? `\nDecode speed is at least ${options.floor} of llama.cpp's everywhere${disturbed ? ", on a disturbed machine" : ""}.\n`
    : `\nBelow ${options.floor} of llama.cpp: ${slow.join("; ")}\n`,
);
saveJson(options.json, { options, disturbed, reports });
process.exitCode = slow.length === 0 && reports.every(({ agreement: { sane } }) => sane) ? 0 : 1;
