// Measures the Wasm matrix products: `node scripts/bench-linear.mjs [--formats q8_0,q4_0] [--tokens 1,64] [--columns 2048]
// [--weight-kib 512] [--threads 1] [--form own] [--plain]
// [--milliseconds 600]`. Prints GFLOPS and GB/s of weight bytes, the best of many runs,
// and the limit: what the form's bare instruction does in the same run. A weight of 512 KiB stays in the cache and shows the
// rate of the arithmetic; --weight-kib 400000 shows the memory's. Forms of the activations: what the engine would pick
// ("own"), or sixteen, nibbles, bytes, wide for all. Run `npm run build` first.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import v8 from "node:v8";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { multiplyLimit } from "./multiply-limits.mjs";

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
  q2_k: [10, 256, 84],
  q3_k: [11, 256, 110],
  q4_k: [12, 256, 144],
  q5_k: [13, 256, 176],
  q6_k: [14, 256, 210],
  // By eights (kernels/eights.ts).
  q4_0x8: [1002, 32, 18],
  q4_kx8: [1012, 256, 144],
};
/** How kernels/abi.ts numbers the forms of activations. */
const FORMS = { sixteen: 0, nibbles: 1, bytes: 2, wide: 3, planes: 4, "planes-words": 5 };
const SCRATCH_BYTES = 262144;
const MAJOR = Number(process.versions.node.split(".")[0]);
// Words of the counters.
const COUNTERS = [16, 30];
// Words that the threads meet at: the number of the run, and how many helpers have finished it.
const RUN = 0;
const DONE = 1;
const ARGS = 1024;

function start(module, wide, memory) {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  if (wide) {
    const { table } = instance.exports;
    table.grow(1);
    table.set(1, new WebAssembly.Instance(wide, { env: { memory } }).exports.multiply);
  }
  return instance.exports;
}

function helper({ module, wide, memory, thread, threads }) {
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
  return (format, tokens) => {
    const [id, blockSize] = FORMATS[format];
    if (tokens < 8 && id > 1000) return exact ? "planes-words" : "planes";
    if (tokens < 8 || blockSize === 1) return "sixteen";
    if (exact) return wide ? "wide" : "bytes";
    return ["q8_0", "iq4_nl"].includes(format) ? "sixteen" : "nibbles";
  };
}

/** GFLOPS of the bare instruction, measured once for each form; nothing for floats. */
function limits(milliseconds) {
  const known = new Map();
  return async (format, form) => {
    if (FORMATS[format][1] === 1) return "";
    if (!known.has(form)) {
      // Two planes take two products of bytes for each.
      const two = { planes: "nibbles", "planes-words": "bytes" }[form];
      known.set(form, (await multiplyLimit(two ?? form, milliseconds)) / (two ? 2 : 1));
    }
    // V8 14.6 joins the kernel's operations, but not those of the bare loop.
    if (form === "wide" && MAJOR > 24) return ", wide, limit not known";
    return `, ${form}, limit ${known.get(form).toFixed(0)}`;
  };
}

