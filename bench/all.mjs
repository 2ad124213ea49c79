/**
 * The whole benchmark: what the machine is, then every part in turn, each a process of its own that prints its tables, then
 * the table of what must be reached, one JSON file of all figures, and the plot of speed against context length.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { evidenceTable, kindName, withRun, withTable } from "./lib/evidence.mjs";
import { GOAL_MISSED, GOALS, judge, kindOf, readShares } from "./lib/goals.mjs";
import { readOptions, usageError } from "./lib/options.mjs";
import { plotSpeed } from "./lib/plot.mjs";
import { figure, machine, saveJson, table } from "./lib/report.mjs";

/** Other architectures than llama, in both formats. */
const FAMILY = ["--formats", "f32,q8_0"];

/** What the figures are of; runs first, whatever the parts are. */
const MACHINE = { script: "machine", args: [], quick: false };

/** Parts in their order: script, options, whether --quick has it, and whether --models runs it alone. */
const PARTS = {
  kernels: { script: "kernels", args: [], quick: true },
  small: { script: "small", args: [], quick: true },
  "decode-1.1b-q4_k_m": { script: "decode", args: ["--formats", "q4_k_m"], quick: true },
  "decode-1.1b": { script: "decode", args: ["--formats", "q8_0,q4_0"], quick: true },
  endless: { script: "endless", args: [], quick: true },
  length: { script: "length", args: [], quick: true },
  bits: { script: "bits", args: [], quick: false },
  "decode-1.1b-q4_k": { script: "decode", args: ["--formats", "q4_k", "--rounds", "2"], quick: false },
  "decode-0.5b": { script: "decode", args: ["--shape", "0.5b", "--rounds", "2"], quick: false },
  "decode-neox-160m": { script: "decode", args: [...FAMILY, "--shape", "neox-160m"], quick: false, models: true },
  "decode-mamba-130m": {
    script: "decode",
    args: [...FAMILY, "--shape", "mamba-130m", "--prefill", "512,2048"],
    quick: false,
    models: true,
  },
  million: { script: "million", args: [], quick: false },
};

const HELP = `Usage: npm run bench [-- options]

  --quick          fewer rounds, shorter contexts, no repeats: at most 5 minutes; the whole takes up to 30
  --models         other architectures alone: decode-neox-160m and decode-mamba-130m
  --parts LIST     of ${Object.keys(PARTS).join(", ")}
  --plot FILE      SVG of speed against context length (bench/results/speed.svg)
  --docs           results into docs/evidence.md, beside those of other kinds of machine, and the plot into docs/speed.svg
  --json FILE      all figures (bench/results/all.json)

The first lines say what the machine is. SLUICE_FORM in the environment forces forms (CONTRIBUTING.md). The exit code is 1 when a part broke down or failed by its own limits, or a figure that must be reached was missed.
`;

const inFolder = (path) => fileURLToPath(new URL(path, import.meta.url));

function readRunOptions() {
  const values = readOptions(HELP, {
    quick: { type: "boolean", default: false },
    models: { type: "boolean", default: false },
    parts: { type: "string" },
    plot: { type: "string" },
    docs: { type: "boolean", default: false },
  });
  const has = ({ quick, models = false }) => (values.models ? models : !values.quick || quick);
  const all = Object.keys(PARTS).filter((name) => has(PARTS[name]));
  const names = values.parts?.split(",") ?? all;
  const unknown = names.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) usageError(`--parts: there is no '${unknown}'; expected ${Object.keys(PARTS).join(", ")}`);
  return {
    quick: values.quick,
    names,
    docs: values.docs,
    plot: values.plot ?? inFolder(values.docs ? "../docs/speed.svg" : "results/speed.svg"),
    json: values.json ?? inFolder("results/all.json"),
  };
}

/** Runs one part. @returns its figures and how it ended, or undefined when it left none */
function runPart(name, quick) {
  const { script, args, quick: hasQuick, models = false } = PARTS[name] ?? MACHINE;
  const file = inFolder(`results/${name}.json`);
  rmSync(file, { force: true });
  process.stdout.write(`\n== ${name}\n`);
  const start = performance.now();
  const all = [
    inFolder(`${script}.mjs`),
    ...args,
    ...(quick && (hasQuick || models) ? ["--quick"] : []),
    "--json",
    file,
  ];
  const { status } = spawnSync(process.execPath, all, { stdio: "inherit" });
  const seconds = (performance.now() - start) / 1000;
  // Null: the system could not start it, or a signal ended it.
  const end = status === null ? "a signal" : `status ${status}`;
  if (!existsSync(file)) {
    process.stdout.write(`${name} ended with ${end} and no figures\n`);
    return undefined;
  }
  return { seconds, status, end, ...JSON.parse(readFileSync(file, "utf8")) };
}

