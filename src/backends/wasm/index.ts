/** Public face of the Wasm backend. */
export { WasmBackend } from "./backend.js";
export { createWasmBackend, type WasmBackendOptions } from "./create.js";
