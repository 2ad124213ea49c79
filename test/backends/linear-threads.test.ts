/** Two threads that draw work from one command give the bits of a single one. */
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RANGE_COUNTERS, SCRATCH_BYTES } from "../../kernels/abi.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import { KernelMemory, linearKernels, moduleOf, randomWeights, uniform } from "./linear-kernels.js";

const COLUMNS = 256;
const ROWS = 333;
const RUNS = 60;

/** Runs the command at args whenever word 0 of memory is raised, then answers in word 1. */
const HELPER = `
const { workerData } = require("node:worker_threads");
const { module, memory, args } = workerData;
const { linear } = new WebAssembly.Instance(module, { env: { memory } }).exports;
const words = new Int32Array(memory.buffer);
for (let run = 1; ; run++) {
  while (Atomics.load(words, 0) < run) Atomics.wait(words, 0, run - 1);
  linear(args, 1, 2);
  Atomics.store(words, 1, run);
}`;

const memory = new KernelMemory(16);
const words = memory.words(0, 2);
const kernels = linearKernels("plain", memory.memory);
const args = memory.take(128);
const x = memory.take(64 * COLUMNS * 4);
const quantised = memory.take(64 * (COLUMNS * 2.375 + 64));
const weight = memory.take(ROWS * COLUMNS * 4);
const out = memory.take(64 * ROWS * 4);
const scratch = memory.take(2 * SCRATCH_BYTES);
let helper: Worker;

beforeAll(() => {
  helper = new Worker(HELPER, { eval: true, workerData: { module: moduleOf("plain"), memory: memory.memory, args } });
});
afterAll(() => helper.terminate());

let runs = 0;

function multiply(dtype: DType, tokens: number, threads: 1 | 2): Float32Array {
  const command = memory.words(args, 32);
  const { ggml } = DTYPES[dtype];
  command.set([ggml, tokens, COLUMNS, ROWS, x, COLUMNS, quantised, weight, 0, 0, out, ROWS, scratch]);
  command.fill(0, RANGE_COUNTERS / 4);
  memory.floats(out, tokens * ROWS).fill(Number.NaN);
  if (threads === 2) {
    runs += 1;
    Atomics.store(words, 0, runs);
    Atomics.notify(words, 0);
  }
  kernels.linear(args, 0, threads);
  while (threads === 2 && Atomics.load(words, 1) < runs);
  return memory.floats(out, tokens * ROWS).slice();
}

test.each(["f32", "q8_0", "q5_k"] as const)("%s", (dtype) => {
  const next = uniform(5);
  memory.floats(x, 64 * COLUMNS).forEach((_, i, floats) => {
    floats[i] = next();
  });
  memory.bytes.set(randomWeights(dtype, ROWS, COLUMNS, 6), weight);
  for (const tokens of [1, 64]) {
    memory.words(args, 5).set([tokens, COLUMNS, x, COLUMNS, quantised]);
    kernels.quantise(args, 0, 1);
    const single = multiply(dtype, tokens, 1);
    expect(single.some(Number.isNaN)).toBe(false);
    const bits = Buffer.from(single.buffer);
    for (let run = 0; run < RUNS; run++) {
      expect(bits.equals(Buffer.from(multiply(dtype, tokens, 2).buffer))).toBe(true);
    }
  }
});
