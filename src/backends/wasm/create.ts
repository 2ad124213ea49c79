/** Starts the Wasm backend: picks the build of the kernels, takes the memory, starts the threads. */
import { ArgumentError, UnsupportedError } from "../../util/errors.js";
import { platform } from "../../util/platform.js";
import { WasmBackend } from "./backend.js";
import { forceBits, forcedForm, withoutRelaxed } from "./forced-form.js";
import { MachineRoom } from "./machine-room.js";
import { compileKernels } from "./module.js";
import { leastMemory } from "./space.js";
import { compileWide } from "./wide.js";

const MOST_THREADS = 256;

export interface WasmBackendOptions {
  /** Threads of the kernels, the caller's included; default: the machine's cores. */
  readonly threads?: number | undefined;
  /** Force the relaxed (true) or the plain (false) SIMD build; default: relaxed where the engine has it. */
  readonly relaxed?: boolean | undefined;
  /** Most bytes of one WebAssembly memory; default and at most: 4 GiB less 64 KiB. A larger model lies in several. */
  readonly memoryBytes?: number | undefined;
  /** Most bytes of all memories together, for weights, caches and activations; default: no limit. */
  readonly maxMemoryBytes?: number | undefined;
  /** Operations of less work than this (estimated nanoseconds) run on the calling thread alone; 0 shares all of them. */
  readonly parallelNs?: number | undefined;
  /** Quantised weights always meet activations of 16 bits; by default products of many tokens take 8, where faster. */
  readonly precise?: boolean | undefined;
  /** Whether attention and the matrix products of prefill may use 256-bit vectors: see `compileWide` of the platform. */
  readonly wide?: boolean | undefined;
}

/** Compiles the kernels and starts the threads. @throws ArgumentError, MemoryError, UnsupportedError */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  const threads = options.threads ?? Math.min(platform().cores, MOST_THREADS);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new ArgumentError(`threads must be a whole number from 1 to ${MOST_THREADS}, not ${threads}.`, { threads });
  }
  const memoryBytes = enough("memoryBytes", options.memoryBytes ?? 2 ** 32, threads);
  const maxMemoryBytes = enough("maxMemoryBytes", options.maxMemoryBytes ?? Number.POSITIVE_INFINITY, threads);
  if (typeof WebAssembly === "undefined") {
    throw new UnsupportedError(
      "This runtime has no WebAssembly (was Node started with --jitless?). Start it with WebAssembly, or use the reference backend.",
    );
  }
  platform().enableWasmFeatures();
  const { module, relaxed } = await compileKernels(options.relaxed);
  const allowed = options.relaxed !== false && options.wide !== false;
  if (!(relaxed && allowed)) platform().withoutWide?.();
  const forced = options.relaxed === false ? withoutRelaxed(forcedForm()) : forcedForm();
  const wide = forceBits(forced, allowed, (asked) => (relaxed ? compileWide(asked ?? options.wide) : undefined));
  const { parallelNs, precise } = options;
  const room = { threads, memoryBytes, maxMemoryBytes, parallelNs, relaxed, precise, wide, forced };
  return new WasmBackend(await MachineRoom.open(module, room), relaxed);
}

function enough(option: string, bytes: number, threads: number): number {
  const leastBytes = leastMemory(threads);
  if (bytes >= leastBytes) return bytes;
  throw new ArgumentError(`${option} must be at least ${leastBytes} with ${threads} threads, not ${bytes}.`, {
    option,
    threads,
    leastBytes,
  });
}
