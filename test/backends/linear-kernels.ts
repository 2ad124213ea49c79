/** The matrix kernels of one Wasm build, called directly on a memory of their own. */
import { expect } from "vitest";
import {
  BYTES_FOUR,
  BYTES_NIBBLES,
  BYTES_WIDE,
  NIBBLES_WIDE,
  RANGE_COUNTERS,
  RANGES,
  SCRATCH_BYTES,
  SIXTEEN_BITS,
} from "../../kernels/abi.js";
import { type ByteForm, byteForm, formFor, NO_WIDE } from "../../src/backends/wasm/byte-form.js";
import { PLAIN, RELAXED, WIDE } from "../../src/backends/wasm/generated/kernels.js";
import { compileWide, installWide } from "../../src/backends/wasm/wide.js";
import { wideProducts } from "../../src/backends/wasm/wide-integers.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { mustBeWide, relaxedSimd, testPlatform } from "../support/test-platform.js";

testPlatform.enableWasmFeatures();

export type Kernel = (args: number, thread: number, threads: number) => void;

export interface LinearKernels {
  readonly quantise: Kernel;
  readonly splitPlanes: Kernel;
  readonly packEights: Kernel;
  readonly quantiseBytes: Kernel;
  readonly quantisePairs: Kernel;
  readonly linear: Kernel;
  readonly embed: Kernel;
  readonly probeBytes: (weight: number) => number;
  readonly unpackRow: (dtype: number, ptr: number, columns: number, out: number) => void;
}

export const BUILDS = { plain: PLAIN, relaxed: RELAXED };
export type Build = keyof typeof BUILDS;
/** Those that are tested. */
export const BUILD_NAMES: readonly Build[] = relaxedSimd ? ["plain", "relaxed"] : ["plain"];

/** What is taken first lies here: below are the module's own constants, which every instance writes anew. */
export const FIRST_ADDRESS = 65536;

/** A memory in which values lie where a test puts them. */
export class KernelMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  private end = FIRST_ADDRESS;
  /** Where that begins which was taken at the end. */
  private limit: number;

  constructor(megabytes: number) {
    this.memory = new WebAssembly.Memory({ initial: megabytes * 16, maximum: 65536, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.limit = this.bytes.length;
  }

  /** The address of `count` bytes, 64-byte aligned, or `skew` bytes past that. */
  take(count: number, skew = 0): number {
    const at = this.end + skew;
    this.end = Math.ceil((at + count) / 64) * 64;
    if (this.end > this.limit) throw new Error(`The test needs more than ${this.bytes.length} bytes.`);
    return at;
  }

  /** The address of the memory's last `count` bytes: a kernel that goes on behind them traps. Once before it is cleared. */
  takeLast(count: number): number {
    this.limit = this.bytes.length - count;
    if (this.end > this.limit) throw new Error(`The test needs more than ${this.bytes.length} bytes.`);
    return this.limit;
  }

  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, count);
  }

  words(at: number, count: number): Int32Array {
    return new Int32Array(this.memory.buffer, at, count);
  }

  /** Forgets everything taken. */
  clear(): void {
    this.end = FIRST_ADDRESS;
    this.limit = this.bytes.length;
  }
}

/** Compiled once for each build; instances share the module. */
const modules = new Map<Build, WebAssembly.Module>();

export function moduleOf(build: Build): WebAssembly.Module {
  const made = modules.get(build) ?? new WebAssembly.Module(Buffer.from(BUILDS[build], "base64"));
  modules.set(build, made);
  return made;
}

/** The wide module: as the platform compiles it, or, for its arithmetic alone, as any other; needs relaxed SIMD. */
export const WIDE_MODULE = relaxedSimd ? compileWide(true) : undefined;
if (mustBeWide && !WIDE_MODULE) throw new Error("Expected 256-bit vectors here, for the tests too; there are none.");

export function linearKernels(build: Build, memory: WebAssembly.Memory): LinearKernels {
  const instance = new WebAssembly.Instance(moduleOf(build), { env: { memory } });
  if (build === "relaxed") {
    installWide(instance, WIDE_MODULE ?? new WebAssembly.Module(Buffer.from(WIDE, "base64")), memory);
  }
  return instance.exports as unknown as LinearKernels;
}

/** Of a range's counter: past the end of any range. */
const BEYOND = 2 ** 30;
const UNTOUCHED = 0xa5;

/**
 * Runs a kernel for each thread in turn. A thread finds no range of the work but its own (left to itself, the first would
 * take all of them, and nothing that the others do could be wrong), and must leave the others' scratch memory as it was.
 */
