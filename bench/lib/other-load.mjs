/**
 * How many cores other processes kept busy while something was measured. Threads that meet at barriers suffer far more
 * from a busy neighbour than its share of the machine, so a benchmark should say when it had one.
 */
import { cpus } from "node:os";

/** Cores' worth of foreign work, beyond the cores that the measured threads leave free, from which on they are disturbed. */
const DISTURBING_CORES = 0.15;

/** Milliseconds that all cores together have been busy since the machine started. */
function busyMs() {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

function ownMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Starts watching. The returned function ends it: average number of cores that were busy with anything but this process
 * and `childMs` of its children's processor time.
 */
export function watchOthers() {
  const start = { wall: performance.now(), busy: busyMs(), own: ownMs() };
  return (childMs = 0) => {
    const foreign = busyMs() - start.busy - (ownMs() - start.own) - childMs;
    return Math.max(0, foreign) / (performance.now() - start.wall);
  };
}

/** @param {number} cores that others kept busy @param {number} threads that were measured */
export function isDisturbed(cores, threads) {
  return cores >= Math.max(0, cpus().length - threads) + DISTURBING_CORES;
}

/**
 * What to say about the neighbours.
 * @param {number[]} cores that others kept busy in each measured stretch
 * @param {number} threads that were measured
 * @returns {{average: number, most: number, disturbed: boolean, line: string}}
 */
export function summariseOthers(cores, threads) {
  const most = Math.max(...cores);
  const average = cores.reduce((sum, value) => sum + value, 0) / cores.length;
  const disturbed = isDisturbed(most, threads);
  const line = `other processes kept ${average.toFixed(2)} cores busy on average, ${most.toFixed(2)} at most`;
  return {
    average,
    most,
    disturbed,
    line: `${line}${disturbed ? ": the figures are disturbed, repeat on a quiet machine" : ""}\n`,
  };
}
