// Measures the Wasm matrix products: `node scripts/bench-linear.mjs [--formats q8_0,q4_0] [--tokens 1,64] [--columns 2048]
// [--weight-kib 512] [--threads 1] [--form own] [--plain] [--milliseconds 600]`. Prints GFLOPS and GB/s of weight bytes, the
// best of many runs, and the limit: what the form's bare instruction does in the same run. A weight of 512 KiB stays in the
// cache and shows the rate of the arithmetic; --weight-kib 400000 shows the memory's. Forms of the activations: what the
// engine would pick for one sequence ("own") or for many that read few tokens each ("few"), or one of FORMS for all. Run
// `npm run build` first.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import v8 from "node:v8";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { compileJoined } from "./lib/joined-module.mjs";
import { multiplyLimit, WIDE_FORMS } from "./multiply-limits.mjs";

const FORMATS = {
  f32: [0, 1, 4],
  f16: [1, 1, 2],
  bf16: [30, 1, 2],
  q8_0: [8, 32, 34],
  q4_0: [2, 32, 18],
  q4_1: [3, 32, 20],
  q5_0: [6, 32, 22],
  q5_1: [7, 32, 24],
  iq4_nl: [20, 32, 18],
  mxfp4: [39, 32, 17],
  q2_k: [10, 256, 84],
  q3_k: [11, 256, 110],
  q4_k: [12, 256, 144],
  q5_k: [13, 256, 176],
  q6_k: [14, 256, 210],
  // By eights (kernels/quantise/eights.ts).
  q4_0x8: [1002, 32, 18],
  q4_kx8: [1012, 256, 144],
  q5_kx8: [1013, 256, 176],
  q6_kx8: [1014, 256, 210],
};
/** Forms of the activations by their names in kernels/abi.ts. */
const FORMS = {
  sixteen: "SIXTEEN_BITS",
  nibbles: "BYTES_NIBBLES",
  bytes: "BYTES_FOUR",
  wide: "BYTES_WIDE",
  "nibbles-wide": "NIBBLES_WIDE",
  "sixteen-wide": "SIXTEEN_WIDE",
  planes: "PLANES",
  "planes-words": "PLANES_WORDS",
  "planes-wide": "PLANES_WIDE",
  floats: "FLOATS_WIDE",
  streamed: "STREAMED",
};
/** The wide module's functions that products call, and their places in the table. */
const SLOTS = { multiply: 1, floatsWide: 5, multiplyNibbles: 12, multiplySixteen: 13, planesWide: 14 };
const MAJOR = Number(process.versions.node.split(".")[0]);
// Words that the threads meet at: the number of the run, and how many further threads have finished it.
const RUN = 0;
const DONE = 1;
// Addresses of the command's arguments and of the activations.
const ARGS = 1024;
const ACTIVATIONS = 65536;

/** The numbers that kernels/abi.ts names. */
async function readAbi() {
  const source = await readFile(join(import.meta.dirname, "../kernels/abi.ts"), "utf8");
  const found = source.matchAll(/^export const (\w+) = (-?\d+);/gm);
  const abi = Object.fromEntries([...found].map(([, name, value]) => [name, Number(value)]));
  for (const name of ["SCRATCH_BYTES", "RANGE_COUNTERS", "RANGES", ...Object.values(FORMS)]) {
    if (abi[name] === undefined) throw new Error(`kernels/abi.ts has no number named ${name}.`);
  }
  return abi;
}

function start(module, wide, memory) {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  if (wide) {
    const { table } = instance.exports;
    const functions = new WebAssembly.Instance(wide, { env: { memory } }).exports;
    table.grow(20);
    for (const [name, slot] of Object.entries(SLOTS)) table.set(slot, functions[name]);
  }
  return instance.exports;
}

/** What each thread but the first does. */
function work({ module, wide, memory, thread, threads }) {
  const { linear } = start(module, wide, memory);
  const words = new Int32Array(memory.buffer);
  parentPort.postMessage("ready");
  for (let run = 1; ; run++) {
    while (Atomics.load(words, RUN) < run) if (Atomics.load(words, RUN) < 0) return;
    linear(ARGS, thread, threads);
    Atomics.add(words, DONE, 1);
  }
}

