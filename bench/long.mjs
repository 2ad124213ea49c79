/**
 * Long caches: the 1.1B model in Q4_0 decodes behind 8,192, 32,768 and 131,072 tokens, under policies that keep or read less
 * than everything, beside llama.cpp with caches of f16 and q8_0. Nothing reads those texts: both engines' caches are filled
 * (lib/fill-cache.mjs, lib/made-states.mjs), since a token's cost depends on how much is cached and not on what. Every run has a
 * process of its own, so that one cache at a time is in memory; rows take turns, and the order changes from round to round.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startEngine, startProcess } from "./lib/child.mjs";
import { decodeRate, undisturbed } from "./lib/compare.mjs";
import { kindName, withTable } from "./lib/evidence.mjs";
import { alternatingGates } from "./lib/gates.mjs";
import { GOAL_MISSED } from "./lib/goals.mjs";
import { cost, judgeLong, LONG_MARKS, LONG_ROWS, longEvidence } from "./lib/long-report.mjs";
import { madeStates } from "./lib/made-states.mjs";
import { readOptions, usageError, wholeNumber, wholeNumbers } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { plotLong } from "./lib/plot-long.mjs";
import { figure, machine, saveJson, spread, table } from "./lib/report.mjs";
import { makeModel, randomPrompt, SHAPES, warmPageCache } from "./make-model.mjs";

const SHAPE = "1.1b";
const FORMAT = "q4_0";
/** Tokens before those that are timed: the caches are touched, the kernels optimised. */
const WARM_UP_TOKENS = 4;
/** Fewer tokens are timed where these pass, but two at least. */
const LONGEST_MS = 15_000;
/** A row that takes longer for a round, caches and warm-up included, has no further ones at this length. */
const LONGEST_ROUND_MS = 60_000;

const HELP = `Usage: npm run bench -- long [options]

  --lengths LIST   tokens that are cached, ascending (8192,32768,131072)
  --rows LIST      names of rows (all): ${LONG_ROWS.map(({ name }) => name).join(" | ")}; between semicolons
  --tokens N       tokens that are timed in a run (16)
  --threads N      threads of each engine (2)
  --rounds N       rounds; medians are shown (3)
  --prepare        only makes what is kept in bench/cache: the model and llama.cpp's caches
  --quick          8,192 alone, one round, not repeated when disturbed
  --plot FILE      SVG of decode speed and of cache bytes against length (bench/results/long.svg)
  --docs           table and verdicts into docs/evidence.md, the plot into docs/long.svg
  --json FILE      all figures (bench/results/long.json)

At most 20 minutes once the caches of llama.cpp lie in bench/cache (7 GB). The machine needs 8 GB of memory for 131,072 tokens.
The exit code is 1 when a goal was missed; goals beside llama.cpp hold with 256-bit vectors and without AVX-VNNI.
`;

const inFolder = (path) => fileURLToPath(new URL(path, import.meta.url));

