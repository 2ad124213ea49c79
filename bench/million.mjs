/**
 * One million tokens of books through `sinks:4,recent:508`, token by token: memory must not grow and a token must cost at the
 * end what it cost at the beginning. Figures at every tenth of the way, in a thread with the limits of the engine's own. What is
 * in use (JavaScript's heap with its code, buffers beside it, what V8 allocates for itself, Wasm memories) is the least that was
 * seen in the second half of a tenth, so after some collection of V8's own; none is forced, for that
 * changes what V8 keeps. Resident memory, of the whole process, is taken at the first and the last tenth after some idle seconds.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { getHeapSpaceStatistics, getHeapStatistics } from "node:v8";
import { isMainThread, parentPort } from "node:worker_threads";
import { gatesOption } from "./lib/gates.mjs";
import { readOptions, usageError, wholeNumber } from "./lib/options.mjs";
import { summariseOthers, watchOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, table } from "./lib/report.mjs";
import { importSluice } from "./lib/sluice.mjs";

const HELP = `Usage: npm run bench -- million [options]

  --shared FOLDER  holds models/stories260K.gguf and text/*.txt (../shared)
  --model FILE     another model
  --context TEXT   what the session keeps (sinks:4,recent:508)
  --gates FILE     gates of the policy duo:gates; or one number that all heads have (0: all stream)
  --kv TYPE        cache type (f16)
  --tokens N       in all (1000000); figures are taken at every tenth
  --threads N      threads of the kernels (1: the model is too small for more)
  --json FILE      all figures
`;
const LARGEST_GROWTH_BYTES = 10e6;
const LARGEST_RATIO = 1.05;
/** In shorter runs the compiler and the collector still settle in the first tenths: figures, but no verdict. */
const JUDGED_TOKENS = 1_000_000;
/** V8 keeps freed pages for a while, to use them again. */
const IDLE_SECONDS = 12;
/** Tokens between two looks at the clock. */
const EVERY = 1000;
/** Characters encoded at once; books are cut at line ends. */
const SLICE_CHARACTERS = 16_384;

/** Of the environment: the command line for the thread. */
const ARGUMENTS = "SLUICE_MILLION_ARGUMENTS";
if (!isMainThread) process.argv.push(...JSON.parse(process.env[ARGUMENTS]));

const options = readOptions(HELP, {
  shared: { type: "string", default: fileURLToPath(new URL("../../shared", import.meta.url)) },
  model: { type: "string" },
  context: { type: "string", default: "sinks:4,recent:508" },
  gates: { type: "string" },
  kv: { type: "string", default: "f16" },
  tokens: { type: "string", default: "1000000" },
  threads: { type: "string", default: "1" },
});
const modelPath = options.model ?? `${options.shared}/models/stories260K.gguf`;
const textFolder = `${options.shared}/text`;
for (const path of [modelPath, textFolder]) {
  if (!existsSync(path)) usageError(`There is nothing at ${path}: give the folder with --shared FOLDER.`);
}
const total = wholeNumber("tokens", options.tokens, 10 * EVERY);
const tenth = Math.floor(total / 10);

/** Remembers every Wasm memory that the package makes from here on. */
function watchWasmMemories() {
  const memories = [];
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor) {
      super(descriptor);
      memories.push(this);
    }
  };
  return () => memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}

/** Slices of a text that end at line ends, of about SLICE_CHARACTERS. */
function* slices(text) {
  for (let start = 0; start < text.length; ) {
    const line = text.indexOf("\n", start + SLICE_CHARACTERS);
    const end = line < 0 ? text.length : line + 1;
    yield text.slice(start, end);
    start = end;
  }
}

/** The first `count` ids of all books, one after another, from the first book again when they run out. */
async function encodeBooks(model, count) {
  const ids = new Int32Array(count);
  const books = readdirSync(textFolder).filter((name) => name.endsWith(".txt"));
  let filled = 0;
  for (let book = 0; filled < count; book = (book + 1) % books.length) {
    const text = readFileSync(`${textFolder}/${books.sort()[book]}`, "utf8");
    for (const slice of slices(text)) {
      const part = await model.encode(slice, { addSpecial: false, parseSpecial: false });
      ids.set(part.subarray(0, count - filled), filled);
      filled += Math.min(part.length, count - filled);
      if (filled === count) break;
    }
  }
  return ids;
}

/** Scores one tenth; returns its figures. */
async function readTenth(session, ids, start, wasmBytes) {
  const others = watchOthers();
  const cpuStart = process.cpuUsage();
  const perToken = [];
  let elapsedMs = 0;
  let logprob = 0;
  let least;
  for await (const part of session.score(ids.subarray(start, start + tenth), { batch: 1, every: EVERY })) {
    perToken.push(part.elapsedMs / part.count);
    elapsedMs += part.elapsedMs;
    for (const one of part.logprobs) logprob += Number.isNaN(one) ? 0 : one;
    const now = inUse(wasmBytes);
    const isSecondHalf = perToken.length * EVERY * 2 > tenth;
    if (isSecondHalf && !(now.usedBytes >= least?.usedBytes)) least = now;
  }
  const cpu = process.cpuUsage(cpuStart);
  const othersCores = others();
  const settles = start === 0 || start + 2 * tenth > ids.length;
  if (settles) await wait(IDLE_SECONDS * 1000);
  const { seen, kept, cacheBytes } = session.usage;
  return {
    tokens: start + tenth,
    seen,
    kept,
    cacheBytes,
    msPerToken: elapsedMs / tenth,
    medianMsPerToken: median(perToken),
    cpuMsPerToken: (cpu.user + cpu.system) / 1000 / tenth,
    others: othersCores,
    perplexity: Math.exp(-logprob / tenth),
    residentBytes: process.memoryUsage.rss(),
    settles,
    ...least,
  };
}

