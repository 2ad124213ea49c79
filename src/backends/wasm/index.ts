/** Public face of the Wasm backend. */
export { createWasmBackend, WasmBackend, type WasmBackendOptions } from "./backend.js";
