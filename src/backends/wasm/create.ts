/** Starts the Wasm backend: picks the build of the kernels, takes the memory, starts the threads. */
import { ArgumentError } from "../../util/errors.js";
import { platform } from "../../util/platform.js";
import { WasmBackend } from "./backend.js";
import { PARALLEL_NS } from "./command-list.js";
import { Machine } from "./machine.js";
import { compileKernels } from "./module.js";
import { Pool } from "./pool.js";
import { Space } from "./space.js";

const MOST_THREADS = 256;
const LEAST_MEMORY = 2 ** 20;

export interface WasmBackendOptions {
  /** Threads of the kernels, the caller's included; default: the machine's cores. */
  readonly threads?: number | undefined;
  /** Force the relaxed (true) or the plain (false) SIMD build; default: relaxed where the engine has it. */
  readonly relaxed?: boolean | undefined;
  /** Most bytes that weights, caches and activations may take; default and at most: one memory, 4 GiB. */
  readonly maxMemoryBytes?: number | undefined;
  /** Operations of less work than this (estimated nanoseconds) run on the calling thread alone; 0 shares all of them. */
  readonly parallelNs?: number | undefined;
}

/** Compiles the kernels and starts the threads. @throws ArgumentError, MemoryError, UnsupportedError */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  const threads = options.threads ?? Math.min(platform().cores, MOST_THREADS);
  const bytes = options.maxMemoryBytes ?? 2 ** 32;
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new ArgumentError(`threads must be a whole number from 1 to ${MOST_THREADS}, not ${threads}.`, { threads });
  }
  if (!(bytes >= LEAST_MEMORY)) {
    throw new ArgumentError(`maxMemoryBytes must be at least ${LEAST_MEMORY}, not ${bytes}.`, {
      maxMemoryBytes: bytes,
    });
  }
  platform().enableWasmFeatures();
  const { module, relaxed } = await compileKernels(options.relaxed);
  const space = new Space(bytes);
  const pool = await Pool.start(module, space, threads);
  try {
    return new WasmBackend(new Machine(space, pool, options.parallelNs ?? PARALLEL_NS), relaxed);
  } catch (error) {
    await pool.dispose();
    throw error;
  }
}