async function main() {
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
  // Node 20 has relaxed SIMD behind a flag, later versions have it on.
  if (MAJOR < 22) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
  const source = await readFile(join(import.meta.dirname, "../src/backends/wasm/generated/kernels.ts"), "utf8");
  const build = values.plain ? "PLAIN" : "RELAXED";
  const bytes = (name) => {
    const base64 = new RegExp(`${name} =\\s*"([^"]+)"`).exec(source)?.[1];
    if (!base64) throw new Error("No kernels found: run `npm run build` first.");
    return Buffer.from(base64, "base64");
  };
  const module = new WebAssembly.Module(bytes(build));
  const { nodePlatform } = await import("../dist/platform/node.js");
  const wide = values.plain
    ? undefined
    : nodePlatform.compileWide(
        () => bytes("WIDE"),
        () => true,
        values.form === "wide",
      );

  const columns = Number(values.columns);
  const threads = Number(values.threads);
  const tokenCounts = values.tokens.split(",").map(Number);
  const weightBytes = Number(values["weight-kib"]) * 1024;
  const most = Math.max(...tokenCounts);
  const mostRows = Math.ceil((weightBytes / columns / 84) * 256);
  const x = 65536;
  const quantised = x + most * columns * 4;
  const weight = Math.ceil((quantised + (most + 8) * (columns * 2.375 + 64)) / 64) * 64;
  const scratch = weight + Math.ceil(weightBytes / 64) * 64 + 65536;
  const out = scratch + threads * SCRATCH_BYTES;
  const pages = Math.ceil((out + most * mostRows * 4) / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
  const words = new Int32Array(memory.buffer);
  const { linear, quantise, quantiseBytes, splitPlanes, probeBytes } = start(module, wide, memory);
  const own = values.plain ? () => "sixteen" : ownForm(probeBytes, wide);
  const helpers = [];
  for (let thread = 1; thread < threads; thread++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { module, wide, memory, thread, threads } });
    await new Promise((resolve) => worker.once("message", resolve));
    helpers.push(worker);
  }
  // Of one thread the processor's time counts, so that other load on the machine disturbs less.
  const milliseconds = () => {
    const { user, system } = process.cpuUsage();
    return threads > 1 ? performance.now() : (user + system) / 1000;
  };
  const limit = limits(milliseconds);
  const once = () => {
    words.fill(0, ARGS / 4 + COUNTERS[0], ARGS / 4 + COUNTERS[1]);
    Atomics.store(words, DONE, 0);
    Atomics.add(words, RUN, 1);
    linear(ARGS, 0, threads);
    while (Atomics.load(words, DONE) < threads - 1);
  };

  // Bytes that are small normal numbers in every float format: subnormal ones would take longer.
  for (let i = weight / 4; i < scratch / 4; i++) words[i] = (Math.imul(i, 0x9e3779b1) & 0x3f3f3f3f) | 0x30303030;
  const activations = new Float32Array(memory.buffer, x, most * columns);
  for (let i = 0; i < activations.length; i++) activations[i] = Math.sin(i * 0.37);

  for (const tokens of tokenCounts) {
    for (const format of values.formats.split(",")) {
      const [id, blockSize, blockBytes] = FORMATS[format];
      const rowBytes = (columns / blockSize) * blockBytes;
      const rows = Math.max(8, Math.floor(weightBytes / rowBytes / 8) * 8);
      const form = values.form === "own" ? own(format, tokens) : values.form;
      words.set([tokens, columns, x, columns, quantised], ARGS / 4);
      const prepare = FORMS[form] >= FORMS.planes ? splitPlanes : FORMS[form] ? quantiseBytes : quantise;
      prepare(ARGS, 0, 1);
      words.set(
        [id, tokens, columns, rows, x, columns, quantised, weight, 0, 0, out, rows, scratch, FORMS[form]],
        ARGS / 4,
      );
      let best = Number.POSITIVE_INFINITY;
      const started = performance.now();
      for (let repeats = 1; performance.now() - started < Number(values.milliseconds); ) {
        const from = milliseconds();
        for (let i = 0; i < repeats; i++) once();
        const elapsed = milliseconds() - from;
        if (elapsed < 3) repeats *= 2;
        else best = Math.min(best, elapsed / repeats / 1000);
      }
      const gflops = ((2 * tokens * rows * columns) / best / 1e9).toFixed(1).padStart(6);
      const gigabytes = ((rows * rowBytes) / best / 1e9).toFixed(1).padStart(6);
      console.log(
        `${format.padEnd(7)} T=${String(tokens).padEnd(4)} ${rows} x ${columns}: ${gflops} GFLOPS ${gigabytes} GB/s` +
          (threads === 1 ? await limit(format, form) : ""),
      );
    }
  }
  Atomics.store(words, RUN, -1);
  await Promise.all(helpers.map((worker) => worker.terminate()));
}

if (isMainThread) await main();
else helper(workerData);
