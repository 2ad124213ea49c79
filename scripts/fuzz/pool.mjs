// Shares ranges of cases out to worker processes, starts a new one where one was ended, and gathers what they report.
import { fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const WORKER = fileURLToPath(new URL("./worker.mjs", import.meta.url));
const HEAP_MIB = 900;

/**
 * @param jobs { kind, seed, from, to }
 * @param on { progress(kind, count), fault(fault), refused(kind) }
 */
export async function runJobs(jobs, processes, on) {
  const queue = [...jobs];
  await Promise.all(
    Array.from({ length: processes }, async () => {
      for (let job = queue.shift(); job; job = queue.shift()) await runJob(job, on);
    }),
  );
}

/** Runs a range to its end, through as many processes as it takes. */
async function runJob(job, on) {
  for (let from = job.from; from < job.to; ) from = await runInProcess({ ...job, from }, on);
}

/** @returns the index to go on with */
function runInProcess(job, on) {
  const child = fork(WORKER, [], {
    execArgv: [`--max-old-space-size=${HEAP_MIB}`, "--expose-gc"],
    stdio: ["ignore", "ignore", "pipe", "pipe", "ipc"],
  });
  let at = job.from;
  let ended = false;
  let killed;
  let failure;
  let errors = "";
  child.stderr.on("data", (data) => {
    errors = (errors + data).slice(-2000);
  });
  const lines = createInterface({ input: child.stdio[3] });
  lines.on("line", (line) => {
    const event = JSON.parse(line);
    if (event.event === "begin") at = event.index;
    if (event.event === "end") {
      at += 1;
      on.progress(job.kind, 1);
      if (event.refused) on.refused(job.kind);
    }
    if (event.fault) on.fault({ ...event.fault, seed: job.seed });
    if (event.event === "killed") killed = event;
    if (event.event === "unprepared") failure = new Error(`The cases of ${job.kind} cannot be made: ${event.message}`);
    if (event.event === "done" || event.event === "renew") ended = true;
    if (event.event === "done") child.kill();
  });
  child.send(job);
  return new Promise((resolve, reject) => {
    child.on("close", (code, signal) => {
      if (failure) return reject(failure);
      if (ended) return resolve(at);
      const { what, message } = killed ?? crashed(code, signal, errors);
      on.fault({ kind: job.kind, index: at, seed: job.seed, what, message, at: what });
      on.progress(job.kind, 1);
      resolve(at + 1);
    });
  });
}

function crashed(code, signal, errors) {
  if (/heap out of memory|Array buffer allocation failed/.test(errors))
    return { what: "memory", message: `the heap grew beyond ${HEAP_MIB} MiB` };
  const last = errors.trim().split("\n").slice(-6).join(" ");
  return { what: "crash", message: `the process ended with ${signal ?? `code ${code}`}: ${last}`.slice(0, 300) };
}
