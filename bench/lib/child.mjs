/**
 * One engine in a process of its own, so that memory and threads of the engines never meet. The parent sends the model,
 * then runs one by one, and may keep several engines waiting and let them work in turn.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} Setup
 * @property {string} model path of a GGUF file
 * @property {number} threads
 * @property {number} contextSize tokens that prompt and answer take at most
 * @property {string} [kv] llama.cpp: type of the cache; f16 where it is absent
 *
 * @typedef {object} Run
 * @property {string} name
 * @property {number[]} prompt ids, the start token included
 * @property {number} generate tokens to write, greedily; the first belongs to the prefill
 * @property {boolean} [keep] go on after what was read and written so far; without it the session starts empty
 * @property {number} [top] give the natural-log probabilities of this many most likely first tokens; then `generate` is 1
 * @property {string} [save] llama.cpp: file for the state after the prompt
 * @property {{file: string, waiting?: number}} [restore] llama.cpp: start from a saved state; `waiting` was written after
 *   it and is read first
 *
 * @typedef {object} RunResult
 * @property {string} name
 * @property {number} promptTokens
 * @property {number} prefillMs from the call to the first token
 * @property {number} decodeTokens tokens after the first
 * @property {number} decodeMs from the first token to the last
 * @property {number[]} ids
 * @property {[id: number, logprob: number][]} [top] most likely first
 * @property {number} cpuMs processor time of the process during the run
 *
 * @typedef {object} Usage
 * @property {number} loadMs
 * @property {number} peakBytes largest resident memory of the process
 * @property {number} cpuMs processor time of the process from start to end
 *
 * @typedef {object} Engine
 * @property {(run: Run) => Promise<RunResult>} run
 * @property {() => Promise<Usage>} end ends the process
 */

/** Engines by the name under which the tables show them. */
export const ENGINES = { sluice: "../engines/sluice.mjs", "llama.cpp": "../engines/llama-cpp.mjs" };

const TIMEOUT_MS = 40 * 60_000;

/**
 * Starts an engine's process and loads the model.
 * @param {keyof typeof ENGINES} name
 * @param {Setup} setup
 * @returns {Promise<Engine>}
 */
export function startEngine(name, setup) {
  return startProcess(name, ENGINES[name], setup);
}

/**
 * Starts a process that answers with `serveEngine`. Setup, runs and results may be others than those of the engines above.
 * @param {string} name for errors
 * @param {string} path of its script, from this folder
 * @param {object} setup
 * @returns {Promise<{run: (run: object) => Promise<any>, end: () => Promise<Usage>}>}
 */
export async function startProcess(name, path, setup) {
  const script = fileURLToPath(new URL(path, import.meta.url));
  // What an engine prints must not enter the report on stdout.
  const child = fork(script, [], { stdio: ["ignore", process.stderr, "inherit", "ipc"], timeout: TIMEOUT_MS });
  const ask = (message) =>
    new Promise((resolve, reject) => {
      const settle = (end) => {
        child.off("message", onMessage).off("error", onError).off("close", onClose);
        end();
      };
      const onError = (error) => settle(() => reject(error));
      const onClose = (code, signal) =>
        settle(() => reject(new Error(`${name} ended without a result (${signal ?? `exit code ${code}`})`)));
      const onMessage = (answer) =>
        settle(() => (answer.error ? reject(new Error(`${name}: ${answer.error}`)) : resolve(answer)));
      child.on("message", onMessage).on("error", onError).on("close", onClose);
      child.send(message);
    });
  await ask({ setup });
  return {
    run: (run) => ask({ run }),
    async end() {
      const closed = new Promise((resolve) => child.once("close", resolve));
      const usage = await ask({ end: true });
      await closed;
      return usage;
    },
  };
}

/** Processor time of this process so far, in milliseconds. */
function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * The child's half: answers the parent's messages one by one.
 * @param {(setup: Setup) => Promise<{loadMs: number, run: (run: Run) => Promise<Omit<RunResult, "cpuMs">>}>} open
 */
export function serveEngine(open) {
  let engine;
  const answer = async ({ setup, run }) => {
    if (setup) {
      engine = await open(setup);
      return { loaded: true };
    }
    if (run) {
      const start = cpuMs();
      const result = await engine.run(run);
      return { ...result, cpuMs: cpuMs() - start };
    }
    // maxRSS is in kilobytes.
    return { loadMs: engine.loadMs, peakBytes: process.resourceUsage().maxRSS * 1024, cpuMs: cpuMs() };
  };
  // Nobody waits any more.
  process.once("disconnect", () => process.exit(1));
  process.on("message", async (message) => {
    let reply;
    try {
      reply = await answer(message);
    } catch (error) {
      reply = { error: error instanceof Error ? error.stack : String(error) };
    }
    const last = message.end || reply.error;
    process.send(reply, () => last && process.exit(reply.error ? 1 : 0));
  });
}

/**
 * What both engines report of a run: reads ids from `source` until `generate` of them have come.
 * @param {Run} run
 * @param {AsyncIterable<number>} source
 */
export async function timeRun(run, source) {
  const ids = [];
  const start = performance.now();
  let first = start;
  let last = start;
  for await (const id of source) {
    last = performance.now();
    if (ids.push(id) === 1) first = last;
    if (ids.length === run.generate) break;
  }
  if (ids.length !== run.generate) throw new Error(`${run.name}: ${ids.length} tokens came, not ${run.generate}`);
  return {
    name: run.name,
    promptTokens: run.prompt.length,
    prefillMs: first - start,
    decodeTokens: ids.length - 1,
    decodeMs: last - first,
    ids,
  };
}