export function inTurns(kernel: Kernel, memory: KernelMemory, args: number, scratch: number, threads: number): void {
  const counters = memory.words(args + RANGE_COUNTERS, RANGES);
  const ranges = Math.min(threads, RANGES);
  const all = memory.bytes.subarray(scratch, scratch + threads * SCRATCH_BYTES);
  const untouched = Buffer.alloc(threads > 1 ? all.length : 0, UNTOUCHED);
  for (let thread = 0; thread < threads; thread++) {
    counters.fill(BEYOND);
    // Of the threads that have the same range, the last one finds it.
    if (thread >= threads - ranges) counters[thread % ranges] = 0;
    if (threads > 1) all.set(untouched);
    kernel(args, thread, threads);
    if (threads === 1) return;
    for (const [from, to] of [
      [0, thread * SCRATCH_BYTES],
      [(thread + 1) * SCRATCH_BYTES, all.length],
    ]) {
      const same = Buffer.compare(all.subarray(from, to), untouched.subarray(from, to)) === 0;
      expect(same, `scratch memory of other threads than ${thread}`).toBe(true);
    }
  }
}

/** The forms of 8 bits that this engine computes exactly, by name; the first is the one that it would pick itself. */
export function byteForms(): readonly (readonly [name: string, form: ByteForm])[] {
  const { probeBytes } = linearKernels("relaxed", new KernelMemory(1).memory);
  const found = byteForm(probeBytes, WIDE_MODULE ? wideProducts(WIDE_MODULE) : NO_WIDE);
  const own = { ...found, sixteen: SIXTEEN_BITS };
  const forms: (readonly [string, ByteForm])[] = [
    ["own", own],
    ["nibbles", { ...own, form: BYTES_NIBBLES, largest: 63 }],
    ["nibbles wide", { ...own, form: NIBBLES_WIDE, largest: 63 }],
  ];
  if (own.largest >= 127) forms.push(["four", { ...own, form: BYTES_FOUR }]);
  if (own.largest === 255) forms.push(["wide", { ...own, form: BYTES_WIDE }]);
  return forms;
}

/** The formats that a form of 8 bits takes. */
export function formatsOf(form: ByteForm): readonly DType[] {
  return (Object.keys(DTYPES) as DType[]).filter((dtype) => formFor(form, dtype, "many") !== SIXTEEN_BITS);
}

/** Uniform numbers in [-1, 1), the same for the same seed (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2147483648 - 1;
  };
}

/** Where each block type keeps its half-precision numbers. */
export const HALVES: Partial<Record<DType, readonly number[]>> = {
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q8_0: [0],
  iq4_nl: [0],
  q2_k: [80, 82],
  q3_k: [108],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

/** Stored weights with every bit pattern, but scales between 2^-8 and 2^-5 of either sign. */
export function randomWeights(dtype: DType, rows: number, columns: number, seed: number): Uint8Array {
  const next = uniform(seed);
  const bytes = new Uint8Array(rows * rowBytes(dtype, columns));
  if (dtype === "f32") return new Uint8Array(Float32Array.from({ length: rows * columns }, next).buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (next() + 1) * 128;
  const { blockBytes } = DTYPES[dtype];
  const upper = (at: number, exponent: number) => {
    bytes[at + 1] = (bytes[at + 1] & 0x80) | (exponent << 2) | (bytes[at + 1] & 3);
  };
  for (let block = 0; block < bytes.length; block += blockBytes) {
    for (const at of HALVES[dtype] ?? []) upper(block + at, 7 + (bytes[block + at] % 4));
    if (dtype === "mxfp4") bytes[block] = 119 + (bytes[block] % 4);
    if (dtype === "f16") upper(block, 12 + (bytes[block] % 3));
    if (dtype === "bf16") bytes[block + 1] = (bytes[block + 1] & 0x80) | 0x3e;
  }
  return bytes;
}

/** A matrix product: x [T, columns] times the stored weights [rows, columns], transposed. */
export interface Problem {
  readonly dtype: DType;
  readonly tokens: number;
  readonly columns: number;
  readonly rows: number;
  readonly x: Float32Array;
  readonly weights: Uint8Array;
}

export function problem(dtype: DType, tokens: number, columns: number, rows: number): Problem {
  const seed = tokens * 7919 + columns * 31 + rows;
  const next = uniform(seed);
  // Magnitudes differ from block to block, as activations' do.
  const x = Float32Array.from({ length: tokens * columns }, (_, i) => next() * (1 + ((i >> 5) % 7)));
  return { dtype, tokens, columns, rows, x, weights: randomWeights(dtype, rows, columns, seed) };
}
