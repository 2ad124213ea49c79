/**
 * Runs the same job on both engines in turn, several rounds, the order changing from round to round so that neither
 * always meets the warmer machine.
 */
import { ENGINES, startEngine } from "./child.mjs";
import { isDisturbed, watchOthers } from "./other-load.mjs";

/**
 * @typedef {import("./child.mjs").Setup & {runs: import("./child.mjs").Run[], repeat: boolean}} Job repeat: once more
 *   when neighbours were busy
 * @typedef {import("./child.mjs").Usage & {runs: import("./child.mjs").RunResult[], others: number}} Result others: cores
 *   that other processes kept busy meanwhile
 */

/** The engines' names in the order of this round. */
export function order(round) {
  const names = Object.keys(ENGINES);
  return round % 2 === 1 ? names.reverse() : names;
}

/**
 * Each engine in a fresh process per round.
 * @param {Job} job
 * @param {number} rounds
 * @param {string} label for the progress on stderr
 * @returns {Promise<Record<keyof typeof ENGINES, Result[]>>}
 */
export async function compare(job, rounds, label) {
  const results = Object.fromEntries(Object.keys(ENGINES).map((engine) => [engine, []]));
  for (let round = 0; round < rounds; round++) {
    for (const engine of order(round)) {
      process.stderr.write(`${label}: round ${round + 1} of ${rounds}, ${engine} ...\n`);
      results[engine].push(await undisturbed(() => wholeJob(engine, job), job));
    }
  }
  return results;
}

async function wholeJob(engine, job) {
  const { runs, repeat: _, ...setup } = job;
  const started = await startEngine(engine, setup);
  const results = [];
  for (const run of runs) results.push(await started.run(run));
  return { runs: results, ...(await started.end()) };
}

/**
 * Runs it, once more when the neighbours were busy, and takes the run that they disturbed less, whatever its speed.
 * @template {{cpuMs: number}} T
 * @param {() => Promise<T>} work the result tells the child's processor time
 * @param {{threads: number, repeat: boolean}} options
 * @returns {Promise<T & {others: number}>}
 */
export async function undisturbed(work, { threads, repeat }) {
  const attempt = async () => {
    const others = watchOthers();
    const result = await work();
    return { ...result, others: others(result.cpuMs) };
  };
  const first = await attempt();
  if (!repeat || !isDisturbed(first.others, threads)) return first;
  process.stderr.write(`  others kept ${first.others.toFixed(2)} cores busy: once more ...\n`);
  const second = await attempt();
  return second.others < first.others ? second : first;
}

/** Values of one measure over all rounds, from every run with this name. */
export function collect(results, name, measure) {
  return results.flatMap(({ runs }) => runs.filter((run) => run.name === name).map(measure));
}

export const prefillRate = (run) => (run.promptTokens / run.prefillMs) * 1000;
export const decodeRate = (run) => (run.decodeTokens / run.decodeMs) * 1000;

/**
 * How far two engines' next-token distributions lie apart, over the `count` likeliest tokens of the second.
 * @param {[number, number][]} ours
 * @param {[number, number][]} theirs
 */
export function agreement(ours, theirs, count = 10) {
  const own = new Map(ours);
  const likeliest = theirs.slice(0, count);
  const differences = likeliest.filter(([id]) => own.has(id)).map(([id, logprob]) => Math.abs(own.get(id) - logprob));
  const finite = [...ours, ...theirs].every(([, logprob]) => Number.isFinite(logprob));
  return {
    sameFirst: ours[0][0] === theirs[0][0],
    shared: differences.length,
    of: likeliest.length,
    meanDifference: differences.reduce((sum, value) => sum + value, 0) / differences.length,
    maxDifference: Math.max(...differences),
    /** Different kernels round differently; more than this is a different model. */
    sane: finite && differences.length * 2 >= likeliest.length && Math.max(...differences) < 1,
  };
}
