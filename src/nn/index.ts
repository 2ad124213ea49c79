/**
 * Models as data, and the decoder that runs them.
 * Unstable: may change in any version (docs/stability.md).
 */
export type * from "./batch.js";
export { Decoder } from "./decoder.js";
export type * from "./spec.js";
export { Weights, type WeightUse, weightUses } from "./weights.js";