/** As src/backends/wasm/byte-form.ts chooses. */
function ownForm(probeBytes, wide) {
  const exact = probeBytes(127) === 100 + 508 * 127 && probeBytes(255) === 100 + 508 * 255;
  return (format, few) => {
    const [id, blockSize] = FORMATS[format];
    if (few) {
      if (id < 1000) return "streamed";
      if (wide) return "planes-wide";
      return exact ? "planes-words" : "planes";
    }
    if (blockSize === 1) return wide ? "floats" : "sixteen";
    if (exact) return wide ? "wide" : "bytes";
    return (["q8_0", "iq4_nl"].includes(format) ? "sixteen" : "nibbles") + (wide ? "-wide" : "");
  };
}

/** GFLOPS of the bare instruction, measured once for each form; nothing for floats. */
function limits(milliseconds) {
  const known = new Map();
  return async (format, form) => {
    if (FORMATS[format][1] === 1) return "";
    if (!known.has(form)) {
      // Two planes take two products of bytes for each.
      const two = { planes: "nibbles", "planes-words": "bytes", "planes-wide": "nibbles" }[form];
      known.set(form, (await multiplyLimit(two ?? form, milliseconds)) / (two ? 2 : 1));
    }
    // V8 14.6 joins the kernel's operations, but not those of the bare loop.
    if (Object.hasOwn(WIDE_FORMS, form) && MAJOR > 24) return `, ${form}, limit not known`;
    return `, ${form}, limit ${known.get(form).toFixed(0)}`;
  };
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      formats: { type: "string", default: Object.keys(FORMATS).join() },
      tokens: { type: "string", default: "1,64" },
      columns: { type: "string", default: "2048" },
      "weight-kib": { type: "string", default: "512" },
      threads: { type: "string", default: "1" },
      plain: { type: "boolean", default: false },
      form: { type: "string", default: "own" },
      milliseconds: { type: "string", default: "600" },
    },
  });
  if (!["own", "few"].includes(values.form) && !Object.hasOwn(FORMS, values.form)) {
    throw new Error(`--form: expected own, few, ${Object.keys(FORMS).join(", ")}; found '${values.form}'.`);
  }
  return {
    formats: values.formats.split(","),
    tokenCounts: values.tokens.split(",").map(Number),
    columns: Number(values.columns),
    weightBytes: Number(values["weight-kib"]) * 1024,
    threads: Number(values.threads),
    plain: values.plain,
    form: values.form,
    milliseconds: Number(values.milliseconds),
  };
}

/** The kernels' module, and the wide one where this engine has it. */
async function compileModules({ plain }) {
  // Node 20 has relaxed SIMD behind a flag, later versions have it on.
  if (MAJOR < 22) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
  const source = await readFile(join(import.meta.dirname, "../src/backends/wasm/generated/kernels.ts"), "utf8");
  const bytes = (name) => {
    const base64 = new RegExp(`${name} =\\s*"([^"]+)"`).exec(source)?.[1];
    if (!base64) throw new Error("No kernels found: run `npm run build` first.");
    return Buffer.from(base64, "base64");
  };
  const module = new WebAssembly.Module(bytes(plain ? "PLAIN" : "RELAXED"));
  if (plain) return { module };
  return { module, wide: compileJoined(bytes("WIDE")) };
}

/** A memory for the largest problem, filled with numbers, and the addresses of its parts. */
function layOut({ columns, weightBytes, threads, tokenCounts }, abi) {
  const most = Math.max(...tokenCounts);
  const mostRows = Math.ceil((weightBytes / columns / 84) * 256);
  const quantised = ACTIVATIONS + most * columns * 4;
  const weight = Math.ceil((quantised + (most + 8) * (columns * 3 + 64)) / 64) * 64;
  const scratch = weight + Math.ceil(weightBytes / 64) * 64 + 65536;
  const out = scratch + threads * abi.SCRATCH_BYTES;
  const pages = Math.ceil((out + most * mostRows * 4) / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
  const words = new Int32Array(memory.buffer);
  // Bytes that are small normal numbers in every float format: subnormal ones would take longer.
  for (let i = weight / 4; i < scratch / 4; i++) words[i] = (Math.imul(i, 0x9e3779b1) & 0x3f3f3f3f) | 0x30303030;
  const activations = new Float32Array(memory.buffer, ACTIVATIONS, most * columns);
  for (let i = 0; i < activations.length; i++) activations[i] = Math.sin(i * 0.37);
  return { memory, words, quantised, weight, scratch, out };
}

async function startThreads(modules, memory, threads) {
  const workers = [];
  for (let thread = 1; thread < threads; thread++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { ...modules, memory, thread, threads } });
    await new Promise((resolve) => worker.once("message", resolve));
    workers.push(worker);
  }
  return workers;
}

