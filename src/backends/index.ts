/**
 * Backends by name: the reference in plain TypeScript, and WebAssembly with SIMD and threads.
 * Unstable: may change in any version (docs/stability.md).
 */
export { type BackendOptions, createBackend } from "./create.js";
export { createWasmBackend, type WasmBackendOptions } from "./wasm/create.js";
