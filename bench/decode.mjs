/**
 * Sluice beside llama.cpp on the same 1.1B model file: decode tokens/s after 256 tokens of context, prefill tokens/s.
 * Both engines in turn, each in its own process, several rounds, medians.
 */

import { agreement, collect, compare, decodeRate, prefillRate } from "./lib/compare.mjs";
import { readOptions, wholeNumber, wholeNumbers } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { randomBits } from "./lib/random-blocks.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { makeModel, SHAPE } from "./make-model.mjs";

const HELP = `Usage: npm run bench -- decode [options]

  --formats LIST   q8_0,q4_0 (both)
  --context LIST   tokens of context at which decoding is timed (256)
  --prefill LIST   prompt lengths of which only the prefill is timed (512)
  --tokens N       tokens decoded after the first (32)
  --threads N      threads of each engine (2)
  --rounds N       rounds; medians are shown (3)
  --floor R        least ratio of decode speeds; below it the exit code is 1 (0.5)
  --quick          one round, no prefill beside the contexts
  --json FILE      all figures
`;

function readJobOptions() {
  const values = readOptions(HELP, {
    formats: { type: "string", default: "q8_0,q4_0" },
    context: { type: "string", default: "256" },
    prefill: { type: "string", default: "512" },
    tokens: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    floor: { type: "string", default: "0.5" },
    quick: { type: "boolean", default: false },
  });
  return {
    formats: values.formats.split(","),
    contexts: wholeNumbers("context", values.context),
    prefills: values.quick ? [] : wholeNumbers("prefill", values.prefill),
    tokens: wholeNumber("tokens", values.tokens),
    threads: wholeNumber("threads", values.threads),
    rounds: values.quick ? 1 : wholeNumber("rounds", values.rounds),
    floor: Number(values.floor),
    json: values.json,
  };
}

/** The start token, then ordinary tokens at random. */
function randomPrompt(length, seed) {
  const next = randomBits(seed);
  const firstWord = 259;
  return Array.from({ length }, (_, i) => (i === 0 ? 1 : firstWord + (next() % (SHAPE.vocabulary - firstWord))));
}

/** @returns {import("./lib/child.mjs").Run[]} */
function plan({ contexts, prefills, tokens }) {
  const decodes = contexts.map((length, index) => ({
    name: `context ${length}`,
    prompt: randomPrompt(length, length),
    generate: tokens + 1,
    ...(index === 0 ? { top: 40 } : {}),
  }));
  const others = prefills
    .filter((length) => !contexts.includes(length))
    .map((length) => ({ name: `prompt ${length}`, prompt: randomPrompt(length, length), generate: 1 }));
  return [{ name: "warm-up", prompt: randomPrompt(64, 1), generate: 8 }, ...decodes, ...others];
}

function measures(runs, results) {
  const both = (measure) => Object.fromEntries(Object.entries(results).map(([engine, all]) => [engine, measure(all)]));
  const rate = (label, kind, run, measure) => ({
    label,
    kind,
    values: both((all) => collect(all, run.name, measure)),
  });
  const timed = runs.filter(({ name }) => name !== "warm-up");
  return [
    ...timed
      .filter(({ generate }) => generate > 1)
      .map((run) => rate(`decode at ${run.prompt.length}, tokens/s`, "decode", run, decodeRate)),
    ...timed.map((run) => rate(`prefill of ${run.prompt.length}, tokens/s`, "prefill", run, prefillRate)),
    { label: "load, s", kind: "load", values: both((all) => all.map(({ loadMs }) => loadMs / 1000)) },
    { label: "peak resident memory, MB", kind: "memory", values: both((all) => all.map((r) => r.peakBytes / 1e6)) },
  ].map((row) => ({ ...row, ratio: median(row.values.sluice) / median(row.values["llama.cpp"]) }));
}

async function benchFormat(format, options) {
  const model = makeModel(format);
  const runs = plan(options);
  const contextSize = Math.max(...runs.map(({ prompt, generate }) => prompt.length + generate)) + 32;
  const results = await compare({ model, threads: options.threads, contextSize, runs }, options.rounds, format);
  const rows = measures(runs, results);
  const top = Object.values(results).map((all) => all[0].runs.find((run) => run.top).top);
  const others = Object.values(results).flatMap((all) => all.map((result) => result.others));
  return { format, rows, agreement: agreement(top[0], top[1]), others: summariseOthers(others, options.threads) };
}

function print({ format, rows, agreement: agreed, others }) {
  const lines = rows.map(({ label, values, ratio }) => [
    label,
    spread(values.sluice),
    spread(values["llama.cpp"]),
    figure(ratio),
  ]);
  process.stdout.write(`\n${table([`1.1B ${format}`, "Sluice", "llama.cpp", "ratio"], lines)}`);
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
    .filter(({ kind, ratio }) => kind === "decode" && !(ratio >= options.floor))
    .map(({ label }) => `${format} ${label}`),
);
const disturbed = reports.some(({ others }) => others.disturbed);
process.stdout.write(
  slow.length === 0
    ? `\nDecode speed is at least ${options.floor} of llama.cpp's everywhere${disturbed ? ", on a disturbed machine" : ""}.\n`
    : `\nBelow ${options.floor} of llama.cpp: ${slow.join("; ")}\n`,
);
saveJson(options.json, { options, reports });
process.exitCode = slow.length === 0 && reports.every(({ agreement: { sane } }) => sane) ? 0 : 1;
