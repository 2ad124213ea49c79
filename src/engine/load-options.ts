/** Checks what a caller of `load` gave, before anything is opened. */
import { LEAST_MEMORY, leastMemory } from "../backends/wasm/space.js";
import { ArgumentError } from "../util/errors.js";
import type { LoadOptions } from "./api.js";

const BACKENDS: readonly unknown[] = ["wasm", "reference"];
const SWITCHES = ["precise", "wide", "store"] as const;

/** @throws ArgumentError naming the option and what was expected */
export function checkLoadOptions(reference: string, options: LoadOptions): void {
  const { backend, memoryLimitBytes, wasmMemoryBytes } = options;
  if (typeof reference !== "string" || reference === "") {
    throw new ArgumentError(`A model is a file, a folder or hf:user/repo, given as a text; found ${typeof reference}.`);
  }
  if (backend !== undefined && !BACKENDS.includes(backend)) {
    throw new ArgumentError(`backend is "wasm" or "reference"; found ${JSON.stringify(backend)}.`, {
      option: "backend",
    });
  }
  if (memoryLimitBytes !== undefined && !(memoryLimitBytes > 0)) {
    throw new ArgumentError(`memoryLimitBytes must be a positive number; found ${memoryLimitBytes}.`, {
      option: "memoryLimitBytes",
    });
  }
  if (wasmMemoryBytes !== undefined && !(wasmMemoryBytes >= LEAST_MEMORY)) {
    throw new ArgumentError(`wasmMemoryBytes must be a number from ${LEAST_MEMORY}; found ${wasmMemoryBytes}.`, {
      option: "wasmMemoryBytes",
    });
  }
  for (const option of SWITCHES) {
    const value: unknown = options[option];
    // A text such as "false" would count as true.
    if (value === undefined || typeof value === "boolean") continue;
    throw new ArgumentError(`${option} is true or false; found a value of type ${typeof value}.`, { option });
  }
}

/** Every memory has scratch memory of every thread in it. @throws ArgumentError naming the least that will do */
export function checkMemoryOfThreads({ backend, wasmMemoryBytes }: LoadOptions, threads: number): void {
  const leastBytes = leastMemory(threads);
  if (backend === "reference" || wasmMemoryBytes === undefined || !(wasmMemoryBytes < leastBytes)) return;
  throw new ArgumentError(
    `wasmMemoryBytes must be a number from ${leastBytes} with ${threads} threads; found ${wasmMemoryBytes}. ` +
      "Give more, or use fewer threads.",
    { option: "wasmMemoryBytes", threads, leastBytes },
  );
}
