/**
 * Steps of training (forward, backward, AdamW) of a llama of about a million parameters, in Sluice and written in
 * @jax-js/jax on its wasm backend: tokens per second of both, and what Sluice's matrix products reach of the rate that the
 * f32 product has alone. Both start from the same weights and read the same data, so their losses must be the same.
 */

import { startProcess } from "./lib/child.mjs";
import { undisturbed } from "./lib/compare.mjs";
import { readOptions, usageError, wholeNumber } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { LINEAR_LINE, runScript } from "./lib/scripts.mjs";
import { ADAMW, SHAPE } from "./lib/training.mjs";

/** Sluice over jax as Node runs it, at least. */
const LEAST_RATIO = 3;
/** Rate of a step's matrix products over that of the f32 product alone, at least. */
const LEAST_SHARE = 0.5;
/** Losses of the same step differ by less, relatively: the sides round differently, and steps carry that on. */
const LOSS_TOLERANCE = 0.01;

/** Sides by the names that --engines takes; `threads` of each is what was asked for, or 1. */
const SIDES = {
  sluice: { script: "../engines/sluice-trainer.mjs", threaded: true },
  jax: { script: "../engines/jax-trainer.mjs", threaded: false },
  "jax-threads": { script: "../engines/jax-trainer.mjs", threaded: true },
};

const HELP = `Usage: npm run bench -- --train [options]

  --engines LIST   of ${Object.keys(SIDES).join(", ")} (all). Node has no Worker, so jax computes on one
                   thread; jax-threads lends it one
  --threads N      threads of sluice and jax-threads (2)
  --steps N        steps timed in each round (8)
  --warm-up N      steps before them (3)
  --rounds N       rounds, each in fresh processes; medians are shown (3)
  --quick          one round, not repeated when disturbed
  --json FILE      all figures
`;

function readTrainOptions() {
  const values = readOptions(HELP, {
    engines: { type: "string", default: Object.keys(SIDES).join() },
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "8" },
    "warm-up": { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    quick: { type: "boolean", default: false },
  });
  const names = values.engines.split(",");
  const unknown = names.find((name) => !Object.hasOwn(SIDES, name));
  if (unknown !== undefined)
    usageError(`--engines: there is no '${unknown}'; expected ${Object.keys(SIDES).join(", ")}`);
  return {
    names,
    threads: wholeNumber("threads", values.threads),
    steps: wholeNumber("steps", values.steps),
    warmUp: wholeNumber("warm-up", values["warm-up"]),
    rounds: values.quick ? 1 : wholeNumber("rounds", values.rounds),
    repeat: !values.quick,
    json: values.json,
  };
}

const options = readTrainOptions();
const threadsOf = (name) => (SIDES[name].threaded ? options.threads : 1);

/** One side in a fresh process. */
async function train(name) {
  const setup = { shape: SHAPE, adamW: ADAMW, seed: 1, threads: threadsOf(name) };
  const side = await startProcess(name, SIDES[name].script, setup);
  const warm = await side.run({ name: "warm-up", first: 0, steps: options.warmUp });
  const timed = await side.run({ name: "timed", first: options.warmUp, steps: options.steps });
  return { ...timed, losses: [...warm.losses, ...timed.losses], ...(await side.end()) };
}

/** GFLOPS of the f32 product alone, its weights in the cache, on as many threads as Sluice has. */
async function bareRate() {
  const args = ["--formats", "f32", "--tokens", "64", "--threads", String(options.threads)];
  const [row] = await runScript("bench-linear.mjs", args, LINEAR_LINE);
  return row.gflops;
}

/** Every side in turn, the order changing from round to round. */
async function measure() {
  const results = Object.fromEntries(options.names.map((name) => [name, []]));
  const bare = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const name of round % 2 === 1 ? [...options.names].reverse() : options.names) {
      process.stderr.write(`training: round ${round + 1} of ${options.rounds}, ${name} ...\n`);
      const work = { threads: threadsOf(name), repeat: options.repeat };
      results[name].push(await undisturbed(() => train(name), work));
    }
    if (results.sluice) bare.push(await bareRate());
  }
  return { results, bare };
}

const rate = ({ tokensPerSecond }) => tokensPerSecond;

function printSpeed(results) {
  const own = results.sluice && median(results.sluice.map(rate));
  const lines = Object.entries(results).map(([name, all]) => [
    name,
    String(threadsOf(name)),
    spread(all.map(rate)),
    figure((SHAPE.batch * SHAPE.sequence * 1000) / median(all.map(rate))),
    figure(Math.max(...all.map(({ peakBytes }) => peakBytes)) / 2 ** 20),
    all[0].losses.at(-1).toFixed(3),
    own && name !== "sluice" ? figure(own / median(all.map(rate))) : "",
  ]);
  const head = ["training, f32", "threads", "tokens/s", "ms/step", "peak MiB", "last loss", "Sluice over it"];
  process.stdout.write(`\n${table(head, lines)}`);
}

/** Largest relative difference between the losses of the same step, over all pairs of sides. */
function lossDifference(results) {
  const [first, ...others] = Object.values(results).map((all) => all[0].losses);
  return Math.max(0, ...others.flatMap((losses) => losses.map((loss, i) => Math.abs(loss / first[i] - 1))));
}

/** Each thing that must hold: what was measured, and whether it does. */
function judge({ results, bare }) {
  const difference = lossDifference(results);
  const verdicts = [
    {
      label: "losses of the same step, largest relative difference (at most)",
      value: difference,
      most: LOSS_TOLERANCE,
    },
  ];
  if (!results.sluice) return verdicts;
  if (results.jax) {
    const ratio = median(results.sluice.map(rate)) / median(results.jax.map(rate));
    verdicts.push({ label: "tokens/s of Sluice over jax's", value: ratio, least: LEAST_RATIO });
  }
  const products = results.sluice.map(({ productFlopsPerStep: flops, productSeconds: s }) => flops / s / 1e9);
  const share = median(products) / median(bare);
  process.stdout.write(
    `\nmatrix products of a step: ${spread(products)} GFLOPS; the f32 product alone: ${spread(bare)} GFLOPS\n`,
  );
  return [...verdicts, { label: "share of the f32 product's rate alone", value: share, least: LEAST_SHARE }];
}

const measured = await measure();
const { results, bare } = measured;
printSpeed(results);
const verdicts = judge(measured).map((one) => ({
  ...one,
  // A figure that could not be had is missed.
  met: one.most === undefined ? one.value >= one.least : one.value <= one.most,
}));
const lines = verdicts.map(({ label, value, most, least, met }) => [
  label,
  figure(value),
  String(most ?? least),
  met ? "goal reached" : "goal not reached",
]);
process.stdout.write(`\n${table(["", "measured", "goal", "verdict"], lines)}`);
const busy = Object.entries(results).map(([name, all]) => ({
  name,
  ...summariseOthers(
    all.map(({ others }) => others),
    threadsOf(name),
  ),
}));
for (const { name, line } of busy) process.stdout.write(`${name}: ${line}`);
if (Number(process.versions.node.split(".")[0]) < 24) {
  process.stdout.write(`The goals are for Node 24 and later; this is ${process.version}.\n`);
}
const disturbed = busy.some((one) => one.disturbed);
saveJson(options.json, { shape: SHAPE, adamW: ADAMW, options, disturbed, verdicts, bare, results });
process.exitCode = verdicts.every(({ met }) => met) ? 0 : 1;