/** Writes the command of a product, its activations converted. @returns its rows and bytes of weights */
function prepare(kernels, abi, { words, quantised, weight, scratch, out }, { columns, weightBytes }, problem) {
  const { format, form, tokens } = problem;
  const [id, blockSize, blockBytes] = FORMATS[format];
  const rowBytes = (columns / blockSize) * blockBytes;
  const rows = Math.max(8, Math.floor(weightBytes / rowBytes / 8) * 8);
  const code = abi[FORMS[form]];
  words.set([tokens, columns, ACTIVATIONS, columns, quantised], ARGS / 4);
  const { splitPlanes, quantiseBytes, quantisePairs, quantise } = kernels;
  const planes = [abi.PLANES, abi.PLANES_WORDS, abi.PLANES_WIDE].includes(code);
  const sixteen = [abi.SIXTEEN_BITS, abi.STREAMED].includes(code);
  const inGroups = code === abi.SIXTEEN_WIDE ? quantisePairs : quantiseBytes;
  const convert = planes ? splitPlanes : sixteen ? quantise : inGroups;
  if (blockSize > 1) convert(ARGS, 0, 1);
  words.set([id, tokens, columns, rows, ACTIVATIONS, columns, quantised, weight, 0, 0, out, rows], ARGS / 4);
  words.set([scratch, code], ARGS / 4 + 12);
  return { rows, bytes: rows * rowBytes };
}

/** Seconds of the best run. */
function fastest(once, clock, milliseconds) {
  let best = Number.POSITIVE_INFINITY;
  const started = performance.now();
  for (let repeats = 1; performance.now() - started < milliseconds; ) {
    const from = clock();
    for (let i = 0; i < repeats; i++) once();
    const elapsed = clock() - from;
    if (elapsed < 3) repeats *= 2;
    else best = Math.min(best, elapsed / repeats / 1000);
  }
  return best;
}

async function main() {
  const options = readOptions();
  const { threads, columns } = options;
  const abi = await readAbi();
  const modules = await compileModules(options);
  const places = layOut(options, abi);
  const { memory, words } = places;
  const kernels = start(modules.module, modules.wide, memory);
  const plain = (_, few) => (few ? "streamed" : "sixteen");
  const own = options.plain ? plain : ownForm(kernels.probeBytes, modules.wide);
  const workers = await startThreads(modules, memory, threads);
  // Of one thread the processor's time counts, so that other load on the machine disturbs less.
  const clock = () => {
    const { user, system } = process.cpuUsage();
    return threads > 1 ? performance.now() : (user + system) / 1000;
  };
  const limit = limits(clock);
  const counters = words.subarray((ARGS + abi.RANGE_COUNTERS) / 4).subarray(0, abi.RANGES);
  const once = () => {
    counters.fill(0);
    Atomics.store(words, DONE, 0);
    Atomics.add(words, RUN, 1);
    kernels.linear(ARGS, 0, threads);
    while (Atomics.load(words, DONE) < threads - 1);
  };
  for (const tokens of options.tokenCounts) {
    for (const format of options.formats) {
      const few = options.form === "few" || tokens < 8;
      const form = ["own", "few"].includes(options.form) ? own(format, few) : options.form;
      const { rows, bytes } = prepare(kernels, abi, places, options, { format, form, tokens });
      const seconds = fastest(once, clock, options.milliseconds);
      const gflops = ((2 * tokens * rows * columns) / seconds / 1e9).toFixed(1).padStart(6);
      const gigabytes = (bytes / seconds / 1e9).toFixed(1).padStart(6);
      console.log(
        `${format.padEnd(7)} T=${String(tokens).padEnd(4)} ${rows} x ${columns}: ${gflops} GFLOPS ${gigabytes} GB/s` +
          (threads === 1 ? await limit(format, form) : ""),
      );
    }
  }
  Atomics.store(words, RUN, -1);
  await Promise.all(workers.map((worker) => worker.terminate()));
}

if (isMainThread) await main();
else work(workerData);
