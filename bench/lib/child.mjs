/**
 * Runs one engine's job in a process of its own, so that memory and threads of the engines never meet; only one runs at a
 * time. The job goes in and the result comes out as one message.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} Job
 * @property {string} model path of a GGUF file
 * @property {number} threads
 * @property {number} contextSize tokens that prompt and answer take at most
 * @property {Run[]} runs in this order, each on an empty session
 *
 * @typedef {object} Run
 * @property {string} name
 * @property {number[]} prompt ids, the start token included
 * @property {number} generate tokens to write, greedily; the first belongs to the prefill
 * @property {number} [top] give the natural-log probabilities of this many most likely first tokens
 *
 * @typedef {object} RunResult
 * @property {string} name
 * @property {number} promptTokens
 * @property {number} prefillMs from the call to the first token
 * @property {number} decodeTokens tokens after the first
 * @property {number} decodeMs from the first token to the last
 * @property {number[]} ids
 * @property {[id: number, logprob: number][]} [top] most likely first
 *
 * @typedef {object} Result
 * @property {RunResult[]} runs
 * @property {number} loadMs
 * @property {number} peakBytes largest resident memory of the process
 * @property {number} cpuMs processor time that the process took
 */

/** Engines by the name under which the tables show them. */
export const ENGINES = { sluice: "../engines/sluice.mjs", "llama.cpp": "../engines/llama-cpp.mjs" };

const TIMEOUT_MS = 20 * 60_000;

/**
 * @param {keyof typeof ENGINES} engine
 * @param {Job} job
 * @returns {Promise<Result>}
 */
export function runJob(engine, job) {
  const script = fileURLToPath(new URL(ENGINES[engine], import.meta.url));
  return new Promise((resolve, reject) => {
    // What an engine prints must not enter the report on stdout.
    const child = fork(script, [], { stdio: ["ignore", process.stderr, "inherit", "ipc"], timeout: TIMEOUT_MS });
    let result;
    child.once("message", (message) => {
      result = message;
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (result?.error) reject(new Error(`${engine}: ${result.error}`));
      else if (result) resolve(result);
      else reject(new Error(`${engine} ended without a result (${signal ?? `exit code ${code}`})`));
    });
    child.send(job);
  });
}

/**
 * The child's half: waits for the job, runs it with `work`, sends what it returns and ends the process.
 * @param {(job: Job) => Promise<{runs: RunResult[], loadMs: number}>} work
 */
export function serveJob(work) {
  process.once("message", async (job) => {
    let message;
    try {
      const done = await work(job);
      const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
      // maxRSS is in kilobytes, the times in microseconds.
      message = { ...done, peakBytes: maxRSS * 1024, cpuMs: (userCPUTime + systemCPUTime) / 1000 };
    } catch (error) {
      message = { error: error instanceof Error ? error.stack : String(error) };
    }
    process.send(message, () => process.exit(message.error ? 1 : 0));
  });
}