function readLongOptions() {
  const values = readOptions(HELP, {
    lengths: { type: "string" },
    rows: { type: "string" },
    tokens: { type: "string", default: "16" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    prepare: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    plot: { type: "string" },
    docs: { type: "boolean", default: false },
  });
  const names = values.rows?.split(";").map((name) => name.trim());
  const unknown = names?.find((name) => !LONG_ROWS.some((row) => row.name === name));
  if (unknown !== undefined) usageError(`--rows: there is no '${unknown}'`);
  return {
    lengths: wholeNumbers("lengths", values.lengths ?? (values.quick ? "8192" : "8192,32768,131072")),
    rows: LONG_ROWS.filter(({ name }) => names?.includes(name) ?? true),
    tokens: wholeNumber("tokens", values.tokens),
    threads: wholeNumber("threads", values.threads),
    rounds: values.quick ? 1 : wholeNumber("rounds", values.rounds),
    repeat: !values.quick,
    prepare: values.prepare,
    docs: values.docs,
    plot: values.plot ?? inFolder(values.docs ? "../docs/long.svg" : "results/long.svg"),
    json: values.json ?? inFolder("results/long.json"),
  };
}

/** What the figures are of: the first lines of every benchmark. */
function machineFacts() {
  const file = inFolder("results/machine.json");
  spawnSync(process.execPath, [inFolder("machine.mjs"), "--json", file], { stdio: "inherit" });
  if (!existsSync(file)) throw new Error("the machine could not be looked at (see above)");
  return JSON.parse(readFileSync(file, "utf8"));
}

const options = readLongOptions();
const { lengths, rows, tokens, threads, rounds, repeat } = options;
mkdirSync(inFolder("results"), { recursive: true });
const facts = machineFacts();
const model = makeModel(SHAPE, FORMAT);
warmPageCache(model);
const { vocabulary } = SHAPES[SHAPE];
const prompt = randomPrompt(64, 1, vocabulary);

/** By row and length: files of llama.cpp's states. */
async function peerStates() {
  const states = new Map();
  for (const row of rows.filter(({ peer }) => peer)) {
    const setup = { model, threads, kv: row.kv, vocabulary };
    for (const state of await madeStates(setup, lengths)) states.set(`${row.name} ${state.length}`, state);
  }
  return states;
}

/** One run in a process of its own. @returns its figures, or `refused` */
async function runOnce(row, length, state) {
  const start = performance.now();
  const setup = { model, threads, contextSize: length + WARM_UP_TOKENS + tokens + 64, kv: row.kv };
  const gates = row.gated && { half: alternatingGates(SHAPES[SHAPE]) };
  const engine = row.peer
    ? await startEngine("llama.cpp", setup)
    : await startProcess("sluice", "../engines/sluice-long.mjs", {
        ...setup,
        context: row.context,
        gates,
        length,
        prompt,
      });
  const warmUp = { name: "warm-up", prompt: [prompt[1]], generate: WARM_UP_TOKENS, ...(state && { restore: state }) };
  const first = await engine.run(warmUp);
  const count = Math.max(2, Math.min(tokens, Math.floor((LONGEST_MS * decodeRate(first)) / 1000)));
  const timed = first.refused
    ? first
    : await engine.run({ name: `decode at ${length}`, keep: true, prompt: [], generate: count + 1 });
  const usage = await engine.end();
  const cacheBytes = state?.bytes ?? timed.cacheBytes;
  return { ...timed, cacheBytes, wallMs: performance.now() - start, cpuMs: usage.cpuMs };
}

/** All rows of a length in turn. */
async function measureLength(length, states) {
  const runs = new Map(rows.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const row of round % 2 === 1 ? [...rows].reverse() : rows) {
      const last = runs.get(row.name).at(-1);
      if (last?.refused || last?.wallMs > LONGEST_ROUND_MS) continue;
      process.stderr.write(`${length} tokens: round ${round + 1} of ${rounds}, ${row.name} ...\n`);
      const state = states.get(`${row.name} ${length}`);
      runs.get(row.name).push(await undisturbed(() => runOnce(row, length, state), { threads, repeat }));
    }
  }
  return rows.map(({ name }) => {
    const all = runs.get(name);
    const [{ refused, cacheBytes, read }] = all;
    const others = all.map((run) => run.others);
    if (refused) return { name, length, refused, others };
    return { name, length, rates: all.map(decodeRate), cacheBytes, read, others };
  });
}

function printLength(length, measured) {
  const peer = measured.find(({ name }) => name === "llama.cpp f16");
  const lines = measured.map((row) => {
    if (row.refused) return [row.name, "refused", "", "", "", ""];
    return [
      row.name,
      spread(row.rates),
      figure(cost(row)),
      peer?.rates ? figure(cost(peer) / cost(row)) : "",
      figure(row.cacheBytes / 1e6),
      String(row.read ?? ""),
    ];
  });
  const head = [`${length} tokens`, "tokens/s", "ms/token", "x llama.cpp f16", "cache MB", "read"];
  process.stdout.write(`\n${table(head, lines)}`);
  for (const { name, refused } of measured) {
    if (refused) process.stdout.write(`${name}: ${refused.split("\n")[0]}\n`);
  }
  process.stdout.write(
    summariseOthers(
      measured.flatMap(({ others }) => others),
      threads,
    ).line,
  );
}

const states = await peerStates();
if (options.prepare) process.exit(0);
const measured = [];
for (const length of lengths) {
  const all = await measureLength(length, states);
  printLength(length, all);
  measured.push(...all);
}

const goals = judgeLong(measured, facts);
const shown = (value) => (Number.isFinite(value) ? figure(value) : "");
const lines = goals.map(({ label, value, must, aim, verdict }) => [
  label,
  shown(value),
  String(must ?? ""),
  String(aim ?? ""),
  verdict,
]);
process.stdout.write(`\n${table(["goal", "measured", "must", "hoped for", "verdict"], lines)}`);
const busy = summariseOthers(
  measured.flatMap(({ others }) => others),
  threads,
);
const about = { shape: SHAPE, format: FORMAT, threads, rounds, tokens, node: facts.node };
if (measured.some(({ rates }) => rates)) {
  await plotLong(options.plot, about, measured);
  process.stdout.write(`plot: ${options.plot}\n`);
}
if (options.docs) {
  const page = inFolder("../docs/evidence.md");
  const { date } = machine();
  const text = longEvidence(measured, goals, { ...about, kind: kindName(facts), date, disturbed: busy.disturbed });
  writeFileSync(page, withTable(readFileSync(page, "utf8"), text, LONG_MARKS));
  process.stdout.write(`results: ${page}\n`);
}
saveJson(options.json, { ...about, facts, disturbed: busy.disturbed, goals, rows: measured });
process.exitCode = goals.some(({ verdict }) => verdict === GOAL_MISSED) ? 1 : 0;
