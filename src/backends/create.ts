/** Makes a backend by name. */
import type { Backend, BackendName } from "../tensor/backend.js";
import { ReferenceBackend } from "./reference/reference.js";
import { createWasmBackend } from "./wasm/index.js";

export interface BackendOptions {
  readonly threads: number;
  /** Wasm: most bytes of one memory; default 4 GiB. */
  readonly memoryBytes?: number | undefined;
  /** Wasm: 16-bit activations in prefill too. */
  readonly precise?: boolean | undefined;
  /** Wasm: 256-bit vectors, never (false) or also where they are not the default (true). */
  readonly wide?: boolean | undefined;
}

export async function createBackend(name: BackendName, options: BackendOptions): Promise<Backend> {
  return name === "reference" ? new ReferenceBackend() : createWasmBackend(options);
}
