/** Two threads that draw work from one command give the bits of a single one. */
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  BYTES_NIBBLES,
  EIGHTS,
  PLANES,
  RANGE_COUNTERS,
  SCRATCH_BYTES,
  SIXTEEN_BITS,
  STREAMED,
} from "../../kernels/abi.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import {
  BUILD_NAMES,
  type Build,
  KernelMemory,
  type LinearKernels,
  linearKernels,
  moduleOf,
  randomWeights,
  uniform,
} from "./linear-kernels.js";

const COLUMNS = 256;
const MOST_ROWS = 333;
const MOST_TOKENS = 64;
const RUNS = 60;

interface Case {
  readonly dtype: DType;
  readonly tokens: number;
  /** PLANES: the weight lies by eights. */
  readonly form: number;
}

/** By what LINEAR does with them. */
const IN_16_BITS = (["f32", "q8_0", "q5_k"] as const).flatMap((dtype) =>
  [STREAMED, SIXTEEN_BITS].map((form): Case => ({ dtype, tokens: form === STREAMED ? 3 : MOST_TOKENS, form })),
);
const CASES: Readonly<Record<Build, readonly Case[]>> = {
  plain: IN_16_BITS,
  // The forms of the relaxed build that every engine computes exactly.
  relaxed: [
    ...IN_16_BITS,
    { dtype: "q5_k", tokens: MOST_TOKENS, form: BYTES_NIBBLES },
    { dtype: "q4_k", tokens: 2, form: PLANES },
  ],
};

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

/** A memory with one problem in it, and a second thread that waits there for its share of the work. */
class Bench {
  private readonly memory = new KernelMemory(16);
  private readonly words = this.memory.words(0, 2);
  private readonly args = this.memory.take(128);
  private readonly x = this.memory.take(MOST_TOKENS * COLUMNS * 4);
  private readonly converted = this.memory.take(MOST_TOKENS * (COLUMNS * 3 + 64));
  private readonly weight = this.memory.take(MOST_ROWS * COLUMNS * 4);
  private readonly out = this.memory.take(MOST_TOKENS * MOST_ROWS * 4);
  private readonly scratch = this.memory.take(2 * SCRATCH_BYTES);
  private readonly kernels: LinearKernels;
  private readonly helper: Worker;
  private runs = 0;

  constructor(build: Build) {
    const { memory } = this.memory;
    this.kernels = linearKernels(build, memory);
    this.helper = new Worker(HELPER, { eval: true, workerData: { module: moduleOf(build), memory, args: this.args } });
  }

  async end(): Promise<void> {
    await this.helper.terminate();
  }

  /** Lays the problem's numbers into memory, as LINEAR expects them. */
  prepare({ dtype, tokens, form }: Case): void {
    const next = uniform(5);
    this.memory.floats(this.x, tokens * COLUMNS).forEach((_, i, floats) => {
      floats[i] = next();
    });
    const rows = rowsOf(form);
    this.memory.bytes.set(randomWeights(dtype, rows, COLUMNS, 6), this.weight);
    const command = this.memory.words(this.args, 6);
    if (form === PLANES) {
      command.set([this.weight, rows, COLUMNS, this.scratch, DTYPES[dtype].ggml, 1]);
      this.kernels.packEights(this.args, 0, 1);
    }
    command.set([tokens, COLUMNS, this.x, COLUMNS, this.converted]);
    const { quantise, quantiseBytes, splitPlanes } = this.kernels;
    const convert = form === PLANES ? splitPlanes : form !== BYTES_NIBBLES ? quantise : quantiseBytes;
    convert(this.args, 0, 1);
  }

  multiply({ dtype, tokens, form }: Case, threads: 1 | 2): Float32Array {
    const rows = rowsOf(form);
    const command = this.memory.words(this.args, 32);
    command.set([DTYPES[dtype].ggml + (form === PLANES ? EIGHTS : 0), tokens, COLUMNS, rows, this.x, COLUMNS]);
    command.set([this.converted, this.weight, 0, 0, this.out, rows, this.scratch, form], 6);
    command.fill(0, RANGE_COUNTERS / 4);
    const out = this.memory.floats(this.out, tokens * rows).fill(Number.NaN);
    if (threads === 2) {
      this.runs += 1;
      Atomics.store(this.words, 0, this.runs);
      Atomics.notify(this.words, 0);
    }
    this.kernels.linear(this.args, 0, threads);
    while (threads === 2 && Atomics.load(this.words, 1) < this.runs);
    return out.slice();
  }
}

/** Rows by eights come in eights. */
const rowsOf = (form: number): number => (form === PLANES ? 328 : MOST_ROWS);

describe.each(BUILD_NAMES)("%s", (build) => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench(build);
  });
  afterAll(() => bench.end());

  test.each(CASES[build])("$dtype, $tokens tokens, form $form", (one) => {
    bench.prepare(one);
    const single = bench.multiply(one, 1);
    expect(single.some(Number.isNaN)).toBe(false);
    const bits = Buffer.from(single.buffer);
    for (let run = 0; run < RUNS; run++) {
      expect(bits.equals(Buffer.from(bench.multiply(one, 2).buffer))).toBe(true);
    }
  });
});
