/**
 * Position schemes: rotary with its scalings, linear biases, buckets of distances, learned and sinusoidal embeddings.
 * Unstable: may change in any version (docs/stability.md).
 */
export * from "./alibi.js";
export * from "./learned.js";
export * from "./relative.js";
export * from "./rope.js";
export * from "./rope-scaling.js";
export * from "./sinusoidal.js";