/** Nothing where a figure could not be had. */
const shown = (value) => (Number.isFinite(value) ? figure(value) : "");

function printGoals(goals) {
  const goal = (value) => (value === undefined ? "" : String(value));
  const lines = goals.map(({ label, value, must, aim, verdict, disturbed }) => [
    label,
    shown(value),
    goal(must),
    goal(aim),
    [verdict, disturbed && verdict !== "not measured" ? "other processes disturbed it" : ""]
      .filter(Boolean)
      .join(", but "),
  ]);
  const head = [
    "Sluice / llama.cpp, 1.1B parameters unless another model is named",
    "measured",
    "goal",
    "hoped for",
    "verdict",
  ];
  process.stdout.write(`\n${table(head, lines)}`);
}

function printShares(shares) {
  const lines = shares.map(({ what, gigabytes, share }) => [
    what,
    ...["sluice", "llama.cpp"].flatMap((engine) => [figure(gigabytes[engine]), shown(share[engine])]),
  ]);
  const head = ["memory read in decode", "Sluice GB/s", "of the machine's", "llama.cpp GB/s", "of the machine's"];
  process.stdout.write(`\n${table(head, lines)}`);
}

/** The results of this run into docs/, beside those of other kinds of machine. */
function writeDocs() {
  const [kept, page] = ["../docs/speed-results.json", "../docs/evidence.md"].map(inFolder);
  const results = withRun(existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : {}, facts, goals, date);
  const labels = GOALS.map(({ label }) => label);
  writeFileSync(kept, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(page, withTable(readFileSync(page, "utf8"), evidenceTable(results, labels, GOAL_MISSED)));
  process.stdout.write(`results: ${page}\n`);
}

const options = readRunOptions();
mkdirSync(inFolder("results"), { recursive: true });
const facts = runPart("machine", false);
if (!facts && process.env.SLUICE_FORM !== undefined) {
  process.stderr.write("Nothing was run: SLUICE_FORM in the environment cannot be had here (see above).\n");
  process.exit(2);
}
const figures = facts ? { machine: facts } : {};
const broken = facts ? [] : ["machine"];
for (const name of options.names) {
  const part = runPart(name, options.quick);
  if (part) figures[name] = part;
  else broken.push(name);
}

/** Which musts this machine has, in words. */
const MUSTS = {
  table: "256-bit vectors without AVX-VNNI: the goals of the table hold",
  bits: "AVX-VNNI, or forms forced: the goal is what 256 bits bring over 128 in prefill; ratios beside llama.cpp are shown",
  none: "no 256-bit vectors: ratios beside llama.cpp are shown, without goals",
};

const goals = judge(figures).filter(({ part }) => options.names.includes(part));
const { cpu, cores, node, date } = machine();
const of = facts ? `${kindName(facts)}, ${cores} cores` : `${cpu}, ${cores} cores, Node ${node}`;
process.stdout.write(`\n== Result: ${of}, ${date}\n${MUSTS[kindOf(facts)]}\n`);
printGoals(goals);
const shares = readShares(figures);
if (shares.length > 0) printShares(shares);
const times = Object.entries(figures).map(([name, { seconds }]) => `${name} ${seconds.toFixed(0)}`);
process.stdout.write(`\nseconds: ${times.join(", ")}\n`);
if (figures.length) {
  await plotSpeed(options.plot, figures.length);
  process.stdout.write(`plot: ${options.plot}\n`);
}
if (options.docs && facts) writeDocs();
saveJson(options.json, { quick: options.quick, goals, shares, parts: figures });
process.stdout.write(`all figures: ${options.json}\n`);
// A part also judges what is no figure here, such as whether both engines still compute the same model.
const failed = Object.entries(figures).filter(([, { status }]) => status !== 0);
if (broken.length > 0) process.stdout.write(`NO FIGURES FROM: ${broken.join(", ")}\n`);
if (failed.length > 0) {
  process.stdout.write(
    `FAILED (see there why): ${failed.map(([name, { end }]) => `${name} with ${end}`).join(", ")}\n`,
  );
}
const missed = goals.some(({ verdict }) => verdict === GOAL_MISSED);
process.exitCode = broken.length > 0 || failed.length > 0 || missed ? 1 : 0;
