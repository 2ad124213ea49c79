// A process that runs cases, one line on channel 3 for each event. A thread of it watches the case that runs: too much
// processor time, no end, or too much memory end the process, and the parent goes on with the next case in a new one.
import { writeSync } from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const LONGEST_CPU_MS = 5000;
/** Of a case that only waits, or on a machine with much else to do. */
const LONGEST_WALL_MS = 60_000;
const MOST_BYTES = 2 ** 30;
const POLL_MS = 100;
/** Between cases, when what is unused is collected. */
const COLLECT_BYTES = 400 * 2 ** 20;
const RENEW_BYTES = 700 * 2 ** 20;

const say = (event) => writeSync(3, `${JSON.stringify(event)}\n`);

if (isMainThread) await serve();
else watch(new Int32Array(workerData));

async function serve() {
  const shared = new SharedArrayBuffer(8);
  const current = new Int32Array(shared);
  new Worker(new URL(import.meta.url), { workerData: shared }).unref();
  const { Cases, describe } = await import("./cases.mjs").catch(unprepared);
  const { library } = await import("./library.mjs").catch(unprepared);
  let job;
  let at = 0;
  for (const event of ["unhandledRejection", "uncaughtException"]) {
    process.on(event, (error) => {
      say({ event: "fault", fault: { kind: job?.kind, index: at, ...describe(error), what: event } });
    });
  }
  process.on("message", async (message) => {
    job = message;
    const cases = await Cases.of(job.kind, library, job.seed).catch(unprepared);
    for (at = job.from; at < job.to; at++) {
      say({ event: "begin", index: at });
      Atomics.store(current, 1, 1);
      Atomics.add(current, 0, 1);
      const { fault, refused } = await cases.run(at);
      Atomics.store(current, 1, 0);
      say({ event: "end", refused, ...(fault && { fault }) });
      if (at % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (tooLarge()) {
        say({ event: "renew", index: at + 1 });
        process.exit(0);
      }
    }
    await cases.end();
    say({ event: "done" });
  });
}

/** Without the library or the seeds there are no cases: that is no fault of one of them. */
function unprepared(error) {
  say({ event: "unprepared", message: String(error?.stack) });
  process.exit(1);
}

/** Whether garbage alone does not explain the size: then a new process goes on. */
function tooLarge() {
  if (process.memoryUsage.rss() < COLLECT_BYTES) return false;
  globalThis.gc?.();
  return process.memoryUsage.rss() > RENEW_BYTES;
}

function watch(current) {
  let serial = -1;
  let cpu = 0;
  let since = 0;
  const used = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const end = (what, message) => {
    say({ event: "killed", what, message });
    process.kill(process.pid, "SIGKILL");
  };
  setInterval(() => {
    const bytes = process.memoryUsage.rss();
    if (bytes > MOST_BYTES)
      end("memory", `${Math.round(bytes / 2 ** 20)} MiB are resident; at most ${MOST_BYTES / 2 ** 20}`);
    const now = Atomics.load(current, 0);
    if (now !== serial || Atomics.load(current, 1) === 0) {
      [serial, cpu, since] = [now, used(), performance.now()];
      return;
    }
    if (used() - cpu > LONGEST_CPU_MS) end("hang", `more than ${LONGEST_CPU_MS} ms of processor time`);
    if (performance.now() - since > LONGEST_WALL_MS) end("hang", `no end after ${LONGEST_WALL_MS} ms`);
  }, POLL_MS);
}
