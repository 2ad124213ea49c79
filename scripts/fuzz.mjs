/**
 * `npm run fuzz -- [KIND ...] [--count 20000] [--seed 1] [--processes 2] [--only KIND:INDEX] [--json]`: mutated inputs of each
 * kind (GGUF, safetensors, config.json, tokenizer.json, templates, snapshots, checkpoints of training, options of calls), in
 * processes that are watched. Each must end well or with a typed error, within five seconds of processor time and 1 GiB. What
 * does not is listed once for each place in the code, with the case that shows it; the exit code is then 1. Run the build first.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { KINDS } from "./fuzz/cases.mjs";
import { runJobs } from "./fuzz/pool.mjs";

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    processes: { type: "string", default: String(Math.min(2, availableParallelism())) },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
/** Cases that one process runs in a row. */
const STRETCH = 2500;
const kinds = positionals.length > 0 ? positionals : KINDS;
const unknown = kinds.find((kind) => !KINDS.includes(kind));
if (unknown !== undefined) {
  console.error(`There is no kind "${unknown}"; there are ${KINDS.join(", ")}.`);
  process.exit(2);
}

const counts = new Map();
const faults = new Map();
const started = performance.now();
const say = (text) => process.stderr.write(text);

function jobs() {
  const { seed, only } = given;
  if (only !== undefined) {
    const [kind, index] = only.split(":");
    return [{ kind, seed, from: Number(index), to: Number(index) + 1 }];
  }
  const count = Number(given.count);
  return kinds.flatMap((kind) =>
    Array.from({ length: Math.ceil(count / STRETCH) }, (_, i) => ({
      kind,
      seed,
      from: i * STRETCH,
      to: Math.min(count, (i + 1) * STRETCH),
    })),
  );
}

function countOf(kind) {
  if (!counts.has(kind)) counts.set(kind, { cases: 0, refused: 0, faults: 0, begun: performance.now(), seconds: 0 });
  return counts.get(kind);
}

await runJobs(jobs(), Number(given.processes), {
  progress(kind, count) {
    const of = countOf(kind);
    of.cases += count;
    of.seconds = (performance.now() - of.begun) / 1000;
    if (of.cases % 500 === 0) say(`${kind}: ${of.cases} cases, ${of.faults} faults, ${of.seconds.toFixed(0)} s\n`);
  },
  refused(kind) {
    countOf(kind).refused += 1;
  },
  fault(fault) {
    countOf(fault.kind).faults += 1;
    const key = `${fault.kind} ${fault.what} ${fault.at}${/^(hang|memory|crash)$/.test(fault.what) ? fault.index : ""}`;
    const known = faults.get(key);
    if (known) known.times += 1;
    else {
      faults.set(key, {
        ...fault,
        times: 1,
        again: `npm run fuzz -- --seed ${fault.seed} --only ${fault.kind}:${fault.index}`,
      });
      say(`${fault.kind}:${fault.index} ${fault.what}: ${fault.message}\n  ${fault.at}\n`);
    }
  },
});

const seconds = (performance.now() - started) / 1000;
const list = [...faults.values()];
if (given.json) {
  const byKind = Object.fromEntries(
    [...counts].map(([kind, { cases, refused, faults: found, seconds: took }]) => [
      kind,
      { cases, refused, faults: found, seconds: took },
    ]),
  );
  console.log(JSON.stringify({ seed: given.seed, seconds, kinds: byKind, faults: list }, null, 2));
} else {
  for (const [kind, { cases, refused, faults: found }] of counts) {
    console.log(`${kind}: ${cases} cases, ${refused} refused with a typed error, ${found} faults`);
  }
  console.log(`${list.length} places with faults, ${seconds.toFixed(0)} s`);
  for (const { what, message, at, times, again } of list)
    console.log(`${what} (${times}): ${message}\n  ${at}\n  ${again}`);
}
process.exitCode = list.length > 0 ? 1 : 0;
