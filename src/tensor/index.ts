/**
 * Element types, handles to tensors and weights, storage of keys and values, and the interface of a backend.
 * Unstable: may change in any version (docs/stability.md).
 */
export type * from "./backend.js";
export * from "./dtype.js";
export * from "./kv.js";
export type * from "./tensor.js";
export type * from "./training.js";
