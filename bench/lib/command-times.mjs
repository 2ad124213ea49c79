/**
 * Where the time of a training step goes, by command of the Wasm backend: while a step is watched, every command (or those
 * of some opcodes) runs as a list of its own and is timed. That costs a start of the threads for each, some microseconds,
 * so the sum is a little more than the step.
 */
import { OPCODE_NAMES as NAMES, OPCODES } from "../../scripts/lib/opcodes.mjs";

/** Operations of a matrix product, two for each multiply-add, from the words of its command. */
const FLOPS = new Map([
  [OPCODES.LINEAR, (words) => 2 * words[1] * words[2] * words[3]],
  [OPCODES.FLOAT_PRODUCT, (words) => 2 * words[7] * words[8] * words[9]],
]);

/** Words of a command, and its flag of running on all threads (kernels/abi.ts). */
const COMMAND_WORDS = 32;
const ARGUMENTS = 2;
const PARALLEL = 1;

export const isProduct = (opcode) => FLOPS.has(opcode);

/**
 * @param ops a Wasm backend
 * @param {() => Promise<unknown>} body a step
 * @param {object} [options]
 * @param {(opcode: number) => boolean} [options.wanted] all
 * @param {() => number} [options.clock] milliseconds
 * @returns {Promise<Map<string, {count: number, ms: number, flops: number, alone: number}>>} by name; `alone`: how many of
 *   the commands ran on one thread
 */
export async function commandTimes(ops, body, { wanted = () => true, clock = () => performance.now() } = {}) {
  const { commands } = ops.machines[0];
  const { begin, end } = commands;
  const times = new Map();
  let opcode = 0;
  commands.begin = function (code, costNs) {
    opcode = code;
    if (wanted(code)) this.flush();
    return begin.call(this, code, costNs);
  };
  commands.end = function () {
    end.call(this);
    if (!wanted(opcode)) return;
    const start = (this.count - 1) * COMMAND_WORDS;
    const known = times.get(NAMES.get(opcode)) ?? { count: 0, ms: 0, flops: 0, alone: 0 };
    known.count++;
    known.flops += FLOPS.get(opcode)?.(this.i32.subarray(start + ARGUMENTS)) ?? 0;
    if (!(this.i32[start + 1] & PARALLEL)) known.alone++;
    const before = clock();
    this.flush();
    known.ms += clock() - before;
    times.set(NAMES.get(opcode), known);
  };
  try {
    await body();
  } finally {
    commands.begin = begin;
    commands.end = end;
  }
  return times;
}
