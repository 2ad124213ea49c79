/**
 * What the machine can do at most, measured: bytes read per second by one and two threads, in WebAssembly and natively
 * (Node's Buffer.indexOf, which is memchr), and operations per second of the bare instructions.
 */
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { compileLimits, prepareEngine, warmUp } from "./limit-kernels.mjs";
import { median } from "./report.mjs";

/** Of each thread; far beyond any cache. */
const READ_BYTES = 256 * 2 ** 20;
/** Turns of an arithmetic loop: some tens of milliseconds. */
const TURNS = 1 << 25;
const PAGE_BYTES = 65_536;

const now = () => performance.timeOrigin + performance.now();

/** A thread's half: makes its buffer when first asked for, then answers each task with when it began and ended. */
function serveTasks({ module }) {
  let native;
  let exports;
  const wasm = () => {
    if (!exports) {
      const memory = new WebAssembly.Memory({ initial: READ_BYTES / PAGE_BYTES });
      // Pages that were never written would all be the same page of zeros.
      new Int32Array(memory.buffer).fill(0x01010101);
      exports = new WebAssembly.Instance(module, { env: { memory } }).exports;
      warmUp(exports);
    }
    return exports;
  };
  const tasks = {
    wasm: () => wasm().read(0, READ_BYTES),
    native: () => native.indexOf(2),
    arithmetic: ({ name, turns }) => wasm()[name](1024, turns),
  };
  const prepare = {
    wasm,
    native: () => {
      native ??= Buffer.alloc(READ_BYTES, 1);
    },
    arithmetic: wasm,
  };
  parentPort.on("message", (task) => {
    if (task.prepare) prepare[task.kind]();
    const cpuStart = process.cpuUsage();
    const start = now();
    if (!task.prepare) tasks[task.kind](task);
    const end = now();
    const { user, system } = process.cpuUsage(cpuStart);
    parentPort.postMessage({ start, end, cpuMs: (user + system) / 1000 });
  });
}

function ask(worker, task) {
  return new Promise((resolve, reject) => {
    const onMessage = (answer) => {
      worker.off("error", reject);
      resolve(answer);
    };
    worker.once("error", reject).once("message", onMessage);
    worker.postMessage(task);
  });
}

/** Seconds from the first thread's start to the last one's end. */
async function together(workers, task) {
  const spans = await Promise.all(workers.map((worker) => ask(worker, task)));
  return (Math.max(...spans.map(({ end }) => end)) - Math.min(...spans.map(({ start }) => start))) / 1000;
}

/** GB/s of several rounds, one thread and all of them in turn, after a round that does not count. */
async function readRates(workers, kind, rounds) {
  await Promise.all(workers.map((worker) => ask(worker, { kind, prepare: true })));
  const one = [];
  const all = [];
  for (let round = 0; round <= rounds; round++) {
    const alone = await together(workers.slice(0, 1), { kind });
    const shared = await together(workers, { kind });
    if (round === 0) continue;
    one.push(READ_BYTES / alone / 1e9);
    all.push((workers.length * READ_BYTES) / shared / 1e9);
  }
  return { kind, one, all };
}

/** G operations/s of one thread in several rounds, by processor time, which a busy machine disturbs less. */
async function arithmeticRates(worker, { name, about, operationsPerTurn }, rounds) {
  const task = { kind: "arithmetic", name, turns: TURNS };
  await ask(worker, { ...task, prepare: true });
  const one = [];
  for (let round = 0; round <= rounds; round++) {
    const { cpuMs } = await ask(worker, task);
    if (round > 0) one.push((TURNS * operationsPerTurn) / cpuMs / 1e6);
  }
  return { name, about, one };
}

/**
 * @param {{threads: number, rounds: number, arithmetic?: boolean}} options arithmetic: the bare instructions too
 * @returns {Promise<{threads: number, relaxed: boolean, reads: object[], arithmetic: object[], readLimit: number}>} GB/s
 *   and G operations/s of every round; readLimit: the higher median of all threads
 */
export async function measureLimits({ threads, rounds, arithmetic: wanted = true }) {
  prepareEngine();
  let relaxed = true;
  const compiled = await compileLimits({ relaxed }).catch(() => {
    relaxed = false;
    return compileLimits({ relaxed });
  });
  const { module, loops } = compiled;
  const workers = Array.from(
    { length: threads },
    () => new Worker(fileURLToPath(import.meta.url), { workerData: { module } }),
  );
  const reads = [];
  const arithmetic = [];
  try {
    for (const kind of ["wasm", "native"]) reads.push(await readRates(workers, kind, rounds));
    for (const loop of wanted ? loops : []) arithmetic.push(await arithmeticRates(workers[0], loop, rounds));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const readLimit = Math.max(...reads.map(({ all }) => median(all)));
  return { threads, relaxed, reads, arithmetic, readLimit };
}

if (!isMainThread && workerData?.module) serveTasks(workerData);