/** What this thread has in use now, garbage included. */
function inUse(wasmBytes) {
  const { heapUsed: heapBytes, external: externalBytes } = process.memoryUsage();
  const parts = { heapBytes, externalBytes, ownBytes: getHeapStatistics().malloced_memory, wasmBytes: wasmBytes() };
  return { ...parts, codeBytes: codeBytes(), usedBytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}

/** Of machine code, a part of the heap. */
function codeBytes() {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name.includes("code"))
    .reduce((sum, { space_used_size: used }) => sum + used, 0);
}

function row(figures) {
  const mega = (bytes) => (bytes / 1e6).toFixed(2);
  return [
    String(figures.tokens),
    figures.msPerToken.toFixed(4),
    figures.medianMsPerToken.toFixed(4),
    figures.cpuMsPerToken.toFixed(4),
    figure(figures.perplexity),
    mega(figures.usedBytes),
    mega(figures.heapBytes),
    mega(figures.codeBytes),
    mega(figures.externalBytes),
    mega(figures.wasmBytes),
    mega(figures.residentBytes) + (figures.settles ? " idle" : ""),
    String(figures.kept),
  ];
}
const HEAD = [
  ...["tokens", "ms/token", "median", "processor", "perplexity"],
  ...["in use MB", "heap MB", "code MB", "buffers MB", "wasm MB", "resident MB", "kept"],
];

if (isMainThread) {
  // As `load` starts the engine, whose command line and exit code are not this one's.
  const { spawnModuleThread } = await import(new URL("../dist/platform/thread-node.js", import.meta.url).href);
  process.env[ARGUMENTS] = JSON.stringify(process.argv.slice(2));
  const thread = spawnModuleThread(new URL(import.meta.url), "million");
  // It ends by itself once its output has been written.
  let exitCode;
  thread.onMessage((told) => {
    exitCode = told;
  });
  thread.onFailure(({ message }) => {
    if (exitCode === undefined) process.stderr.write(`${message}\n`);
    process.exitCode = exitCode ?? 1;
  });
} else parentPort.postMessage(await measure());

async function measure() {
  const wasmBytes = watchWasmMemories();
  const { load } = await importSluice();
  const threads = wholeNumber("threads", options.threads);
  const gates = await gatesOption(load, modelPath, options.gates);
  const model = await load(modelPath, { threads, thread: false, prefixBytes: 0, ...gates });
  const encodeStart = performance.now();
  const ids = await encodeBooks(model, tenth * 10);
  process.stderr.write(`Encoded ${ids.length} tokens in ${((performance.now() - encodeStart) / 1000).toFixed(1)} s\n`);

  const session = model.session({ context: options.context, kv: options.kv });
  const figures = [];
  for (let start = 0; start < ids.length; start += tenth) {
    figures.push(await readTenth(session, ids, start, wasmBytes));
    process.stderr.write(`${HEAD.map((title, i) => `${title} ${row(figures.at(-1))[i]}`).join(", ")}\n`);
  }
  const [first, second] = figures;
  const last = figures[9];
  const growthBytes = last.usedBytes - first.usedBytes;
  const residentGrowthBytes = last.residentBytes - first.residentBytes;
  const ratio = last.msPerToken / second.msPerToken;
  process.stdout.write(`\n${session.context}, cache ${options.kv}\n${table(HEAD, figures.map(row))}`);
  process.stdout.write(
    `from token ${first.tokens} to ${last.tokens}: ${(growthBytes / 1e6).toFixed(2)} MB more in use, after ${IDLE_SECONDS} idle ` +
      `seconds ${(residentGrowthBytes / 1e6).toFixed(2)} MB more resident (limit of each ${LARGEST_GROWTH_BYTES / 1e6} MB)\n` +
      `ms per token, last ${tenth} over second ${tenth}: ${ratio.toFixed(3)} (limit ${LARGEST_RATIO}; ` +
      `of the medians of ${EVERY} ${(last.medianMsPerToken / second.medianMsPerToken).toFixed(3)}, ` +
      `of processor time ${(last.cpuMsPerToken / second.cpuMsPerToken).toFixed(3)})\n` +
      summariseOthers(
        figures.map(({ others }) => others),
        model.info.threads,
      ).line,
  );
  const held = Math.max(growthBytes, residentGrowthBytes) < LARGEST_GROWTH_BYTES && ratio <= LARGEST_RATIO;
  const judged = ids.length >= JUDGED_TOKENS;
  if (judged) process.stdout.write(held ? "Both limits are held.\n" : "A LIMIT IS BROKEN.\n");
  saveJson(options.json, {
    model: modelPath,
    context: session.context,
    kv: options.kv,
    growthBytes,
    residentGrowthBytes,
    ratio,
    held,
    figures,
  });
  await model.dispose();
  return held || !judged ? 0 : 1;
}
