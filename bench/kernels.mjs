/**
 * What the machine can do (bytes read per second, bare instructions per second) and, in the same run, what the kernels
 * reach alone: scripts/bench-linear.mjs from the cache and from memory, scripts/bench-attention.mjs.
 */
import { measureLimits } from "./lib/limits.mjs";
import { readOptions, wholeNumber } from "./lib/options.mjs";
import { summariseOthers, watchOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { ATTENTION_LINE, LINEAR_LINE, runScript } from "./lib/scripts.mjs";

const HELP = `Usage: npm run bench -- kernels [options]

  --threads N      threads that read memory together (2)
  --rounds N       rounds of each limit; medians are shown (7)
  --limits         only the limits
  --quick          three rounds, three formats, attention of one shape and of 32 heads without groups
  --json FILE      all figures
`;

const options = readOptions(HELP, {
  threads: { type: "string", default: "2" },
  rounds: { type: "string", default: "7" },
  limits: { type: "boolean", default: false },
  quick: { type: "boolean", default: false },
});
const threads = wholeNumber("threads", options.threads);
const rounds = options.quick ? 3 : wholeNumber("rounds", options.rounds);

function printLimits({ reads, arithmetic }) {
  const readLines = reads.map(({ kind, one, all }) => [
    kind === "wasm" ? "WebAssembly" : "native (memchr)",
    spread(one),
    spread(all),
  ]);
  process.stdout.write(`\n${table(["memory read, GB/s", "1 thread", `${threads} threads`], readLines)}`);
  const lines = arithmetic.map(({ about, one }) => [about, spread(one)]);
  process.stdout.write(`\n${table(["bare instructions, 1 thread", "G operations/s"], lines)}`);
}

/** Multiply-adds of floats; the forms of integer products come with a limit of their own. */
function floatLimit(arithmetic) {
  return median(arithmetic.find((loop) => loop.name === "f32").one);
}

async function measureKernels({ arithmetic, readLimit }) {
  const formats = options.quick ? "q8_0,q4_0x8,q4_kx8" : "q8_0,q4_0x8,q4_kx8,q6_k,q5_k,f16,f32";
  process.stderr.write("matrix kernels, weights in cache ...\n");
  const cached = await runScript("bench-linear.mjs", ["--formats", formats, "--columns", "2048"], LINEAR_LINE);
  process.stderr.write("matrix kernels, weights in memory ...\n");
  const large = ["--weight-kib", "400000", "--threads", String(threads), "--tokens", "1"];
  const inMemory = await runScript(
    "bench-linear.mjs",
    ["--formats", formats, "--columns", "2048", ...large],
    LINEAR_LINE,
  );
  process.stderr.write("attention kernel ...\n");
  const oneShape = (rows) => options.quick && rows.length === 12;
  const attention = await runScript("bench-attention.mjs", ["1"], ATTENTION_LINE, oneShape);
  const multiHead = await runScript("bench-attention.mjs", ["1", "multi-head"], ATTENTION_LINE);
  const share = (row) => ({ ...row, share: row.gflops / (row.limit ?? floatLimit(arithmetic)) });
  return {
    cached: cached.map(share),
    inMemory: inMemory.map((row) => ({ ...row, share: row.gigabytes / readLimit })),
    attention: [...attention, ...(options.quick ? multiHead : [])].map((row) => ({
      ...row,
      share: row.gflops / floatLimit(arithmetic),
    })),
    multiHead,
  };
}

function printKernels({ cached, inMemory, attention }) {
  const products = cached.map(({ format, tokens, form, gflops, gigabytes, share }) => [
    `${format} x ${tokens}${form ? `, ${form}` : ""}`,
    figure(gflops),
    figure(gigabytes),
    figure(share),
  ]);
  const head = ["matrix in cache x rows, 1 thread", "GFLOPS", "GB/s", "of the bare instruction"];
  process.stdout.write(`\n${table(head, products)}`);
  const streams = inMemory.map(({ format, gigabytes, share }) => [format, figure(gigabytes), figure(share)]);
  process.stdout.write(`\n${table([`matrix in memory x 1, ${threads} threads`, "GB/s", "of the memory's"], streams)}`);
  const attends = attention.map(({ shape, type, rows, tokens, gflops, gigabytes, share }) => [
    `${shape}, ${type}, ${rows} rows at ${tokens}`,
    figure(gflops),
    gigabytes === undefined ? "" : figure(gigabytes),
    figure(share),
  ]);
  process.stdout.write(`\n${table(["attention, 1 thread", "GFLOPS", "GB/s", "of multiply-add"], attends)}`);
}

const others = watchOthers();
const limits = await measureLimits({ threads, rounds });
printLimits(limits);
const load = summariseOthers([others()], threads);
process.stdout.write(`of the limits: ${load.line}`);
const kernels = options.limits ? undefined : await measureKernels(limits);
if (kernels) printKernels(kernels);
saveJson(options.json, { threads, disturbed: load.disturbed, limits, kernels });
